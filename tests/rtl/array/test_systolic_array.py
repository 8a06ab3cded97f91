# SPDX-License-Identifier: Apache-2.0
"""The systolic array: exact sums, latency, and tiles in the closest order that is allowed."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from amaranth import signed
from amaranth.lib import data

from weft_arch.config import BLOCK, Configuration, preset
from weft_rtl.array.systolic_array import SystolicArray
from weft_sim.bench import Bench, bench_test, pack_lanes, run_cocotb
from weft_sim.payloads import Packer

CONFIGS = {
    "4": preset("tiny"),
    "8": preset("default"),
    "16": dataclasses.replace(preset("default"), array_cols=16, activation_bits=12),
}


@dataclass
class Tile:
    """A tile's weights [32, columns], its rows [rows, 32], and when they come in."""

    weights: np.ndarray
    rows: np.ndarray
    start: int = 0
    load: int = 0


class ArrayDriver:
    """Drives the plain input ports from a plan: cycle -> values."""

    def __init__(self, bench: Bench, config: Configuration, tiles: list[Tile]) -> None:
        self._dut = bench.dut
        self._bench = bench
        self._config = config
        self._random = bench.random_for("driver")
        self._rows = {t.start + i: row for t in tiles for i, row in enumerate(t.rows)}
        self._starts = {t.start for t in tiles}
        self._columns = {
            t.load + c: (c, t.weights[:, c]) for t in tiles for c in range(config.array_cols)
        }
        bench.add_agent(self._at_edge)
        self._at_edge()

    def _at_edge(self) -> None:
        # What is written now is seen at the next edge.
        cycle, dut, bits = self._bench.cycle + 1, self._dut, self._config.activation_bits
        row = self._rows.get(cycle)
        dut.i_valid.value = int(row is not None)
        dut.i_swap.value = int(cycle in self._starts) if row is not None else 1
        noise = self._random.getrandbits(BLOCK * 8)
        dut.i_activations.value = noise if row is None else pack_lanes(row, bits)
        column = self._columns.get(cycle)
        dut.i_preload.value = 0 if column is None else 1 << column[0]
        dut.i_weights.value = noise if column is None else pack_lanes(column[1], 8)


class ArrayMonitor:
    """Keeps the rows of sums that come out, and when."""

    def __init__(self, bench: Bench, config: Configuration) -> None:
        shape = data.ArrayLayout(signed(config.partial_sum_width), config.array_cols)
        self._packer = Packer(shape)
        self._bench = bench
        self.sums: list[list[int]] = []
        self.cycles: list[int] = []
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        dut = self._bench.dut
        if int(dut.o_valid.value):
            self.sums.append(self._packer.unpack(int(dut.o_partial_sums.value)))
            self.cycles.append(self._bench.cycle)


def _schedule(bench: Bench, config: Configuration, tiles: list[Tile]) -> None:
    """Place tiles as close as can be, with the loads anywhere in their window."""
    cols = config.array_cols
    start = 3
    for index, tile in enumerate(tiles):
        earliest = start if index else 2
        if index:
            start += max(len(tiles[index - 1].rows), cols)
            start += bench.random.choice([0, 0, 0, 1, 5])
        else:
            start = earliest + cols
        latest = start - 1
        tile.start = start
        tile.load = max(
            bench.random.choice([earliest, latest, bench.random.randint(earliest, latest)]),
            tiles[index - 1].load + cols if index else 0,
        )
        assert tile.load <= latest


async def _run(bench: Bench, config: Configuration, tiles: list[Tile]) -> None:
    _schedule(bench, config, tiles)
    ArrayDriver(bench, config, tiles)
    monitor = ArrayMonitor(bench, config)
    latency = SystolicArray.latency(config)
    await bench.cycles(tiles[-1].start + len(tiles[-1].rows) + latency + 4)
    expected = [row for t in tiles for row in (t.rows.astype(int) @ t.weights).tolist()]
    assert monitor.sums == expected
    starts = [t.start + i + latency for t in tiles for i in range(len(t.rows))]
    assert monitor.cycles == starts


def _config(bench: Bench) -> Configuration:
    return CONFIGS[bench.parameters["config"]]


def _numpy(bench: Bench) -> np.random.Generator:
    return np.random.default_rng(bench.seed)


@bench_test(deadline_cycles=20_000)
async def random_tiles(bench: Bench) -> None:
    config, rng = _config(bench), _numpy(bench)
    cols, limit = config.array_cols, 1 << config.activation_bits - 1
    # Just above and below what a column takes to fill, and whatever else may matter.
    edge = BLOCK + cols - 1
    counts = [1, 2, 7, 8, 9, 31, 32, 33, edge - 1, edge, edge + 1, 64, 1, 1, 1]
    counts += [bench.random.choice(counts) for _ in range(15)]
    tiles = [
        Tile(
            rng.integers(-128, 128, (BLOCK, cols)),
            rng.integers(-limit, limit, (count, BLOCK)),
        )
        for count in counts
    ]
    await _run(bench, config, tiles)


@bench_test(deadline_cycles=20_000)
async def corner_products(bench: Bench) -> None:
    """Every 8-bit weight against the corners of activations, and largest sums."""
    config, rng = _config(bench), _numpy(bench)
    cols, limit = config.array_cols, 1 << config.activation_bits - 1
    corners = [0, 1, -1, 2, -2, 127, -128, limit - 1, -limit, limit // 2, -limit // 2]
    rows = np.array([[a] + [0] * (BLOCK - 1) for a in corners])
    tiles = []
    # Row r alone is active for each tile, so its product is the sum.
    for index, first in enumerate(range(-128, 128, cols)):
        weights = rng.integers(-128, 128, (BLOCK, cols))
        weights[index % BLOCK] = np.arange(first, first + cols)
        tiles.append(Tile(weights, np.roll(rows, index % BLOCK, axis=1)))
    for weight, activation in itertools.product([-128, 127], [-limit, limit - 1]):
        tiles.append(
            Tile(np.full((BLOCK, cols), weight), np.full((3, BLOCK), activation, dtype=int))
        )
    await _run(bench, config, tiles)


@pytest.mark.parametrize("case", ["random_tiles", "corner_products"])
@pytest.mark.parametrize("config", CONFIGS)
def test_systolic_array(config: str, case: str) -> None:
    run_cocotb(SystolicArray(CONFIGS[config]), __file__, tests=case, parameters={"config": config})
