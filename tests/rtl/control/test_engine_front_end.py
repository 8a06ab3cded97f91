# SPDX-License-Identifier: Apache-2.0
"""A front end takes its tokens before it offers, and gives them after done, in order."""

from __future__ import annotations

import pytest

from weft_arch.registers import EngineState
from weft_rtl.control.engine_front_end import IN_FLIGHT_LIMIT, EngineFrontEnd
from weft_rtl.control.instruction_queues import QueuedInstruction
from weft_rtl.interfaces import ResolvedInstruction
from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb


class Surroundings:
    """Queue, token board and engine."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.queue = StreamDriver(bench, "i", QueuedInstruction)
        self.takes = StreamMonitor(bench, "o_take")
        self.gives = StreamMonitor(bench, "o_give")
        self.engine = StreamMonitor(bench, "engine__instruction", ResolvedInstruction)
        bench.dut.i_enable.value = 1
        bench.dut.engine__done.value = 0
        self.to_finish = 0

    async def finish(self, count: int) -> None:
        """Pulse done, back to back."""
        self.bench.dut.engine__done.value = 1
        await self.bench.cycles(count)
        self.bench.dut.engine__done.value = 0


def item(number: int, waits: tuple[int, int], signals: tuple[int, int]) -> dict:
    return {
        "instruction": {"address": number},
        "wait_a": waits[0],
        "wait_b": waits[1],
        "signal_a": signals[0],
        "signal_b": signals[1],
    }


@bench_test(deadline_cycles=20_000)
async def orders_tokens(bench: Bench) -> None:
    around = Surroundings(bench)
    rng = bench.random
    taken: list[int] = []
    given: list[int] = []
    finished = 0
    for number in range(150):
        waits, signals = [
            tuple(rng.choice([0, rng.randint(1, 31)]) for _ in range(2)) for _ in range(2)
        ]
        around.queue.send(item(number, waits, signals))
        taken += filter(None, waits)
        given += filter(None, signals)
        if rng.random() < 0.2 or number + 1 - finished == IN_FLIGHT_LIMIT:
            await around.engine.wait_for(number + 1)
            assert around.takes.received == taken, "exactly the tokens of what was offered"
            count = rng.randint(1, number + 1 - finished)
            await around.finish(count)
            finished += count
    await around.engine.wait_for(150)
    await around.finish(150 - finished)
    await around.gives.expect(given)
    assert [i["address"] for i in around.engine.received] == list(range(150))
    assert int(bench.dut.o_idle.value)


@bench_test(deadline_cycles=2_000)
async def shows_its_state(bench: Bench) -> None:
    around = Surroundings(bench)
    dut = bench.dut

    async def state() -> tuple[int, int, int]:
        await bench.cycles(5)
        return int(dut.o_state.value), int(dut.o_waits_for.value), int(dut.o_idle.value)

    assert await state() == (EngineState.IDLE, 0, 1)
    around.queue.send(item(0, (0, 0), (3, 0)))
    assert await state() == (EngineState.BUSY, 0, 0)
    await around.finish(1)
    assert await state() == (EngineState.IDLE, 0, 1)
    assert around.gives.received == [3]
    # Nothing is offered while disabled.
    dut.i_enable.value = 0
    around.queue.send(item(1, (0, 0), (0, 0)))
    assert await state() == (EngineState.IDLE, 0, 1)
    assert len(around.engine.received) == 1
    dut.i_enable.value = 1
    assert await state() == (EngineState.BUSY, 0, 0)
    # No more than the limit is in work.
    around.queue.send_all([item(n, (0, 0), (0, 0)) for n in range(20)])
    await bench.cycles(60)
    assert len(around.engine.received) == 1 + IN_FLIGHT_LIMIT
    await around.finish(IN_FLIGHT_LIMIT)
    await bench.cycles(60)
    assert len(around.engine.received) == 22


@bench_test(deadline_cycles=2_000)
async def waits_for_tokens(bench: Bench) -> None:
    """With a token board that never has one."""
    driver = StreamDriver(bench, "i", QueuedInstruction)
    dut = bench.dut
    dut.o_take__ready.value = dut.o_give__ready.value = dut.engine__instruction__ready.value = 0
    dut.i_enable.value, dut.engine__done.value = 1, 0
    driver.send(item(0, (0, 9), (0, 0)))
    await bench.cycles(20)
    assert int(dut.o_state.value) == EngineState.WAITING_TOKEN
    assert int(dut.o_waits_for.value) == 9
    assert not int(dut.engine__instruction__valid.value)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_tokens(stall: float) -> None:
    run_cocotb(EngineFrontEnd(), __file__, tests="orders_tokens", parameters={"stall": stall})


@pytest.mark.parametrize("name", ["shows_its_state", "waits_for_tokens"])
def test_state(name: str) -> None:
    run_cocotb(EngineFrontEnd(), __file__, tests=name)
