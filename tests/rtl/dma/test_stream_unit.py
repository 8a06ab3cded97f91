# SPDX-License-Identifier: Apache-2.0
"""The weight stream from memory to the weight buffer's outputs: order, room and throughput."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rtl.dma.stream_harness import SIZE, StreamBench, StreamPath, resolved
from weft_arch.config import BLOCK, preset
from weft_arch.isa import Instruction, StreamKV, StreamWeights, WeightFormat
from weft_arch.registers import Fault
from weft_sim.bench import Bench, bench_test, run_cocotb

CONFIGS = {
    "tiny": preset("tiny"),
    "default": preset("default"),
    "wide": replace(preset("default"), array_cols=16, beat_bytes=16, max_burst_beats=8),
    "narrow": replace(preset("tiny"), beat_bytes=4, max_burst_beats=2),
}


@bench_test(deadline_cycles=60_000)
async def streams(bench: Bench) -> None:
    path = StreamBench(bench)
    draw, beat = bench.random.randrange, path.config.beat_bytes
    instructions: list[Instruction] = []
    for k in range(24):
        address = draw(SIZE // 2 // beat) * beat
        if k % 3 == 2:
            count = bench.random.choice([0, 1, 31, 32, 33, 64, 65, 100])
            shape = {"k_blocks": draw(1, 4), "wide_keys": draw(2)}
            instructions.append(StreamKV(address=address, count=count, **shape))
        else:
            form = bench.random.choice(list(WeightFormat))
            instructions.append(
                StreamWeights(address=address, count=bench.random.choice([0, 1, 2, 9]), format=form)
            )
    path.run(instructions)
    await path.codes.expect(path.expectation.codes)
    await path.scales.expect(path.expectation.scales)
    await path.until_done(len(instructions))
    await bench.cycles(20)
    assert len(path.done_cycles) == len(instructions)
    assert int(bench.dut.engine__busy.value) == 0
    total = len(path.expectation.codes) * BLOCK
    total += len(path.expectation.scales) * 2 * path.config.array_cols
    assert path.beats * beat == total


@bench_test(deadline_cycles=10_000)
async def keeps_the_bus_busy(bench: Bench) -> None:
    """Short instructions, far apart in memory, leave no gaps in the data."""
    path = StreamBench(bench)
    size = path.config.tile_bytes(8)
    tiles = 4
    path.run([StreamWeights(address=(k * 977 * 8) % 65536, count=tiles) for k in range(24)])
    path.run([StreamKV(address=4096, count=64, k_blocks=1)])
    await path.until_done(25)
    cycles = path.memory.read_cycles
    assert len(cycles) == path.beats
    rate = (len(cycles) - 1) / (cycles[-1] - cycles[0])
    assert rate >= 0.97, f"{rate:.3f} beats per cycle"
    assert path.done_cycles[0] - cycles[tiles * size // path.config.beat_bytes - 1] <= 4
    await path.codes.expect(path.expectation.codes)


@bench_test(deadline_cycles=20_000)
async def waits_for_room(bench: Bench) -> None:
    """With nobody taking words, exactly what fits is asked for; then it goes on."""
    path = StreamBench(bench, held=True)
    path.run([StreamWeights(address=0, count=100), StreamWeights(address=0, count=100, format=1)])
    await bench.cycles(2900)
    beats = path.config.weight_buffer_bytes // path.config.beat_bytes
    assert path.waits > 500
    # codes fill their part; a few words have left it on their way out
    assert beats <= path.beats < 1.2 * beats
    path.take_words(True)
    await path.codes.expect(path.expectation.codes)
    await path.scales.expect(path.expectation.scales)


@bench_test(deadline_cycles=2_000)
async def refuses_no_k_blocks(bench: Bench) -> None:
    path = StreamBench(bench)
    path.instructions.send(resolved(StreamKV(address=0, count=5, k_blocks=0)))
    await bench.cycles(50)
    opcode = StreamKV.opcode
    assert path.faults == [{"valid": 1, "cause": Fault.ILLEGAL_OPERAND, "address": opcode}]
    assert path.done_cycles == []


@pytest.mark.parametrize(
    ("name", "stall"),
    [(n, s) for n in ("tiny", "default") for s in (0.0, 0.4)] + [("wide", 0.4), ("narrow", 0.4)],
)
def test_stream_unit(name: str, stall: float) -> None:
    config = CONFIGS[name]
    tests = "streams"
    if stall == 0.0:
        tests += ",keeps_the_bus_busy,waits_for_room,refuses_no_k_blocks"
    run_cocotb(
        StreamPath(config), __file__, tests=tests, parameters={"stall": stall, "config": config}
    )
