# SPDX-License-Identifier: Apache-2.0
"""Non-linear functions, defined by integer arithmetic and small tables.

Each is piecewise linear: ``y = base[i] + ((slope[i] * f) >> fraction_bits)`` with a floor shift,
where ``i`` and ``f`` are the upper and lower bits of a fixed-point argument and y is Q0.16 (an
integer, 65536 = 1.0). The RTL holds the same ``base`` and ``slope`` in ROM.

Accuracy (largest absolute error of y / 65536 against the exact function): EXP2 2.0e-5,
SIGMOID 3.2e-5, GELU_TANH and GELU_ERF 5.1e-5, RECIPROCAL and RSQRT 2.3e-5.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft_arch import float24

__all__ = [
    "EXP2",
    "GATE_FRACTION_BITS",
    "GELU_ERF",
    "GELU_TANH",
    "RECIPROCAL",
    "RSQRT",
    "SCORE_FRACTION_BITS",
    "SIGMOID",
    "PiecewiseTable",
    "gate",
    "reciprocal",
    "rsqrt",
    "to_fixed",
]

ONE = 1 << 16
SCORE_FRACTION_BITS = 12
"""Attention scores, in units of log2, are fixed point with this many fraction bits."""
GATE_FRACTION_BITS = 12
"""The argument of a gate, |x| below 16, is fixed point with this many fraction bits."""

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class PiecewiseTable:
    """A piecewise linear function of an ``index_bits + fraction_bits`` wide unsigned argument.

    ``base`` has 2**index_bits entries of 17 unsigned bits, ``slope`` as many signed ones.
    """

    name: str
    index_bits: int
    fraction_bits: int
    base: tuple[int, ...]
    slope: tuple[int, ...]

    @staticmethod
    def sample(
        name: str, index_bits: int, fraction_bits: int, knot: Callable[[int], float]
    ) -> "PiecewiseTable":
        """Interpolate between ``knot(i)`` and ``knot(i + 1)``, both rounded to Q0.16."""
        values = [math.floor(knot(i) * ONE + 0.5) for i in range((1 << index_bits) + 1)]
        slope = tuple(b - a for a, b in itertools.pairwise(values))
        return PiecewiseTable(name, index_bits, fraction_bits, tuple(values[:-1]), slope)

    def evaluate(self, argument: ArrayLike) -> I64:
        """y in Q0.16 for unsigned integer arguments."""
        a = np.asarray(argument, np.int64)
        index = a >> self.fraction_bits
        fraction = a & ((1 << self.fraction_bits) - 1)
        base = np.asarray(self.base, np.int64)[index]
        return base + ((np.asarray(self.slope, np.int64)[index] * fraction) >> self.fraction_bits)


def _gelu_tanh_gate(x: float) -> float:
    return 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


EXP2 = PiecewiseTable.sample("exp2", 6, 6, lambda i: 2.0 ** (-i / 64))
"""2**-f for f in [0, 1) with 12 fraction bits; y from 65536 down to just above 32768."""
SIGMOID = PiecewiseTable.sample("sigmoid", 9, 7, lambda i: 1 / (1 + math.exp(-i / 32)))
GELU_TANH = PiecewiseTable.sample("gelu_tanh", 9, 7, lambda i: _gelu_tanh_gate(i / 32))
GELU_ERF = PiecewiseTable.sample(
    "gelu_erf", 9, 7, lambda i: 0.5 * (1 + math.erf(i / 32 / math.sqrt(2)))
)
RECIPROCAL = PiecewiseTable.sample("reciprocal", 8, 7, lambda i: 1 / (1 + i / 256))
"""1/m for a significand m in [1, 2): the argument is m's 15 fraction bits."""
RSQRT = PiecewiseTable.sample(
    "rsqrt",
    9,
    7,
    # The upper half (index bit 8 set) is for odd exponents, significands in [2, 4). Its last knot
    # is 4; the last knot of the lower half would be 2 and is the first one of the upper half.
    lambda i: 1 / math.sqrt(1 + i / 256 if i < 256 else 2 + (i - 256) / 128),
)
"""1/sqrt(m): the argument is {odd exponent, m's 15 fraction bits}."""


def to_fixed(x: ArrayLike, fraction_bits: int, width: int) -> I64:
    """F24 to signed fixed point of ``width`` bits: round to nearest even, saturate symmetrically to
    +-(2**(width-1) - 1)."""
    limit = float((1 << (width - 1)) - 1)
    scaled = np.rint(np.ldexp(np.asarray(x, np.float64), fraction_bits))
    return np.clip(scaled, -limit, limit).astype(np.int64)


def gate(table: PiecewiseTable, x: ArrayLike) -> NDArray[np.float32]:
    """x * g(x) in F24, where g(-x) = 1 - g(x) is SIGMOID, GELU_TANH or GELU_ERF.

    |x| is rounded to 12 fraction bits and saturated just below 16.
    """
    x32 = np.asarray(x, np.float32)
    argument = to_fixed(np.abs(x32), GATE_FRACTION_BITS, 17)
    y = table.evaluate(argument)
    y = np.where(x32 < 0, ONE - y, y)
    return float24.multiply(x32, y, -16)


def reciprocal(x: ArrayLike) -> NDArray[np.float32]:
    """1/x in F24 for x > 0; 0 for x <= 0."""
    x32 = np.asarray(x, np.float32)
    bits = float24.encode(x32).astype(np.int64)
    y = RECIPROCAL.evaluate(bits & 0x7FFF)
    exponent = ((bits >> 15) & 0xFF) - 127
    result = float24.scale_exponent(y.astype(np.float64), -16 - exponent)
    return np.where(x32 > 0, result, np.float32(0))


def rsqrt(x: ArrayLike) -> NDArray[np.float32]:
    """1/sqrt(x) in F24 for x > 0; 0 for x <= 0."""
    x32 = np.asarray(x, np.float32)
    bits = float24.encode(x32).astype(np.int64)
    exponent = ((bits >> 15) & 0xFF) - 127
    y = RSQRT.evaluate((bits & 0x7FFF) + ((exponent & 1) << 15))
    result = float24.scale_exponent(y.astype(np.float64), -16 - (exponent >> 1))
    return np.where(x32 > 0, result, np.float32(0))
