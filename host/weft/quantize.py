# SPDX-License-Identifier: Apache-2.0
"""Weights as blocks of 32 small integers with one scale.

Blocks lie along the last axis of a matrix, which is the reduction axis; a row is one output
channel. `w8` and `w4` are those of GGUF, bit for bit, so a GGUF file's tensors can be taken as
they are:

| format | GGUF | scale d | code | value |
|---|---|---|---|---|
| `w8` | Q8_0 | max(abs(x)) / 127 | round(x * (1 / d)), ties away from 0 | code * d |
| `w4` | Q4_0 | (x of largest abs(x)) / -8 | trunc(x * (1 / d) + 8.5), at most 15 | (code - 8) * d |

Codes are computed with the float32 scale; what is stored, and what values are computed from, is
that scale rounded to float16. The arithmetic is float32, except that Q4_0 multiplies and adds in
float64 and rounds the sum to float32 before it truncates.

`int4`, `fp4`, `nf4` and `iq4_nl` are 4-bit codes into a table of `weft.codebooks`, with the scale
of each block that `weft.scale_search` finds; they are for models that come in floats.

Source: classes `Q8_0` and `Q4_0` of gguf-py/gguf/quants.py in
https://github.com/ggml-org/llama.cpp; a test compares with the `gguf` package.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from weft import codebooks
from weft.errors import ModelError, check_choice
from weft.scale_search import nearest_codes, search_blocks

__all__ = ["BLOCK", "Q4_0_CODEBOOK", "QuantizedMatrix", "WeightFormat", "quantize"]

BLOCK = 32
"""Values that share one scale."""

Q4_0_CODEBOOK = codebooks.INT4
"""The int8 value of each 4-bit code of Q4_0."""


class WeightFormat(StrEnum):
    """How a weight matrix is stored; the values are what a user types."""

    W8 = "w8"
    W4 = "w4"
    INT4 = "int4"
    FP4 = "fp4"
    NF4 = "nf4"
    IQ4_NL = "iq4_nl"

    @classmethod
    def named(cls, name: str) -> "WeightFormat":
        """The format that a user names; a `ModelError` says which there are."""
        check_choice("weights are", name, cls)
        return cls(name)

    @property
    def bits(self) -> int:
        """Bits of a code: 8 or 4."""
        return 8 if self is WeightFormat.W8 else 4

    @property
    def codebook(self) -> codebooks.Codebook | None:
        """The int8 value of each 4-bit code; None for `w8`."""
        return _CODEBOOKS.get(self)

    @property
    def largest_weight(self) -> int:
        """The largest magnitude whose block's scale is a float16; 65504 is the largest of those."""
        largest = 127 if self.codebook is None else int(np.abs(self.codebook.astype(int)).max())
        return largest * 65504


_CODEBOOKS = {
    WeightFormat.W4: codebooks.INT4,
    WeightFormat.INT4: codebooks.INT4,
    WeightFormat.FP4: codebooks.FP4,
    WeightFormat.NF4: codebooks.NF4,
    WeightFormat.IQ4_NL: codebooks.IQ4_NL,
}


@dataclass(frozen=True, kw_only=True)
class QuantizedMatrix:
    """A matrix in 32-blocks, independent of how it will be laid out in memory.

    `codes` is [rows, blocks, 32]: int8 values for `w8`, uint8 codes 0 to 15 for all others.
    `scales` is float16 [rows, blocks]. `columns` is the length of a row before it was padded with
    zeros to whole blocks. `codebook` gives the int8 value of each 4-bit code, and is None for `w8`.
    """

    format: WeightFormat
    columns: int
    codes: npt.NDArray[np.int8] | npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float16]
    codebook: npt.NDArray[np.int8] | None = None

    @property
    def rows(self) -> int:
        """Output channels."""
        return self.codes.shape[0]

    @property
    def blocks(self) -> int:
        """Blocks per row; the last one may end in padding."""
        return self.codes.shape[1]

    def integers(self) -> npt.NDArray[np.int8]:
        """What the multipliers see: int8 [rows, blocks, 32], 4-bit codes looked up."""
        if self.codebook is None:
            return self.codes.astype(np.int8, copy=False)
        return self.codebook[self.codes]

    def dequantize(self) -> npt.NDArray[np.float32]:
        """The matrix [rows, columns] that the blocks stand for, exact in float32."""
        values = self.integers() * self.scales.astype(np.float32)[:, :, np.newaxis]
        return values.reshape(self.rows, self.blocks * BLOCK)[:, : self.columns]


