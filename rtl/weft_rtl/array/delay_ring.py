# SPDX-License-Identifier: Apache-2.0
"""Values some cycles later, without a register per cycle."""

from amaranth import Module, Signal, Value
from amaranth.lib import memory

__all__ = ["delayed"]

_DEPTH = 16
"""Entries of a ring: those of one distributed RAM, four bits of which take six LUT4."""
_LEAST = 4
"""Cycles from which on a ring is smaller than registers."""


def delayed(m: Module, name: str, value: Value, cycles: int) -> Value:
    """``value``, ``cycles`` cycles later: registers, or rings with a register behind each.

    A ring is a memory that is written at one place and read some places behind it in every cycle.
    Nothing of it is ever reset; in its first ``cycles`` cycles the result is 0.
    """
    rings = -(-cycles // (_DEPTH + 1)) if cycles >= _LEAST else 0
    if not rings:
        for step in range(cycles):
            register = Signal(len(value), name=f"{name}_delay_{step}", reset_less=True)
            m.d.sync += register.eq(value)
            value = register
    for index in range(rings):
        share = (cycles * (index + 1)) // rings - (cycles * index) // rings
        value = _ring(m, f"{name}_ring_{index}", value, share)
    return value


def _ring(m: Module, name: str, value: Value, cycles: int) -> Value:
    ring = memory.Memory(shape=len(value), depth=_DEPTH, init=[])
    m.submodules[name] = ring
    write, read = ring.write_port(), ring.read_port(domain="comb")
    # Counters of its own, which lie beside it.
    write_at = Signal(range(_DEPTH), name=f"{name}_write_at", reset_less=True)
    read_at = Signal(
        range(_DEPTH), name=f"{name}_read_at", init=-(cycles - 1) % _DEPTH, reset_less=True
    )
    result = Signal(len(value), name=f"{name}_result", reset_less=True)
    m.d.comb += [
        write.en.eq(1),
        write.addr.eq(write_at),
        write.data.eq(value),
        read.addr.eq(read_at),
    ]
    m.d.sync += [
        write_at.eq(write_at + 1),
        read_at.eq(read_at + 1),
        result.eq(read.data),
    ]
    return result
