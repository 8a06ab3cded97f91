# SPDX-License-Identifier: Apache-2.0
"""F24, the float of accumulators and vectors: 1 sign, 8 exponent (bias 127), 15 fraction bits.

F24 is the top 24 bits of an IEEE binary32 whose exponent field is 1 to 254, and zero. There are no
subnormals (they are flushed to +0 after rounding), no negative zero, no infinities and no NaN
(results too large saturate to +-MAX). Rounding is to nearest, ties to even.

NumPy arrays of F24 values are ``float32`` arrays that hold only representable values. Arithmetic
runs in ``float64``: products of two 16-bit significands are exact there, and a sum rounded to 53
bits and then to 16 equals the sum rounded once, because a term too small for 53 bits is also far
below half a unit of the 16-bit result. So one rounding step defines every operation.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "MAX",
    "add",
    "decode",
    "encode",
    "from_float16_bits",
    "from_float32",
    "multiply",
    "round_to_f24",
    "scale_exponent",
]

F32 = NDArray[np.float32]

FRACTION_BITS = 15
MAX = float(np.uint32(0x7F7FFF00).view(np.float32))
"""Largest finite F24."""
_TINY = 2.0**-126
_DROPPED = 52 - FRACTION_BITS
_HALF_MINUS_ONE = np.int64((1 << (_DROPPED - 1)) - 1)
_KEEP = np.int64(~((1 << _DROPPED) - 1))


def round_to_f24(x: ArrayLike) -> F32:
    """Round finite float64 values to F24: nearest-even, flush below 2**-126 to +0, saturate."""
    wide = np.array(x, dtype=np.float64, ndmin=1)
    bits = wide.view(np.int64)
    bits += _HALF_MINUS_ONE + ((bits >> _DROPPED) & 1)
    bits &= _KEEP
    np.clip(wide, -MAX, MAX, out=wide)
    wide[np.abs(wide) < _TINY] = 0.0
    return wide.astype(np.float32).reshape(np.shape(x))


def add(a: ArrayLike, b: ArrayLike) -> F32:
    """a + b, rounded once."""
    return round_to_f24(np.asarray(a, np.float64) + np.asarray(b, np.float64))


def multiply(a: ArrayLike, b: ArrayLike, exponent: ArrayLike = 0) -> F32:
    """a * b * 2**exponent, rounded once; the exponent is applied before flush and saturation."""
    product = np.asarray(a, np.float64) * np.asarray(b, np.float64)
    return round_to_f24(np.ldexp(product, np.asarray(exponent, np.int32)))


def scale_exponent(a: ArrayLike, exponent: ArrayLike) -> F32:
    """a * 2**exponent: exact but for flush and saturation."""
    return round_to_f24(np.ldexp(np.asarray(a, np.float64), np.asarray(exponent, np.int32)))


def from_float32(x: ArrayLike) -> F32:
    """Any binary32 to F24; exponent field 255 (infinity, NaN) saturates with its sign."""
    x32 = np.asarray(x, np.float32)
    bits = x32.view(np.uint32)
    special = (bits >> 23) & 0xFF == 0xFF
    largest = np.where(bits >> 31 != 0, np.float32(-MAX), np.float32(MAX))
    finite = np.where(special, largest, x32)
    return round_to_f24(finite)


def from_float16_bits(bits: ArrayLike) -> F32:
    """binary16 bit patterns to F24, exactly; exponent field 31 is read as an ordinary exponent."""
    b = np.asarray(bits, np.uint16).astype(np.int64)
    sign = np.where(b >> 15, -1.0, 1.0)
    exponent = (b >> 10) & 31
    fraction = b & 1023
    significand = np.where(exponent == 0, fraction, fraction + 1024)
    return round_to_f24(
        sign * np.ldexp(significand.astype(np.float64), np.maximum(exponent, 1) - 25)
    )


def encode(x: ArrayLike) -> NDArray[np.uint32]:
    """F24 values to their 24-bit patterns."""
    return np.asarray(x, np.float32).view(np.uint32) >> np.uint32(8)


def decode(bits: ArrayLike) -> F32:
    """24-bit patterns to F24 values; patterns that are not F24 (exponent field 0 or 255) decode
    as the hardware treats them: exponent field 0 is zero, 255 saturates."""
    return from_float32((np.asarray(bits, np.uint32) << np.uint32(8)).view(np.float32))
