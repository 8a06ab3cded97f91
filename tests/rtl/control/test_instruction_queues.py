# SPDX-License-Identifier: Apache-2.0
"""The queues keep every engine's order, and one full queue holds up only itself."""

from __future__ import annotations

import pytest

from weft_arch.isa import ENGINES
from weft_rtl.control.instruction_queues import (
    QUEUE_DEPTH,
    InstructionQueues,
    QueuedInstruction,
)
from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb


def monitors(bench: Bench) -> dict[int, StreamMonitor]:
    return {
        engine: StreamMonitor(bench, f"o__{index}", QueuedInstruction)
        for index, engine in enumerate(ENGINES)
    }


def make(bench: Bench, engine: int, number: int) -> dict:
    draw = bench.random.getrandbits
    return {
        "instruction": {
            "opcode": engine << 3 | draw(3),
            "address": number,
            "count": draw(24),
            "aux_a": draw(32),
            "aux_b": draw(32),
            "arguments": draw(156),
        },
        "wait_a": draw(5),
        "wait_b": draw(5),
        "signal_a": draw(5),
        "signal_b": draw(5),
    }


@bench_test(deadline_cycles=20_000)
async def keeps_order(bench: Bench) -> None:
    outputs = monitors(bench)
    driver = StreamDriver(bench, "i", QueuedInstruction)
    sent = {engine: [] for engine in ENGINES}
    for number in range(800):
        engine = bench.random.choice(ENGINES)
        item = make(bench, engine, number)
        sent[engine].append(item)
        driver.send(item)
    for engine, output in outputs.items():
        await output.expect(sent[engine])
    fills = [int(getattr(bench.dut, f"o_fill__{i}").value) for i in range(len(ENGINES))]
    assert fills == [0] * len(ENGINES)


@bench_test(deadline_cycles=2_000)
async def fills_up(bench: Bench) -> None:
    driver = StreamDriver(bench, "i", QueuedInstruction)
    for index in range(len(ENGINES)):
        getattr(bench.dut, f"o__{index}__ready").value = 0
    for engine in ENGINES:
        driver.send_all([make(bench, engine, n) for n in range(QUEUE_DEPTH + 1)])
        await driver.drained()
    await bench.cycles(5)
    fills = [int(getattr(bench.dut, f"o_fill__{i}").value) for i in range(len(ENGINES))]
    assert fills == [QUEUE_DEPTH + 1] * len(ENGINES)
    driver.send(make(bench, ENGINES[-1], 0))
    await bench.cycles(20)
    assert driver.sent == (QUEUE_DEPTH + 1) * len(ENGINES)


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_order(stall: float) -> None:
    run_cocotb(InstructionQueues(), __file__, tests="keeps_order", parameters={"stall": stall})


def test_full() -> None:
    run_cocotb(InstructionQueues(), __file__, tests="fills_up")
