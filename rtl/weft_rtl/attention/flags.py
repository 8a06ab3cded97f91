# SPDX-License-Identifier: Apache-2.0
"""Flags that travel beside data."""

from amaranth import Module, Signal, Value

__all__ = ["delay"]


def delay(m: Module, flag: Value, cycles: int, name: str) -> Value:
    """A flag ``cycles`` registers later. Reset takes it back, unlike `floating.formats.pipeline`:
    for whatever marks data as valid."""
    if cycles == 0:
        return flag
    stages = Signal(cycles, name=f"{name}_stages")
    m.d.sync += stages.eq((stages << 1) | flag)
    return stages[-1]
