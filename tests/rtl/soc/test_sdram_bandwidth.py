# SPDX-License-Identifier: Apache-2.0
"""What fraction of the pins' cycles carries data, by the model's counters, as exact cycles.

The figures are those of the decision record on the SDRAM. The AXI clock has 100 MHz here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from weft_sim.bench import Bench, bench_test, run_cocotb

sys.path.insert(0, str(Path(__file__).parent))
from sdram_harness import TIMING, Manager, begin, system_verilog

BEAT = 8
BURST = 32


def sequential_reads(manager: Manager, bench: Bench) -> tuple[int, int]:
    for k in range(384):
        manager.read(k * BURST * BEAT, BURST)
    return 384 * BURST, 0


def random_reads(manager: Manager, bench: Bench) -> tuple[int, int]:
    """64 bytes each."""
    for _ in range(512):
        manager.read(bench.random.randrange(TIMING.part.size_bytes // 64) * 64, 8)
    return 4096, 0


def sequential_writes(manager: Manager, bench: Bench) -> tuple[int, int]:
    for k in range(384):
        manager.write(k * BURST * BEAT, [(k, 0xFF)] * BURST)
    return 0, 384


def mixed(manager: Manager, bench: Bench) -> tuple[int, int]:
    """As many sequential reads as sequential writes, elsewhere."""
    for k in range(192):
        manager.read(k * BURST * BEAT, BURST)
        manager.write((1 << 24) + k * BURST * BEAT, [(k, 0xFF)] * BURST)
    return 192 * BURST, 192


KINDS: dict[str, Callable[[Manager, Bench], tuple[int, int]]] = {
    kind.__name__: kind for kind in (sequential_reads, random_reads, sequential_writes, mixed)
}


@bench_test(deadline_cycles=100_000)
async def bandwidth(bench: Bench) -> None:
    """From the first word to the last one at the pins."""
    manager = await begin(bench)
    dut = bench.dut
    while not int(dut.o_ready.value):
        await bench.cycles(1)
    reads, writes = KINDS[bench.parameters["kind"]](manager, bench)
    marks: list[tuple[int, int]] = []

    def watch() -> None:
        moved = int(dut.words_read.value) + int(dut.words_written.value)
        if moved and (not marks or moved != marks[-1][1]):
            marks.append((int(dut.cycles.value), moved))

    bench.add_agent(watch)
    await manager.finished(reads=reads, writes=writes)
    await bench.cycles(400)
    cycles, words = marks[-1][0] - marks[0][0], marks[-1][1] - marks[0][1]
    share = words / cycles
    expected = bench.parameters["cycles"]
    assert cycles == expected, f"{words} words took {cycles} cycles ({share:.2%}), not {expected}"
    assert share >= bench.parameters["least"]


@pytest.mark.parametrize(
    ("kind", "cycles", "least"),
    [
        ("sequential_reads", 49_572, 0.95),
        ("random_reads", 17_420, 0.94),
        ("sequential_writes", 49_223, 0.95),
        ("mixed", 49_962, 0.95),
    ],
)
def test_bandwidth(kind: str, cycles: int, least: float) -> None:
    run_cocotb(
        system_verilog(TIMING),
        __file__,
        name="sdram_system",
        tests="bandwidth",
        parameters={"kind": kind, "cycles": cycles, "least": least},
    )
