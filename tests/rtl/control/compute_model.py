# SPDX-License-Identifier: Apache-2.0
"""What the compute unit should do with its instructions, by the functions of weft_arch."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft_arch import attention, blocks, float24, isa, layouts
from weft_arch.config import BLOCK, Configuration


def resolved(instruction: isa.Instruction, **scalars: int) -> dict[str, int]:
    """A ResolvedInstruction; address, count, aux_a and aux_b as given."""
    values = {s.name: getattr(instruction, s.name) for s in isa.field_specs(type(instruction))}
    arguments = sum(
        int(values[s.name]) << (s.offset - isa.ARGUMENT_BASE)
        for s in isa.field_specs(type(instruction))
    )
    defaults = {"address": 0, "count": 0, "aux_a": 0, "aux_b": 0}
    return defaults | scalars | {"opcode": int(instruction.opcode), "arguments": arguments}


class ComputeModel:
    """Makes the weights of instructions and computes their results, one after the other.

    ``codes`` and ``scales`` collect the words of the weight buffer's two streams; ``progress`` how
    many vector writes and row scalars there are once an instruction is done.
    """

    def __init__(self, config: Configuration, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        limit = 1 << (config.activation_bits - 1)
        self.activations = rng.integers(-limit + 1, limit, (config.activation_blocks, BLOCK))
        self.exponents = rng.integers(-14, -8, config.activation_blocks)
        words = (config.vector_memory_words, config.lanes)
        self.vector_memory = float24.round_to_f24(rng.normal(0, 10, words))
        self.codebook = np.zeros(16, np.int64)
        self.codes: list[int] = []
        self.scales: list[int] = []
        self.vector_writes: list[dict[str, Any]] = []
        self.row_scalars: list[dict[str, int]] = []
        self.candidates: list[tuple[float, int, int]] = []
        self.progress: list[tuple[int, int]] = []
        self.row_cycles = 0

    def matmul(self, i: isa.Matmul, address: int, rows: int) -> dict[str, int]:
        """Run a MATMUL with random weights."""
        cols, m = self.config.array_cols, np.arange(rows)
        if i.to_top_k and i.clear_top_k:
            self.candidates = []
        for n in range(i.n_tiles):
            total = np.zeros((rows, cols), np.float32)
            if i.init == isa.InitMode.VECTOR_MEMORY:
                total = self.vector_memory[i.initial + m * i.initial_stride + n]
            for k in range(i.k_blocks):
                weights, scales = self._tile(narrow=i.format == isa.WeightFormat.W4)
                block = address + m * i.activation_stride + k
                total = self._accumulate(total, block, weights, scales)
            if i.to_vector_memory:
                self._write(i.destination + m * i.destination_stride + n, total)
            if i.to_top_k:
                for lane, value in enumerate(total[0]):
                    index = i.top_k_base + n * cols + lane
                    if index < i.top_k_limit:
                        pattern = int(float24.encode(value))
                        self.candidates.append((-float(value), index, pattern))
        self._done(i.n_tiles * i.k_blocks, rows)
        return resolved(i, address=address, count=rows)

    def attend(
        self, i: isa.Attend, address: int, rows: int, position: int, n_keys: int
    ) -> dict[str, int]:
        """Run an ATTEND with random keys and values."""
        cols, channels, m = self.config.array_cols, BLOCK * i.k_blocks, np.arange(rows)
        bits = self.config.activation_bits
        limits = attention.key_limits(rows, position, n_keys, bool(i.causal), i.rows_per_position)
        state = attention.initial_state(rows)
        out = np.zeros((rows, channels), np.float32)
        n_blocks = -(-n_keys // BLOCK)
        key_words, value_words = [], []
        tiles = 0
        for b in range(n_blocks):
            low = int(self.rng.integers(-14, -4))
            header = self.rng.integers(low, low + 4, BLOCK)
            first_word = len(self.codes)
            self.codes.append(_word(header))
            scores = np.zeros((rows, BLOCK), np.float32)
            for n in range(BLOCK // cols):
                total = np.zeros((rows, cols), np.float32)
                for k in range(i.k_blocks << i.wide_keys):
                    weights, scales = self._tile(narrow=False)
                    block = address + m * i.activation_stride + (k >> i.wide_keys)
                    total = self._accumulate(total, block, weights, scales)
                scores[:, n * cols : (n + 1) * cols] = total
            key_words.append(self.codes[first_word:])
            del self.codes[first_word:]
            values = self.rng.integers(-127, 128, (channels, BLOCK))
            value_words.append([_word(row) for row in values])
            block = attention.softmax_block(
                state, scores, attention.visible_keys(limits, b * BLOCK), header, bits
            )
            state = block.state
            scaled = float24.scale_exponent(out, -block.rescale[:, None])
            sums = block.codes @ values.T
            out = blocks.accumulate(scaled, sums, np.float32(1), block.exponent[:, None])
            tiles += BLOCK // cols * (i.k_blocks << i.wide_keys) + channels // cols
        for b in range(n_blocks):
            self.codes += key_words[b]
            self.codes += value_words[b - 1] if b else []
        self.codes += value_words[-1]
        # One tile of channels after the other, as the array writes them.
        for n in range(channels // cols):
            word = i.destination + m * i.destination_stride + n
            self._write(word, out[:, n * cols : (n + 1) * cols])
        sums = float24.encode(attention.finish(state))
        self.row_scalars += [
            {"address": i.row_scalar + row, "value": int(sums[row])} for row in range(rows)
        ]
        self._done(tiles, rows)
        return resolved(i, address=address, count=rows, aux_a=position, aux_b=n_keys)

    def set_codebook(self) -> dict[str, int]:
        """A CODEBOOK with random entries."""
        self.codebook = self.rng.integers(-128, 128, 16)
        entries = int.from_bytes(self.codebook.astype(np.uint8).tobytes(), "little")
        mask = (1 << 64) - 1
        self._done(0, 0)
        return resolved(isa.Codebook(entries_low=entries & mask, entries_high=entries >> 64))

    def top_k(self) -> list[tuple[int, int]]:
        """The list as (pattern, index)."""
        k = self.config.top_k_entries
        best = [(pattern, index) for _, index, pattern in sorted(self.candidates)[:k]]
        unused = (int(float24.encode(-float24.MAX)), 0xFFFFFFFF)
        return best + [unused] * (k - len(best))

    def _accumulate(
        self, total: np.ndarray, block: np.ndarray, weights: np.ndarray, scales: np.ndarray
    ) -> np.ndarray:
        sums = self.activations[block] @ weights.T
        return blocks.accumulate(total, sums, scales, self.exponents[block][:, None])

    def _tile(self, *, narrow: bool) -> tuple[np.ndarray, np.ndarray]:
        """Weights [cols, 32] and scales [cols] of the next tile."""
        cols, rng = self.config.array_cols, self.rng
        if narrow:
            raw = rng.integers(0, 16, (cols, BLOCK)).astype(np.uint8)
            self.codes += [_word(row) for row in layouts.pack_codes4(raw).reshape(-1, BLOCK)]
            weights = self.codebook[raw]
        else:
            weights = rng.integers(-127, 128, (cols, BLOCK))
            self.codes += [_word(row) for row in weights]
        scales = np.float16(2.0 ** rng.uniform(-9, 0, cols)).view(np.uint16)
        self.scales.append(sum(int(s) << 16 * c for c, s in enumerate(scales)))
        return weights, float24.from_float16_bits(scales)

    def _write(self, addresses: np.ndarray, words: np.ndarray) -> None:
        self.vector_memory[addresses] = words
        self.vector_writes += [
            {"address": int(a), "data": [int(x) for x in float24.encode(w)]}
            for a, w in zip(addresses, words, strict=True)
        ]

    def _done(self, tiles: int, rows: int) -> None:
        self.row_cycles += tiles * max(rows, self.config.array_cols, 8)
        self.progress.append((len(self.vector_writes), len(self.row_scalars)))


def _word(values: np.ndarray) -> int:
    return int.from_bytes(values.astype(np.uint8).tobytes(), "little")
