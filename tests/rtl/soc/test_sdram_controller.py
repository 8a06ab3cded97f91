# SPDX-License-Identifier: Apache-2.0
"""The SDRAM controller against the model that checks every rule of the part."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from weft_sim.bench import Bench, bench_test, run_cocotb

sys.path.insert(0, str(Path(__file__).parent))
from sdram_harness import TIMING, begin, system_verilog

BEAT = 8
PAGE = 1024
SIZE = TIMING.part.size_bytes


def full(values: list[int]) -> list[tuple[int, int]]:
    return [(value, 0xFF) for value in values]


@bench_test(deadline_cycles=40_000)
async def random_traffic(bench: Bench) -> None:
    """Writes with strobes, then reads beside writes elsewhere, over pages, banks and rows."""
    manager = await begin(bench)
    draw = bench.random.randrange
    # Blocks of 4 KiB: neighbours, other rows of the same banks, and the end of the part.
    blocks = [0, 0x1000, 0x2000, 0x40_0000, 0x123_4000, SIZE - 0x1000]
    memory: dict[int, int] = {}
    responses = 0

    def write(address: int, beats: int, strobes: bool) -> None:
        data = []
        for k in range(beats):
            value = bench.random.getrandbits(64)
            strobe = bench.random.getrandbits(8) if strobes else 0xFF
            old = memory.get(address + k * BEAT, 0)
            mask = sum(0xFF << 8 * lane for lane in range(8) if strobe >> lane & 1)
            memory[address + k * BEAT] = old & ~mask | value & mask
            data.append((value, strobe))
        manager.write(address, data)

    for block in blocks:
        for start in (0, 2048):
            write(block + start, 256, strobes=False)
            responses += 1
    await manager.finished(reads=0, writes=responses)
    read = 0
    for _ in range(12):
        writing, *reading = bench.random.sample(blocks, len(blocks))
        expected = []
        for _ in range(6):
            beats = bench.random.choice([1, 1, 2, 8, 31, 32, 33, 64])
            write(writing + draw(0, 512 - beats) * BEAT, beats, strobes=True)
            responses += 1
            beats = bench.random.choice([1, 1, 3, 8, 31, 32, 33, 100, 200])
            address = bench.random.choice(reading) + draw(0, 512 - beats) * BEAT
            manager.read(address, beats)
            expected += [(memory[address + k * BEAT], 0) for k in range(beats)]
        await manager.finished(reads=read + len(expected), writes=responses)
        assert manager.read_beats[read:] == expected
        read += len(expected)
    assert manager.write_responses == [0] * responses


@bench_test(deadline_cycles=10_000)
async def errors_in_order(bench: Bench) -> None:
    manager = await begin(bench)
    manager.write(64, full([11, 12, 13]))
    manager.write(SIZE, full([1, 2]))
    manager.write(SIZE - 8, full([21]))
    manager.write(0xFFFF_FFF8, full([3]))
    await manager.finished(reads=0, writes=4)
    assert manager.write_responses == [0, 2, 0, 2]
    manager.read(64, 3)
    manager.read(SIZE, 3)
    manager.read(SIZE - 8, 1)
    manager.read(0x8000_0000, 2)
    manager.read(72, 1)
    await manager.finished(reads=10, writes=4)
    answers = manager.read_beats
    assert [response for _, response in answers] == [0, 0, 0, 2, 2, 2, 0, 2, 2, 0]
    assert [data for data, response in answers if not response] == [11, 12, 13, 21, 12]


@bench_test(deadline_cycles=60_000)
async def sequential_reads(bench: Bench) -> None:
    """At least 95 % of the pins' cycles carry data, refreshes included, by the model's counters."""
    manager = await begin(bench)
    dut = bench.dut
    while not int(dut.o_ready.value):
        await bench.cycles(1)
    beats = 12_288
    for k in range(beats // 32):
        manager.read(k * 32 * BEAT, 32)
    await manager.finished(reads=640, writes=0)
    first = int(dut.cycles.value), int(dut.words_read.value), int(dut.refreshes.value)
    await manager.finished(reads=beats - 640, writes=0)
    cycles = int(dut.cycles.value) - first[0]
    words = int(dut.words_read.value) - first[1]
    refreshes = int(dut.refreshes.value) - first[2]
    print(f"{words} words in {cycles} cycles ({words / cycles:.2%}), {refreshes} refreshes")
    assert abs(refreshes - cycles / TIMING.refresh_interval_cycles) <= 8
    assert refreshes >= 32
    assert words >= 0.95 * cycles, (words, cycles)


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_random_traffic(stall: float) -> None:
    run_cocotb(
        system_verilog(TIMING),
        __file__,
        name="sdram_system",
        tests=["random_traffic", "errors_in_order"],
        parameters={"stall": stall},
    )


def test_sequential_reads_keep_the_pins_busy() -> None:
    run_cocotb(system_verilog(TIMING), __file__, name="sdram_system", tests="sequential_reads")
