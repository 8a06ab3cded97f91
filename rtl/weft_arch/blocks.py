# SPDX-License-Identifier: Apache-2.0
"""Block-scaled integers: the quantiser of activations, keys, values and probabilities, and the
order in which the array's results are accumulated and reduced."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft_arch import float24
from weft_arch.config import BLOCK

__all__ = [
    "KEY_BITS",
    "KEY_MIN_EXPONENT",
    "LOW_PLANE_BITS",
    "MIN_EXPONENT",
    "VALUE_BITS",
    "WIDE_KEY_MIN_EXPONENT",
    "accumulate",
    "key_planes",
    "quantize",
    "reduce_sum",
]

KEY_BITS = 8
VALUE_BITS = 8
MIN_EXPONENT = -128
"""Smallest block exponent (signed 8 bits); also the exponent of an all-zero block."""
KEY_MIN_EXPONENT = -14
"""Smallest exponent of a key block, whose scale is stored as a normal float16."""
LOW_PLANE_BITS = 7
"""How much smaller the exponent of a wide key's low plane is than that of its high plane."""
WIDE_KEY_MIN_EXPONENT = KEY_MIN_EXPONENT + LOW_PLANE_BITS
"""Smallest exponent of the high plane, so that the low plane's is a normal float16 too."""


def quantize(
    values: ArrayLike, bits: int, min_exponent: int = MIN_EXPONENT
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Quantise groups along the last axis to ``bits``-bit codes with a power-of-two scale each.

    values: F24 [..., n]. Returns codes int32 [..., n] and exponents int32 [...]: a value is about
    ``code * 2**exponent``. With E the largest unbiased exponent of the group, the exponent is
    ``max(E - (bits - 2), min_exponent)``, the code is ``value / 2**exponent`` rounded to nearest,
    ties to even, and clamped to +-(2**(bits-1) - 1). All zero: exponent = min_exponent.
    """
    x = np.asarray(values, np.float32)
    biased = (x.view(np.uint32) >> np.uint32(23)) & np.uint32(0xFF)
    largest = biased.max(axis=-1).astype(np.int32)
    exponent = np.maximum(largest - 127 - (bits - 2), min_exponent).astype(np.int32)
    limit = (1 << (bits - 1)) - 1
    scaled = np.rint(np.ldexp(x.astype(np.float64), -exponent[..., None]))
    return np.clip(scaled, -limit, limit).astype(np.int32), exponent


def key_planes(
    values: ArrayLike,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Quantise groups along the last axis to wide keys: 14 bits and a sign, in two int8 planes.

    values: F24 [..., n]. Returns the codes of the high and of the low plane, int32 [..., n], and
    the high plane's exponents int32 [...]: a value is about
    ``(128 * high + low) * 2**(exponent - 7)``. With E the largest unbiased exponent of the group,
    the exponent is ``max(E - 6, WIDE_KEY_MIN_EXPONENT)``. ``value / 2**(exponent - 7)`` is rounded
    towards zero; its lowest 7 bits, with the value's sign, are the low plane, the others the high.
    """
    x = np.asarray(values, np.float32)
    biased = (x.view(np.uint32) >> np.uint32(23)) & np.uint32(0xFF)
    largest = biased.max(axis=-1).astype(np.int32)
    exponent = np.maximum(largest - 127 - (KEY_BITS - 2), WIDE_KEY_MIN_EXPONENT).astype(np.int32)
    scaled = np.ldexp(x.astype(np.float64), LOW_PLANE_BITS - exponent[..., None])
    magnitude = np.abs(scaled).astype(np.int32)
    sign = np.sign(scaled).astype(np.int32)
    low = magnitude & ((1 << LOW_PLANE_BITS) - 1)
    return sign * (magnitude >> LOW_PLANE_BITS), sign * low, exponent


def accumulate(
    accumulator: ArrayLike, partial_sum: ArrayLike, scale: ArrayLike, exponent: ArrayLike
) -> NDArray[np.float32]:
    """One step of the scaled accumulator, in F24:
    ``accumulator + round(round(partial_sum) * scale * 2**exponent)``.

    partial_sum: the exact integer dot product of one block; scale: the weight block's scale (F24);
    exponent: the activation block's. Blocks are accumulated in the order of the reduction index,
    starting from zero or from the initial value (bias, residual) that the instruction names.
    """
    term = float24.multiply(float24.round_to_f24(partial_sum), scale, exponent)
    return float24.add(accumulator, term)


def reduce_sum(values: ArrayLike) -> NDArray[np.float32]:
    """Sum F24 values along the last axis in the vector unit's order.

    32 partial sums, each over every 32nd value in order (starting from zero), then a tree that adds
    partial sum j + 16 to j, then j + 8 to j, and so on. The order does not depend on the lanes.
    """
    x = np.asarray(values, np.float32)
    n = x.shape[-1]
    partial = np.zeros((*x.shape[:-1], BLOCK), np.float32)
    for start in range(0, n, BLOCK):
        part = x[..., start : start + BLOCK]
        partial[..., : part.shape[-1]] = float24.add(partial[..., : part.shape[-1]], part)
    width = BLOCK // 2
    while width:
        partial = float24.add(partial[..., :width], partial[..., width : 2 * width])
        width //= 2
    return partial[..., 0]
