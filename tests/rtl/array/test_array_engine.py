# SPDX-License-Identifier: Apache-2.0
"""The array engine: all kinds of passes, one after the other, to the bit and to the cycle."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from weft_rtl.array.array_engine import ArrayEngine
from weft_sim.bench import Bench, bench_test, run_cocotb

sys.path.insert(0, str(Path(__file__).parent))
from engine_harness import CONFIGS, W4, W8, EngineHarness, PassMaker


@bench_test(deadline_cycles=60_000)
async def mixed_passes(bench: Bench) -> None:
    harness = EngineHarness(bench)
    limit = min(harness.config.max_rows, 33)
    counts = [1, 1, 2, 3, 7, 8, 9, 15, 16, 31, 32, 33]
    counts = [count for count in counts if count <= limit]
    maker = PassMaker(harness, counts)
    for _ in range(3):
        for _ in range(6):
            harness.send(maker.matmul())
        for fields in maker.attention(bench.random.choice(counts), bench.random.randint(1, 4)):
            harness.send(fields)
        for _ in range(2):
            harness.send(maker.head())
        harness.send(maker.matmul(last=1))
        await harness.new_codebook()
    await harness.check()
    expected = harness.model.expected
    assert expected.vector_writes
    assert expected.scores
    assert expected.top_k
    assert expected.value_exponents


@bench_test(deadline_cycles=60_000)
async def back_to_back(bench: Bench) -> None:
    """With weights there, every row enters in its cycle; also across passes of all kinds."""
    harness = EngineHarness(bench)
    counts = [1, 1, 1, 2, 7, 8, 9, 31, 32, 33, 64]
    counts = [count for count in counts if count <= harness.config.max_rows]
    maker = PassMaker(harness, counts)
    for count in counts:
        harness.send(maker.matmul(rows=count, k_blocks=2, n_tiles=2))
    for count in (1, 5, 16):
        for fields in maker.attention(count, 3):
            harness.send(fields)
    for _ in range(3):
        harness.send(maker.head())
    harness.send(maker.matmul(last=1))
    await harness.check(cycles=True)
    # From a row's request to its result.
    rows, latency = harness.counter.cycles["o_mac"], ArrayEngine.latency(harness.config)
    results = harness.writes.cycles + harness.scores.cycles + harness.top_k.cycles
    assert {cycle - latency for cycle in results} <= set(rows)
    assert max(results) == rows[-1] + latency
    assert harness.counter.cycles["o_pass_done"][-1] == rows[-1] + latency + 2
    # Rows of the array are idle only while short tiles and settling results demand it.
    assert harness.counter.cycles["o_idle"][-1] > harness.counter.cycles["o_pass_done"][-1]


@bench_test(deadline_cycles=20_000)
async def peak(bench: Bench) -> None:
    """Tiles of 8 rows or more: a row in every cycle. Of one row: a tile every 8 cycles or more."""
    harness = EngineHarness(bench)
    rows = max(8, harness.config.array_cols)
    for source in (W8, W4, W8):
        harness.send(
            {"rows": rows, "k_blocks": 4, "n_tiles": 8, "source": source, "to_vector_memory": 1}
            | {"destination": 0, "destination_stride": 8}
        )
    await harness.check(cycles=True)
    cycles = list(harness.counter.cycles["o_mac"])
    assert cycles[-1] - cycles[0] + 1 == len(cycles) == 3 * 32 * rows
    harness.send(
        {"rows": 1, "k_blocks": 8, "n_tiles": 8, "to_vector_memory": 1}
        | {"destination": 0, "destination_stride": 8}
    )
    await harness.finished()
    single = harness.counter.cycles["o_mac"][len(cycles) :]
    assert [b - a for a, b in itertools.pairwise(single)] == [rows] * 63
    # The array waits for weights only while the first tile is being loaded.
    waits = [c for c in harness.counter.cycles["o_wait_weights"] if c > single[0]]
    assert len([c for c in waits if c < single[-1]]) == 0 or harness.config.array_cols > 8


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_mixed_passes(config: str, stall: float) -> None:
    parameters = {"config": config, "stall": stall}
    run_cocotb(ArrayEngine(CONFIGS[config]), __file__, tests="mixed_passes", parameters=parameters)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("case", ["back_to_back", "peak"])
def test_timing(config: str, case: str) -> None:
    parameters = {"config": config, "stall": 0.0}
    run_cocotb(ArrayEngine(CONFIGS[config]), __file__, tests=case, parameters=parameters)
