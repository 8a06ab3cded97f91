# SPDX-License-Identifier: Apache-2.0
"""The bus to a manager with half the clock: every access once, answers whole, none too many."""

from __future__ import annotations

import cocotb
import pytest

from weft_rtl.soc.half_rate_bus import HalfRateBus
from weft_sim.bench import Bench, bench_test, run_cocotb

MASK = 0xFFFF_FFFF
ACCESSES = 60


def answer_to(address: int) -> tuple[int, bool]:
    """What is read, and whether it is an error."""
    return address * 0x9E37_79B9 & MASK, address % 5 == 0


async def serve(bench: Bench, served: list[int]) -> None:
    """The other side: answers after 0 to ``slowest`` cycles, one cycle long."""
    dut, slowest = bench.dut, bench.parameters["slowest"]
    dut.bus__ack.value = dut.bus__err.value = 0
    while True:
        await bench.cycles(1)
        if not dut.bus__cyc.value:
            continue
        address = int(dut.bus__adr.value)
        for _ in range(bench.random.randrange(slowest + 1)):
            await bench.cycles(1)
            assert dut.bus__cyc.value, "an access holds"
            assert dut.bus__stb.value
        served.append(address)
        data, error = answer_to(address)
        (dut.bus__err if error else dut.bus__ack).value = 1
        dut.bus__dat_r.value = data
        await bench.cycles(1)
        dut.bus__ack.value = dut.bus__err.value = 0
        dut.bus__dat_r.value = bench.random.randrange(1 << 32)
        await bench.cycles(1)
        assert not dut.bus__cyc.value, "an access ends with its answer"


async def period(bench: Bench) -> tuple[int, int, int]:
    """One of the manager's: its clock is low, then high; what it sees when it rises again."""
    dut = bench.dut
    dut.i_middle.value = 1
    await bench.cycles(1)
    dut.i_middle.value = 0
    await bench.cycles(1)
    return int(dut.manager__ack.value), int(dut.manager__err.value), int(dut.manager__dat_r.value)


@bench_test(deadline_cycles=10_000)
async def answers_each_access_once(bench: Bench) -> None:
    dut = bench.dut
    dut.i_drop.value = dut.i_middle.value = 0
    dut.manager__cyc.value = dut.manager__stb.value = 0
    served: list[int] = []
    cocotb.start_soon(serve(bench, served))
    asked = [bench.random.randrange(1, 1 << 30) for _ in range(ACCESSES)]
    for address in asked:
        dut.manager__cyc.value = dut.manager__stb.value = 1
        dut.manager__adr.value = address
        dut.manager__we.value = address & 1
        data, error = answer_to(address)
        ack = err = 0
        while not (ack or err):
            ack, err, _ = await period(bench)
        # The manager's register has the answer now, and its next edge ends the access.
        ack_after, err_after, word = await period(bench)
        assert (ack, err, word) == (not error, error, 0 if error else data)
        assert (ack_after, err_after) == (0, 0)
        if bench.random.random() < 0.5:
            dut.manager__cyc.value = dut.manager__stb.value = 0
            for _ in range(bench.random.randrange(1, 4)):
                assert (await period(bench))[:2] == (0, 0)
    assert served == asked


@bench_test(deadline_cycles=2_000)
async def a_dropped_access_is_not_answered(bench: Bench) -> None:
    dut = bench.dut
    dut.bus__ack.value = dut.bus__err.value = dut.i_drop.value = dut.i_middle.value = 0
    dut.manager__cyc.value = dut.manager__stb.value = 1
    dut.manager__adr.value = 1
    await period(bench)
    await period(bench)
    assert dut.bus__cyc.value == 1
    dut.i_drop.value = 1
    dut.manager__cyc.value = dut.manager__stb.value = 0
    await period(bench)
    await period(bench)
    dut.i_drop.value = 0
    assert dut.bus__cyc.value == 0
    dut.bus__ack.value = 1  # too late
    await bench.cycles(1)
    dut.bus__ack.value = 0
    for _ in range(4):
        assert (await period(bench))[:2] == (0, 0)


@pytest.mark.parametrize("slowest", [0, 7])
def test_half_rate_bus(slowest: int) -> None:
    run_cocotb(
        HalfRateBus(),
        __file__,
        tests="answers_each_access_once",
        parameters={"slowest": slowest},
    )


def test_reset() -> None:
    run_cocotb(HalfRateBus(), __file__, tests="a_dropped_access_is_not_answered")
