# SPDX-License-Identifier: Apache-2.0
"""The F24 operations of `weft_arch.float24`, kept in float64 and tuned for many small arrays.

Each function equals its definition in `weft_arch` bit for bit (tests compare them); what it saves
are conversions and range checks.
"""

import numpy as np
from numpy.typing import NDArray

from weft_arch.float24 import MAX

__all__ = ["F64", "accumulate_terms", "reduce_sum", "rounded", "scaled", "terms"]

F64 = NDArray[np.float64]

_TINY = 2.0**-126
_SAFE_ULP = 2.0**-111
_HALF = np.int64((1 << 36) - 1)
_ONE = np.int64(1)
_SHIFT = np.int64(37)
_KEEP = np.int64(~((1 << 37) - 1))


def _round_significand(x: F64) -> None:
    bits = x.view(np.int64)
    odd = bits >> _SHIFT
    odd &= _ONE
    odd += _HALF
    bits += odd
    bits &= _KEEP


def rounded(x: F64) -> F64:
    """Round float64 values to F24 in place and return them."""
    _round_significand(x)
    magnitude = np.abs(x)
    if magnitude.size and magnitude.max() > MAX:
        np.clip(x, -MAX, MAX, out=x)
    x[magnitude < _TINY] = 0.0
    return x


def scaled(x: F64, exponent: NDArray[np.int64]) -> F64:
    """x * 2**exponent as F24: exact but for flush and saturation."""
    return rounded(np.ldexp(x, exponent))


def terms(partial_sums: NDArray[np.float32], scales: F64, exponents: NDArray[np.int32]) -> F64:
    """round(round(partial_sum) * scale * 2**exponent) for broadcastable arrays."""
    wide = partial_sums.astype(np.float64)
    _round_significand(wide)
    wide = wide * scales
    return rounded(np.ldexp(wide, exponents))


def accumulate_terms(initial: F64, term: F64) -> F64:
    """Add term[0], term[1], ... to ``initial`` one after the other, each sum rounded.

    When no partial sum can leave the range of F24 (the sum of magnitudes is finite) or fall below
    its smallest value (every term is a multiple of 2**-126), the range checks are left out.
    """
    total = initial.copy()
    magnitude = np.abs(term)
    bound = np.abs(initial) + magnitude.sum(axis=0)
    magnitude[magnitude == 0] = 1.0
    start = np.abs(initial[initial != 0])
    safe = (
        (bound.max(initial=0) < MAX / 2)
        and magnitude.min(initial=1.0) >= _SAFE_ULP
        and start.min(initial=1.0) >= _SAFE_ULP
    )
    step = _round_significand if safe else rounded
    for one in term:
        total += one
        step(total)
    return total


def reduce_sum(x: F64) -> F64:
    """`weft_arch.blocks.reduce_sum`: 32 interleaved partial sums, then a tree. x: [..., n]."""
    n = x.shape[-1]
    padded = np.zeros((*x.shape[:-1], -(-n // 32) * 32))
    padded[..., :n] = x
    parts = np.moveaxis(padded.reshape(*x.shape[:-1], -1, 32), -2, 0)
    partial = accumulate_terms(np.zeros(parts.shape[1:]), np.ascontiguousarray(parts))
    width = 16
    while width:
        partial = rounded(partial[..., :width] + partial[..., width : 2 * width])
        width //= 2
    return partial[..., 0]
