# SPDX-License-Identifier: Apache-2.0
"""What a simulated device shows of itself in every cycle, for profiles: one word of 64 bits."""

from weft_arch.isa import ENGINES, Engine

__all__ = ["ENGINE_BITS", "STROBES", "Wire", "engine_shift"]

ENGINE_BITS = 7
"""Per engine: an instruction is handed to it (bit 0), one is done (bit 1), and the dependency token
that the next one waits for, or 0 (bits 2 to 6)."""


class Wire:
    """Bit numbers of what no engine has alone."""

    MAC = ENGINE_BITS * len(ENGINES)
    """an activation row is on its way into the array"""
    WAIT_WEIGHTS = MAC + 1
    """none is, because the weights have not come yet"""
    READ_BEAT = MAC + 2
    """a beat of read data has come"""
    WRITE_BEAT = MAC + 3
    """a beat of write data has been taken"""
    RUNNING = MAC + 4
    """a program is at work"""


def engine_shift(engine: Engine) -> int:
    """Bit number of the lowest bit of an engine."""
    return ENGINE_BITS * ENGINES.index(engine)


STROBES = sum(3 << engine_shift(engine) for engine in ENGINES)
"""Bits that stand for an event each time, also in cycles that follow each other."""
