# SPDX-License-Identifier: Apache-2.0
"""The board's CPU, as its host sees it: registers behind those of the accelerator."""

from typing import Protocol, Self

from weft_arch import registers
from weft_arch.device import DeviceError
from weft_arch.registers import Interrupt
from weft_arch.soc import (
    BOOT_DETAIL_SHIFT,
    BOOT_STAGE_MASK,
    LINK_BASE,
    SOC_ID_VALUE,
    SOC_VERSION_VALUE,
    BootStage,
    CpuControl,
    soc_offset,
)

__all__ = ["BoardCpu", "Registers"]

_PROBE = 0x5A5A_5A40
"""Something that MAILBOX does not hold by itself."""


class Registers(Protocol):
    """Registers of accelerator and SoC; a `weft_arch.device.DeviceError` where there is none."""

    def read_register(self, offset: int, /) -> int:
        """The value of a register."""
        ...

    def write_register(self, offset: int, value: int, /) -> None:
        """Write a register."""
        ...


class BoardCpu:
    """The SoC's registers by name."""

    def __init__(self, device: Registers) -> None:
        self._device = device

    @classmethod
    def find(cls, device: Registers) -> Self | None:
        """The CPU of a board, held in reset; None if the board has none that this host knows.

        A board without one answers an error, or repeats the accelerator's registers; those cannot
        be written where MAILBOX is.
        """
        cpu = cls(device)
        try:
            if cpu.read("SOC_ID") != SOC_ID_VALUE:
                return None
            if cpu.read("SOC_VERSION") >> 16 != SOC_VERSION_VALUE >> 16:
                return None
            cpu.hold()
            cpu.write("MAILBOX", _PROBE)
            found = cpu.read("MAILBOX") == _PROBE
            cpu.write("MAILBOX", 0)
            return cpu if found and cpu.read("MAILBOX") == 0 else None
        except (DeviceError, ValueError):
            return None

    def read(self, name: str) -> int:
        """The value of a register of `weft_arch.soc`."""
        return self._device.read_register(LINK_BASE + soc_offset(name))

    def write(self, name: str, value: int) -> None:
        """Write a register of `weft_arch.soc`."""
        self._device.write_register(LINK_BASE + soc_offset(name), value)

    def hold(self) -> None:
        """Hold the CPU in reset."""
        self.write("CPU_CONTROL", CpuControl.HOLD)

    def start(self, mailbox: int) -> None:
        """Let the held CPU begin, with rings at an address."""
        for name in ("NOTIFY", "DOORBELL", "BOOT_STATUS"):
            self.write(name, 0)
        self.write("MAILBOX", mailbox)
        self.write("CPU_CONTROL", 0)

    def take_interrupt(self, *, accelerator: bool) -> None:
        """Say whose interrupt the link's is: the accelerator's too, or NOTIFY alone."""
        if accelerator:
            both = Interrupt.DONE | Interrupt.FAULT
            self._device.write_register(registers.offset("INTERRUPT_PENDING"), both)
        self.write("CPU_CONTROL", 0 if accelerator else CpuControl.ACCELERATOR_TO_CPU)

    def stage(self) -> tuple[BootStage | int, int]:
        """How far the firmware has come, and the detail beside it."""
        status = self.read("BOOT_STATUS")
        stage = status & BOOT_STAGE_MASK
        known = BootStage(stage) if stage in set(BootStage) else stage
        return known, status >> BOOT_DETAIL_SHIFT & 0xFF
