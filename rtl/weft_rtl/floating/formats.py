# SPDX-License-Identifier: Apache-2.0
"""Bit patterns of floats, and the small combinational pieces that the float units share."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data

__all__ = [
    "BIAS",
    "F24",
    "FLOAT",
    "FRACTION_BITS",
    "MAX_MAGNITUDE",
    "canonical",
    "fields",
    "leading_zeros",
    "pipeline",
    "shift_right_sticky",
]

FRACTION_BITS = 15
BIAS = 127
FLOAT = unsigned(24)
"""Shape of an F24 pattern."""
MAX_MAGNITUDE = 0x7F7FFF
"""Pattern of the largest F24, without the sign."""


class F24(data.Struct):
    """The fields of an F24 pattern; `fields` views one."""

    fraction: 15
    exponent: 8
    sign: 1


def fields(pattern: Value) -> Any:
    """The pattern as an `F24`."""
    return data.View(F24, pattern)


def canonical(pattern: Value) -> Value:
    """Any 24 bits as the F24 that `weft_arch.float24.decode` reads: exponent field 0 is zero,
    255 saturates."""
    exponent = pattern[15:23]
    magnitude = Mux(exponent.all(), MAX_MAGNITUDE, pattern[:23])
    return Mux(exponent.any(), Cat(magnitude, pattern[23]), 0)


def leading_zeros(value: Value) -> Value:
    """Zeros above the highest set bit; for a value of zero, at least its width."""
    width = 1 << max(1, (len(value) - 1).bit_length())
    padded = Cat(Const(0, width - len(value)), value)

    def count(bits: Value) -> tuple[Value, Value]:
        # (count below the full width, all zero)
        if len(bits) == 2:
            return ~bits[1], ~bits.any()
        half = len(bits) // 2
        low, low_zero = count(bits[:half])
        high, high_zero = count(bits[half:])
        return Cat(Mux(high_zero, low, high), high_zero), high_zero & low_zero

    zeros, all_zero = count(padded)
    return zeros if len(value) < width else Cat(zeros, all_zero)


def shift_right_sticky(m: Module, value: Value, amount: Value, name: str) -> tuple[Value, Value]:
    """``value >> amount`` in the width of ``value``, and whether a set bit was shifted out."""
    width = len(value)
    sticky: Value = Const(0)
    for k in reversed(range(len(amount))):
        distance = 1 << k
        step = Signal(width, name=f"{name}_shifted_{k}")
        lost = Signal(name=f"{name}_sticky_{k}")
        m.d.comb += [
            step.eq(Mux(amount[k], value >> distance, value)),
            lost.eq(sticky | (amount[k] & value[:distance].any())),
        ]
        value, sticky = step, lost
    return value, sticky


def pipeline(m: Module, value: Value, cycles: int, name: str) -> Value:
    """``value`` delayed by ``cycles`` registers without reset."""
    for k in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{k + 1}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
