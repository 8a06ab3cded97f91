# SPDX-License-Identifier: Apache-2.0
"""What host and firmware share of choosing tokens: numbers and the table of powers of two.

`weft.sampling` is the definition, in integers; `firmware/sample.c` follows it bit for bit, without
sorting. Both use these constants.
"""

import math

__all__ = [
    "DISTANCE_SHIFT",
    "EXP2_TABLE",
    "GOLDEN",
    "LOGIT_FRACTION_BITS",
    "MIX_A",
    "MIX_B",
    "TOP_P_BITS",
]

LOGIT_FRACTION_BITS = 16
"""Fraction bits of a logit as a fixed-point number."""
DISTANCE_SHIFT = 20
"""Fraction bits of inverse_temperature."""
TOP_P_BITS = 16
"""Fraction bits of top_p."""
GOLDEN = 0x9E3779B97F4A7C15
"""Step of splitmix64."""
MIX_A = 0xBF58476D1CE4E5B9
"""First factor of splitmix64's output function."""
MIX_B = 0x94D049BB133111EB
"""Second factor of it."""


def _exp2_table() -> tuple[int, ...]:
    """`floor(2**(31 - i/256))` for i = 0 to 256, by exact integer square roots.

    Eight nested floors of square roots are the floor of the 256th root.
    """
    table: list[int] = []
    for i in range(257):
        value = 1 << (256 * 31 - i)
        for _ in range(8):
            value = math.isqrt(value)
        table.append(value)
    return tuple(table)


EXP2_TABLE = _exp2_table()
