# SPDX-License-Identifier: Apache-2.0
"""What the array engine should do with a list of passes, by the functions of weft_arch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft_arch import blocks, float24, layouts
from weft_arch.config import BLOCK, Configuration
from weft_rtl.array.row_feeder import SETTLE_CYCLES
from weft_rtl.interfaces import TILE_SPACING, PassInitial, TileSource


@dataclass
class Expected:
    """Everything that leaves the engine, in order."""

    vector_writes: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    top_k: list[dict[str, Any]] = field(default_factory=list)
    value_exponents: list[list[int]] = field(default_factory=list)
    passes_done: int = 0
    row_cycles: list[int] = field(default_factory=list)
    """when each row enters, with the first row of all in cycle 0 and no stalls"""


class EngineModel:
    """Makes the weights of passes, and computes their results one pass after the other.

    ``codes`` and ``scales`` collect the words of the weight buffer's two streams.
    """

    def __init__(self, config: Configuration, rng: np.random.Generator) -> None:
        self.config = config
        self.rng = rng
        limit = 1 << config.activation_bits - 1
        blocks_shape = (config.activation_blocks, BLOCK)
        self.activations = rng.integers(-limit, limit, blocks_shape)
        self.exponents = rng.integers(-20, 20, config.activation_blocks)
        self.exponents[::17] = rng.choice([-128, 127, -100, 100], len(self.exponents[::17]))
        words = (config.vector_memory_words, config.lanes)
        self.vector_memory = float24.round_to_f24(rng.normal(0, 1e3, words))
        self.accumulators = np.zeros((config.accumulator_words, config.lanes), np.float32)
        self.rescale = rng.integers(0, 12, (2, config.max_rows))
        self.rescale[:, ::5] = rng.choice([0, 30, 200, 255], self.rescale[:, ::5].shape)
        self.codebook = rng.integers(-128, 128, 16)
        self.codes: list[int] = []
        self.scales: list[int] = []
        self.expected = Expected()
        self._next_start = 0
        self._last_row = -SETTLE_CYCLES
        self._slow_rows = 0

    def run(self, p: dict[str, int]) -> None:
        """One pass, given as the fields of an ArrayPass."""
        cols = self.config.array_cols
        rows, k_blocks = p["rows"], p["k_blocks"]
        if p.get("has_header"):
            header = self.rng.integers(-128, 128, BLOCK)
            self.codes.append(_word(header))
            self.expected.value_exponents.append(header.tolist())
        m = np.arange(rows)
        for n in range(p["n_tiles"]):
            entry = p["accumulator_base"] + m * p["accumulator_stride"]
            entry = entry + n * p["accumulator_per_tile"]
            if p["initial"] == PassInitial.VECTOR_MEMORY.value:
                total = self.vector_memory[p["initial_address"] + m * p["initial_stride"] + n]
            elif p["initial"] == PassInitial.ACCUMULATOR.value:
                shift = self.rescale[p["parity"], :rows, None]
                total = float24.scale_exponent(self.accumulators[entry], -shift)
            else:
                total = np.zeros((rows, cols), np.float32)
            for k in range(k_blocks):
                weights, scales = self._tile(p["source"])
                address = p["activation_base"] + m * p["activation_stride"] + k
                sums = self.activations[address] @ weights
                exponents = self.exponents[address][:, None]
                total = blocks.accumulate(total, sums, scales, exponents)
                self._time(p, first=n == 0 and k == 0)
            if p["to_accumulator"]:
                self.accumulators[entry] = total
            self._results(p, n, total)
        self.expected.passes_done += p["last"]

    def _tile(self, source: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights [32, cols] and scales [cols] of the next tile."""
        cols, rng = self.config.array_cols, self.rng
        if source == TileSource.W4.value:
            raw = rng.integers(0, 16, (cols, BLOCK)).astype(np.uint8)
            packed = layouts.pack_codes4(raw).reshape(-1, BLOCK)
            weights = self.codebook[raw]
        else:
            packed = weights = rng.integers(-128, 128, (cols, BLOCK))
        self.codes += [_word(row) for row in packed]
        if source == TileSource.VALUES.value:
            return weights.T, np.ones(cols, np.float32)
        bits = rng.integers(0, 1 << 16, cols)
        usual = rng.integers(0, 1 << 10, cols) | rng.integers(8, 18, cols) << 10
        bits = np.where(rng.random(cols) < 0.3, bits, usual).astype(np.uint16)
        self.scales.append(sum(int(b) << 16 * c for c, b in enumerate(bits)))
        return weights.T, float24.from_float16_bits(bits)

    def _results(self, p: dict[str, int], n: int, total: np.ndarray) -> None:
        patterns = float24.encode(total)
        for m in range(p["rows"]):
            word = [int(x) for x in patterns[m]]
            if p["to_vector_memory"]:
                address = p["destination"] + m * p["destination_stride"] + n
                self.vector_memory[address] = total[m]
                self.expected.vector_writes.append({"address": address, "data": word})
            if p["to_scores"]:
                self.expected.scores.append(
                    {"row": m, "word": n, "parity": p["parity"], "data": word}
                )
            if p["to_top_k"]:
                self.expected.top_k.append(
                    {
                        "index": p["top_k_base"] + n * self.config.array_cols,
                        "limit": p["top_k_limit"],
                        "clear": int(p["clear_top_k"] and n == 0),
                        "data": word,
                    }
                )

    def _time(self, p: dict[str, int], *, first: bool) -> None:
        """When the rows of the next tile enter."""
        start = self._next_start
        if first and p.get("has_header") and self.expected.row_cycles:
            # The header takes one of the loader's cycles.
            start = max(start, self._previous_start + self.config.array_cols + 1)
        if first and p["initial"] == PassInitial.VECTOR_MEMORY.value:
            start = max(start, self._last_row + SETTLE_CYCLES)
        self.expected.row_cycles += range(start, start + p["rows"])
        self._previous_start = start
        self._next_start = start + max(p["rows"], self.config.array_cols, TILE_SPACING)
        self._last_row = start + p["rows"] - 1


def _word(values: np.ndarray) -> int:
    return int.from_bytes(values.astype(np.uint8).tobytes(), "little")
