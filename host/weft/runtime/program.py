# SPDX-License-Identifier: Apache-2.0
"""Tells a device where its program is and which memory it may touch."""

from weft_arch import registers
from weft_arch.device import Device

__all__ = ["set_program"]


def set_program(
    device: Device, base: int, length: int, *, region: tuple[int, int], write: tuple[int, int]
) -> None:
    """Set the registers for a program of ``length`` instructions at byte address ``base``.

    It may read addresses in ``region`` and write those in ``write``; each is a first address and
    the one after the last.
    """
    for name, value in (
        ("PROGRAM_BASE", base),
        ("PROGRAM_LENGTH", length),
        ("REGION_BASE", region[0]),
        ("REGION_LIMIT", region[1]),
        ("WRITE_BASE", write[0]),
        ("WRITE_LIMIT", write[1]),
    ):
        device.write_register(registers.offset(name), value)
