# SPDX-License-Identifier: Apache-2.0
"""The token counters: nothing is lost, nothing is taken that was not given."""

from __future__ import annotations

from collections import Counter

import pytest

from weft_arch.isa import N_TOKENS, TOKEN_LIMIT
from weft_arch.registers import Fault
from weft_rtl.control.token_board import TokenBoard
from weft_rtl.interfaces import FaultReport
from weft_sim.bench import Bench, StreamDriver, bench_test, run_cocotb, unpack

PORTS = 5


def agents(bench: Bench) -> tuple[list[StreamDriver], list[StreamDriver]]:
    givers = [StreamDriver(bench, f"i_give__{i}") for i in range(PORTS)]
    takers = [StreamDriver(bench, f"i_take__{i}") for i in range(PORTS)]
    return givers, takers


@bench_test(deadline_cycles=40_000)
async def counts(bench: Bench) -> None:
    givers, takers = agents(bench)
    rng = bench.random
    given, taken = Counter(), Counter()

    def watch() -> None:
        # Takes first: a token cannot be taken in the cycle in which it is given.
        for kind, drivers in ((taken, takers), (given, givers)):
            for d in drivers:
                ports = d._ports
                if int(ports.valid.value) and int(ports.ready.value):
                    kind[ports.read_payload()] += 1
            for token, count in taken.items():
                assert count <= given[token], f"token {token} was taken before it was given"

    bench.add_agent(watch)
    # Every taker can be served in any order: each token's takes are all on one port or interleave.
    for _ in range(400):
        token = rng.randint(1, N_TOKENS)
        givers[rng.randrange(PORTS)].send(token)
        takers[rng.randrange(PORTS)].send(token)
    for d in givers:
        await d.drained()
    for d in takers:
        await d.drained()
    assert given == taken
    assert not int(bench.dut.o_fault.value) & 1


@bench_test(deadline_cycles=2_000)
async def overflows(bench: Bench) -> None:
    givers, takers = agents(bench)
    faults = []

    def watch() -> None:
        report = unpack(FaultReport, int(bench.dut.o_fault.value))
        if report["valid"]:
            faults.append((report["cause"], report["address"]))

    bench.add_agent(watch)
    for index in range(TOKEN_LIMIT):
        givers[index % PORTS].send(N_TOKENS)
    await bench.cycles(300)
    assert not faults
    givers[2].send(N_TOKENS)
    await bench.cycles(20)
    assert faults == [(Fault.TOKEN_OVERFLOW, N_TOKENS)]
    takers[1].send_all([N_TOKENS] * TOKEN_LIMIT)
    await bench.cycles(300)
    assert takers[1].sent == TOKEN_LIMIT, "the count stays at its limit"
    takers[0].send(N_TOKENS)
    await bench.cycles(20)
    assert takers[0].sent == 0
    await bench.reset()


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_counts(stall: float) -> None:
    board = TokenBoard(PORTS, PORTS)
    run_cocotb(board, __file__, tests="counts", parameters={"stall": stall})


def test_overflow() -> None:
    run_cocotb(TokenBoard(PORTS, PORTS), __file__, tests="overflows")
