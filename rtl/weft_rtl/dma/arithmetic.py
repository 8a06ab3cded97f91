# SPDX-License-Identifier: Apache-2.0
"""Expressions that the mapping to FPGA cells should find in a certain form."""

from amaranth import Array, Const, Value

__all__ = ["part_of", "times"]


def times(value: Value, constant: int) -> Value:
    """``value * constant`` as a sum of shifts, so that no multiplier cell is spent on it."""
    terms = [value << bit for bit in range(constant.bit_length()) if constant >> bit & 1]
    total: Value = terms[0] if terms else Const(0)
    for term in terms[1:]:
        total = total + term
    return total


def part_of(value: Value, index: Value, width: int) -> Value:
    """Part ``index`` of ``value`` in equal parts of ``width`` bits, as a multiplexer; a shift by
    ``index * width`` would be one of every bit."""
    parts = [value[at : at + width] for at in range(0, len(value), width)]
    return parts[0] if len(parts) == 1 else Array(parts)[index]
