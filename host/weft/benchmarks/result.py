# SPDX-License-Identifier: Apache-2.0
"""What a benchmark returns."""

from collections.abc import Callable
from dataclasses import dataclass, field

from weft_arch import registers
from weft_arch.device import Device

__all__ = ["Progress", "Result", "read_counters"]

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A measured figure; ``counters`` are the hardware's, over the measured work."""

    name: str
    preset: str
    value: float
    unit: str
    target: str
    cycles: int
    counters: dict[str, int] = field(default_factory=dict[str, int])


def read_counters(device: Device) -> dict[str, int]:
    """Every hardware counter by its lower-case name."""
    values: dict[str, int] = {}
    for name in registers.COUNTERS:
        offset = registers.counter_offset(name)
        low = device.read_register(offset)
        values[name.lower()] = low | device.read_register(offset + 4) << 32
    return values
