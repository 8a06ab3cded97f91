# SPDX-License-Identifier: Apache-2.0
"""The top-k unit against a sort: ties, limits, clears, words as close as they may come."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from weft_arch import float24
from weft_arch.config import Configuration, preset
from weft_rtl.head.top_k import TopKUnit, top_k_word
from weft_sim.bench import Bench, Packer, bench_test, run_cocotb

UNUSED = (int(float24.encode(-float24.MAX)), 0xFFFFFFFF)


def configuration(parameters: dict[str, Any]) -> Configuration:
    return dataclasses.replace(
        preset("default"), array_cols=parameters["lanes"], top_k_entries=parameters["entries"]
    )


class Driver:
    """Sends words at given cycles."""

    def __init__(self, bench: Bench, config: Configuration) -> None:
        self.bench = bench
        self.packer = Packer(top_k_word(config))
        bench.dut.i__valid.value = 0
        bench.dut.i_read_index.value = 0

    async def send(self, word: dict[str, Any], spacing: int) -> None:
        self.bench.dut.i__payload.value = self.packer.pack(word)
        self.bench.dut.i__valid.value = 1
        await self.bench.cycles(1)
        self.bench.dut.i__payload.value = self.bench.random.getrandbits(self.packer.width)
        self.bench.dut.i__valid.value = 0
        await self.bench.cycles(spacing - 1)


class Model:
    """All candidates since the last clear, sorted."""

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self.candidates: list[tuple[float, int, int]] = []

    def add(self, word: dict[str, Any]) -> None:
        if word["clear"]:
            self.candidates = []
        for lane, pattern in enumerate(word["data"]):
            index = word["index"] + lane
            if index < word["limit"]:
                value = float(float24.decode(pattern))
                self.candidates.append((-value, index, pattern))

    def expected(self) -> list[tuple[int, int]]:
        best = sorted(self.candidates)[: self.entries]
        found = [(pattern, index) for _, index, pattern in best]
        return found + [UNUSED] * (self.entries - len(found))


async def read_list(bench: Bench, entries: int) -> list[tuple[int, int]]:
    await bench.cycles(2)
    while int(bench.dut.o_busy.value):
        await bench.cycles(1)
    found = []
    for k in range(entries):
        bench.dut.i_read_index.value = k
        await bench.cycles(2)
        found.append((int(bench.dut.o_value.value), int(bench.dut.o_index.value)))
    return found


def words(
    rng: np.random.Generator, lanes: int, count: int, kind: str, base: int
) -> list[dict[str, Any]]:
    n = lanes * count
    if kind == "ascending":
        values = np.arange(n) - n / 2
    elif kind == "ties":
        values = rng.integers(-2, 3, n).astype(float)
    elif kind == "equal":
        values = np.zeros(n)
    elif kind == "lowest":
        values = np.full(n, -float24.MAX)
    else:
        values = rng.normal(0, 1, n) * 2.0 ** rng.integers(-120, 120, n)
    patterns = float24.encode(float24.round_to_f24(values)).reshape(count, lanes)
    limit = base + n - int(rng.integers(0, lanes))
    return [
        {"index": base + lanes * k, "limit": limit, "clear": 0, "data": [int(p) for p in row]}
        for k, row in enumerate(patterns)
    ]


@bench_test(deadline_cycles=30_000)
async def keeps_the_largest(bench: Bench) -> None:
    config = configuration(bench.parameters)
    driver, model = Driver(bench, config), Model(config.top_k_entries)
    rng = np.random.default_rng(bench.seed)
    await bench.cycles(2)
    assert await read_list(bench, config.top_k_entries) == model.expected()
    kinds = ["random", "ties", "ascending", "equal", "lowest", "ties"]
    for trial, kind in enumerate(kinds * 2):
        for part in range(3):
            base = int(rng.choice([0, 5, 1000, (1 << 18) - 24 * config.lanes]))
            if part == 1 and trial % 2:
                base = 3 * config.lanes  # equal indexes from before do not matter to the order
                model.candidates.clear()
            sequence = words(rng, config.lanes, int(rng.integers(1, 20)), kind, base)
            sequence[0]["clear"] = int(part == 0 or bool(part == 1 and trial % 2))
            if trial == 7 and part == 2:
                sequence = [dict(sequence[0], clear=1, limit=sequence[0]["index"])]
            for word in sequence:
                model.add(word)
                extra = int(rng.integers(0, 5)) if trial % 3 == 0 else 0
                await driver.send(word, config.lanes + extra)
        assert await read_list(bench, config.top_k_entries) == model.expected()


@pytest.mark.parametrize(("lanes", "entries"), [(8, 8), (4, 1), (16, 20)])
def test_top_k(lanes: int, entries: int) -> None:
    run_cocotb(
        TopKUnit(configuration({"lanes": lanes, "entries": entries})),
        __file__,
        tests="keeps_the_largest",
        parameters={"lanes": lanes, "entries": entries},
    )
