# SPDX-License-Identifier: Apache-2.0
"""What the board's RISC-V sees: memory map, and the registers that it shares with the host.

The same registers stand behind the link: a register request for offset `LINK_BASE` + n reaches SoC
register n, one below `LINK_BASE` the accelerator's (`weft_arch.registers`). All are 32 bits wide
and are read and written as whole words; CPU and host may both write those that are written.

The board starts with CPU_CONTROL 0: the CPU runs. The link's RESET resets the accelerator, neither
the CPU nor these registers.

The firmware waits for no interrupt; it looks at INTERRUPTS, which costs the DRAM nothing. The
link's interrupt (WAIT_INTERRUPT) is NOTIFY, or the accelerator's unless CPU_CONTROL says that it
goes to the CPU only.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from weft_arch.registers import ID_VALUE, Access, Register

__all__ = [
    "BOOT_DETAIL_SHIFT",
    "BOOT_JOBS_SHIFT",
    "BOOT_STAGE_MASK",
    "LINK_BASE",
    "MEMORY_MAP",
    "SOC_ID_VALUE",
    "SOC_REGISTERS",
    "SOC_VERSION_VALUE",
    "SOC_WINDOW_BYTES",
    "WATCHDOG_EXPIRED",
    "BootStage",
    "CpuControl",
    "MemoryArea",
    "SocInterrupt",
    "area",
    "soc_offset",
]

SOC_ID_VALUE = ID_VALUE
"""'WEFT' in ASCII, most significant byte first: there is a CPU behind the link."""
SOC_VERSION_VALUE = 0x0001_0000
"""Major version in the upper half: an incompatible contract changes it."""
SOC_WINDOW_BYTES = 0x100
"""Size of the window of SoC registers; addresses beyond it answer an error."""
LINK_BASE = 0x1_0000
"""Where the SoC registers begin among the link's register offsets."""

BOOT_STAGE_MASK = 0xFF
"""Bits of BOOT_STATUS that hold the `BootStage`."""
BOOT_DETAIL_SHIFT = 8
"""First of the 8 bits of BOOT_STATUS with details: after TRAP its cause (mcause, with bit 31 in bit
7), where 0x8B is a load or store that a bus refused; 1 while READY says that MAILBOX does not lead
to rings; else 0."""
BOOT_JOBS_SHIFT = 16
"""First of the 8 bits of BOOT_STATUS with the version of the jobs that the firmware takes."""
WATCHDOG_EXPIRED = 0x8000_0000
"""Bit of BOOT_STATUS that the watchdog sets when it resets the CPU; it stays until written."""


@dataclass(frozen=True, kw_only=True)
class MemoryArea:
    """A range of the CPU's addresses. `bytes` is its size; the DRAM's is the most there can be."""

    name: str
    base: int
    bytes: int
    doc: str


MEMORY_MAP: tuple[MemoryArea, ...] = (
    MemoryArea(
        name="ROM",
        base=0x0000_0000,
        bytes=24 << 10,
        doc="firmware, its constants too; reset begins at 0",
    ),
    MemoryArea(name="RAM", base=0x1000_0000, bytes=8 << 10, doc="the firmware's data and stack"),
    MemoryArea(
        name="DRAM",
        base=0x4000_0000,
        bytes=0x4000_0000,
        doc="the accelerator's memory; its byte address 0 is at the base",
    ),
    MemoryArea(
        name="ACCELERATOR", base=0xF000_0000, bytes=0x400, doc="see the accelerator's registers"
    ),
    MemoryArea(name="SOC", base=0xF001_0000, bytes=SOC_WINDOW_BYTES, doc="the registers below"),
)
"""What stands where; an address in no area answers an error."""


class CpuControl(IntFlag):
    """Bits of CPU_CONTROL."""

    HOLD = 1
    """the CPU is held in reset; it begins anew at 0 when this is cleared"""
    ACCELERATOR_TO_CPU = 2
    """the accelerator's interrupt goes to the CPU only: the link's interrupt is NOTIFY alone"""


class SocInterrupt(IntFlag):
    """Bits of INTERRUPTS."""

    DOORBELL = 1
    """DOORBELL is not 0"""
    ACCELERATOR = 2
    """the accelerator's interrupt is high"""


class BootStage(IntEnum):
    """Bits 0-7 of BOOT_STATUS: how far the firmware has come."""

    RESET = 0
    """nothing has run since the board was switched on"""
    STARTED = 1
    """the first instructions have run: RAM is being prepared"""
    NO_ACCELERATOR = 2
    """ended: the accelerator's ID or VERSION is not the one that the firmware was made for"""
    READY = 3
    """waits for the doorbell"""
    WORKING = 4
    """a job is under way"""
    TRAP = 5
    """ended: the CPU met an instruction or address that it cannot execute"""


def _registers() -> tuple[Register, ...]:
    ro, rw = Access.READ_ONLY, Access.READ_WRITE
    return (
        Register("SOC_ID", 0x00, ro, "0x57454654, 'WEFT'"),
        Register("SOC_VERSION", 0x04, ro, "contract version, major in the upper half"),
        Register(
            "DOORBELL",
            0x08,
            rw,
            "1 after a write of anything but 0: the host has work; the CPU writes 0",
        ),
        Register(
            "NOTIFY",
            0x0C,
            rw,
            "bit 0: the interrupt towards the host; the CPU writes 1, who has seen it writes 0",
        ),
        Register("LEDS", 0x10, rw, "bits 0-7: the board's LEDs"),
        Register("CYCLES_LOW", 0x14, ro, "cycles since reset, bits 0-31; latches CYCLES_HIGH"),
        Register("CYCLES_HIGH", 0x18, ro, "cycles since reset, bits 32-63"),
        Register(
            "WATCHDOG",
            0x1C,
            rw,
            "cycles until the CPU is reset, counts down; 0 is off. It resets the CPU once, then is "
            "off, and sets bit 31 of BOOT_STATUS",
        ),
        Register(
            "BOOT_STATUS",
            0x20,
            rw,
            "BootStage in bits 0-7, detail in 8-15, version of the jobs in 16-23, bit 31: the "
            "watchdog has reset the CPU. Kept over the CPU's reset",
        ),
        Register("CPU_CONTROL", 0x24, rw, "see CpuControl"),
        Register("BUTTONS", 0x28, ro, "the board's buttons, 1 is pressed"),
        Register("INTERRUPTS", 0x2C, ro, "see SocInterrupt"),
        Register(
            "MAILBOX",
            0x30,
            rw,
            "byte address in the DRAM of the rings of jobs and tokens; 0 is none. Reset to 0 with "
            "the board, not with the CPU",
        ),
    )


SOC_REGISTERS: dict[str, Register] = {r.name: r for r in _registers()}
"""Every register of the SoC by name."""


def soc_offset(name: str) -> int:
    """Byte offset of a SoC register in its window."""
    return SOC_REGISTERS[name].offset


def area(name: str) -> MemoryArea:
    """An area of the memory map by name."""
    return next(a for a in MEMORY_MAP if a.name == name)