def quantize(matrix: npt.NDArray[np.float32], weight_format: WeightFormat) -> QuantizedMatrix:
    """Quantise a matrix [rows, columns], whose rows are padded with zeros to whole blocks.

    Raises `ModelError` when a value is not finite or beyond the format's `largest_weight`.
    """
    rows, columns = matrix.shape
    worst = float(np.abs(matrix).max(initial=0.0))
    if not worst <= weight_format.largest_weight:  # also where a value is NaN
        raise ModelError(
            f"a weight of magnitude {worst:g} cannot be quantised to {weight_format}, because the "
            f"float16 scale of its block allows at most {weight_format.largest_weight}."
        )
    padding = -columns % BLOCK
    padded = np.pad(matrix.astype(np.float32, copy=False), ((0, 0), (0, padding)))
    blocks = padded.reshape(rows, (columns + padding) // BLOCK, BLOCK)
    codes, scales = _blocks_to_codes(blocks, columns, weight_format)
    return QuantizedMatrix(
        format=weight_format,
        columns=columns,
        codes=codes,
        scales=scales.astype(np.float16),
        codebook=weight_format.codebook,
    )


def _blocks_to_codes(
    blocks: npt.NDArray[np.float32], columns: int, weight_format: WeightFormat
) -> tuple[npt.NDArray[np.int8] | npt.NDArray[np.uint8], npt.NDArray[np.floating[Any]]]:
    """Codes and scales of `blocks` [rows, blocks, 32], of which `columns` are not padding."""
    codebook = weight_format.codebook
    if codebook is None:
        return _quantize_q8_0(blocks)
    if weight_format is WeightFormat.W4:
        return _quantize_q4_0(blocks)
    rows, count, _ = blocks.shape
    whole = columns // BLOCK
    codes = np.full(blocks.shape, nearest_codes(np.zeros(1, np.float32), codebook), np.uint8)
    scales = np.zeros((rows, count), np.float16)
    found, scale = search_blocks(blocks[:, :whole].reshape(-1, BLOCK), codebook)
    codes[:, :whole] = found.reshape(rows, whole, BLOCK)
    scales[:, :whole] = scale.reshape(rows, whole)
    if whole < count:  # the padding has no say in the last block's scale
        width = columns % BLOCK
        codes[:, whole, :width], scales[:, whole] = search_blocks(
            blocks[:, whole, :width], codebook
        )
    return codes, scales


def _quantize_q8_0(
    blocks: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Codes and float32 scales of `blocks` [..., 32]."""
    scales = np.abs(blocks).max(axis=-1) / np.float32(127)
    scaled = blocks * _reciprocal(scales)[..., np.newaxis]
    magnitude = np.abs(scaled)
    whole = np.floor(magnitude)
    rounded = np.sign(scaled) * (whole + np.floor(2 * (magnitude - whole)))
    return _finite(rounded).astype(np.int8), scales


def _quantize_q4_0(
    blocks: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Codes and float32 scales of `blocks` [..., 32]."""
    largest = np.abs(blocks).argmax(axis=-1)[..., np.newaxis]
    scales = np.take_along_axis(blocks, largest, axis=-1)[..., 0] / np.float32(-8)
    scaled = blocks.astype(np.float64) * _reciprocal(scales)[..., np.newaxis].astype(np.float64)
    codes = np.trunc((scaled + 8.5).astype(np.float32))
    return _finite(codes).astype(np.uint8).clip(0, 15), scales


def _reciprocal(scales: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 / scale, and 0 where that is not a float32: such a scale is 0 in float16 anyway."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return _finite(np.float32(1) / scales)


def _finite(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`values` with 0 in place of what is not finite."""
    return np.where(np.isfinite(values), values, np.float32(0))
