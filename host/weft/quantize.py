# SPDX-License-Identifier: Apache-2.0
"""Weights as blocks of 32 small integers with one scale.

Blocks lie along the last axis of a matrix, which is the reduction axis; a row is one output
channel. Both formats are those of GGUF, bit for bit, so a GGUF file's tensors can be taken as
they are:

| format | GGUF | scale d | code | value |
|---|---|---|---|---|
| `w8` | Q8_0 | max(abs(x)) / 127 | round(x * (1 / d)), ties away from 0 | code * d |
| `w4` | Q4_0 | (x of largest abs(x)) / -8 | trunc(x * (1 / d) + 8.5), at most 15 | (code - 8) * d |

Codes are computed with the float32 scale; what is stored, and what values are computed from, is
that scale rounded to float16. The arithmetic is float32, except that Q4_0 multiplies and adds in
float64 and rounds the sum to float32 before it truncates.

Source: classes `Q8_0` and `Q4_0` of gguf-py/gguf/quants.py in
https://github.com/ggml-org/llama.cpp; a test compares with the `gguf` package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from weft.errors import ModelError, shown

__all__ = ["BLOCK", "Q4_0_CODEBOOK", "QuantizedMatrix", "WeightFormat", "quantize"]

BLOCK = 32
"""Values that share one scale."""

Q4_0_CODEBOOK: npt.NDArray[np.int8] = np.arange(-8, 8, dtype=np.int8)
"""The int8 value of each 4-bit code of Q4_0."""
Q4_0_CODEBOOK.setflags(write=False)


class WeightFormat(StrEnum):
    """How a weight matrix is stored; the values are what a user types."""

    W8 = "w8"
    W4 = "w4"

    @classmethod
    def named(cls, name: str) -> "WeightFormat":
        """The format that a user names; a `ModelError` says which there are."""
        if name not in list(cls):
            raise ModelError(f"weights are {shown(name)}, but must be w8 or w4.")
        return cls(name)


LARGEST_WEIGHT = {WeightFormat.W8: 127 * 65504, WeightFormat.W4: 8 * 65504}
"""The largest magnitude whose block's scale is a float16; 65504 is the largest of those."""


@dataclass(frozen=True, kw_only=True)
class QuantizedMatrix:
    """A matrix in 32-blocks, independent of how it will be laid out in memory.

    `codes` is [rows, blocks, 32]: int8 values for `w8`, uint8 codes 0 to 15 for `w4`.
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

    Raises `ModelError` when a value is not finite or beyond `LARGEST_WEIGHT`.
    """
    rows, columns = matrix.shape
    worst = float(np.abs(matrix).max(initial=0.0))
    if not worst <= LARGEST_WEIGHT[weight_format]:  # also where a value is NaN
        raise ModelError(
            f"a weight of magnitude {worst:g} cannot be quantised to {weight_format}, because the "
            f"float16 scale of its block allows at most {LARGEST_WEIGHT[weight_format]}."
        )
    padding = -columns % BLOCK
    padded = np.pad(matrix.astype(np.float32, copy=False), ((0, 0), (0, padding)))
    blocks = padded.reshape(rows, (columns + padding) // BLOCK, BLOCK)
    codes, scales = _QUANTIZERS[weight_format](blocks)
    return QuantizedMatrix(
        format=weight_format,
        columns=columns,
        codes=codes,
        scales=scales.astype(np.float16),
        codebook=Q4_0_CODEBOOK if weight_format is WeightFormat.W4 else None,
    )


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


_Quantizer = Callable[
    [npt.NDArray[np.float32]],
    tuple[npt.NDArray[np.int8] | npt.NDArray[np.uint8], npt.NDArray[np.float32]],
]
_QUANTIZERS: dict[WeightFormat, _Quantizer] = {
    WeightFormat.W8: _quantize_q8_0,
    WeightFormat.W4: _quantize_q4_0,
}
