# SPDX-License-Identifier: Apache-2.0
"""What a benchmark returns, and how it is measured."""

from collections.abc import Callable
from dataclasses import dataclass, field

from weft_arch import registers
from weft_arch.device import Device

__all__ = ["Progress", "Result", "measure"]

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
    forecast: int | None = None
    """cycles that `weft.forecast` says"""
    counters: dict[str, int] = field(default_factory=dict[str, int])


def measure(device: Device, work: Callable[[], object]) -> dict[str, int]:
    """How far every hardware counter moves during some work, by lower-case name."""
    before = _read_counters(device)
    work()
    return {name: value - before[name] for name, value in _read_counters(device).items()}


def _read_counters(device: Device) -> dict[str, int]:
    values: dict[str, int] = {}
    for name in registers.COUNTERS:
        offset = registers.counter_offset(name)
        low = device.read_register(offset)
        values[name.lower()] = low | device.read_register(offset + 4) << 32
    return values
