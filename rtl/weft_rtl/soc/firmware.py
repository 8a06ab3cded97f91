# SPDX-License-Identifier: Apache-2.0
"""Builds the firmware: the image of the board's ROM, and the same code for this computer.

The compiler is clang as the ``ziglang`` wheel brings it, so that the same sources give the same
image everywhere. The image is for RV32IM without compressed instructions; of the privileged
architecture it uses mtvec and mcause, and no interrupts.
"""

import functools
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weft_arch.soc import area

__all__ = [
    "FirmwareError",
    "FirmwareImage",
    "build_firmware",
    "build_native",
    "firmware_folder",
    "firmware_sources",
]

_BOARD_ONLY = ("start.S", "main.c", "trap.c", "memory.c")
_NATIVE_ONLY = ("native.c",)
_LANGUAGE = ("-std=c11", "-Wall", "-Wextra", "-Werror")
_BOARD = (
    "-target",
    "riscv32-freestanding-none",
    "-mcpu=generic_rv32+m",
    "-Os",
    "-ffreestanding",
    "-fno-builtin",  # or memset would be made to call itself
    "-ffunction-sections",
    "-fdata-sections",
    "-nostdlib",
    "-Wl,--gc-sections",
)
_PT_LOAD = 1
"""The kind of ELF segments that take memory."""
_NATIVE = ("-shared", "-fPIC", "-O2")


class FirmwareError(Exception):
    """The firmware cannot be built. The message is a whole sentence for the user."""


@dataclass(frozen=True, kw_only=True)
class FirmwareImage:
    """What the ROM holds.

    Members:
        rom: its bytes from address 0 on, a multiple of 4.
        ram_bytes: RAM that is taken, stack included.
    """

    rom: bytes
    ram_bytes: int

    def words(self) -> list[int]:
        """The ROM as 32-bit words."""
        return [int.from_bytes(self.rom[k : k + 4], "little") for k in range(0, len(self.rom), 4)]


def firmware_folder() -> Path:
    """The folder of the C sources: that of the checkout, or the wheel's copy."""
    beside = Path(__file__).resolve().parent
    for folder in (beside.parents[2] / "firmware", beside / "firmware_sources"):
        if (folder / "main.c").is_file():
            return folder
    raise FirmwareError("The sources of the firmware are not installed.")


def firmware_sources(*, native: bool = False) -> list[Path]:
    """The files to compile, the one that reset begins with first."""
    left_out = _BOARD_ONLY if native else _NATIVE_ONLY
    folder = firmware_folder()
    files = [*sorted(folder.glob("*.S")), *sorted(folder.glob("*.c"))]
    return [path for path in files if path.name not in left_out]


@functools.cache
def build_firmware() -> FirmwareImage:
    """Compile and link the ROM's image; about a second, once per process.

    Raises:
        FirmwareError: there is no compiler, the sources do not compile, or the image does not fit.
    """
    with tempfile.TemporaryDirectory() as folder:
        elf, binary = Path(folder, "firmware.elf"), Path(folder, "firmware.bin")
        script = ["-T", str(firmware_folder() / "link.ld")]
        _compile([*_BOARD, *script], firmware_sources(), elf)
        _zig(["objcopy", "-O", "binary", str(elf), str(binary)])
        rom = binary.read_bytes()
        ram_bytes = _ram_bytes(elf.read_bytes())
    rom += bytes(-len(rom) % 4)
    if len(rom) > area("ROM").bytes:
        raise FirmwareError(f"The firmware has {len(rom)} bytes; the ROM has {area('ROM').bytes}.")
    return FirmwareImage(rom=rom, ram_bytes=ram_bytes)


def build_native(library: Path) -> None:
    """Compile the same code as a shared library of this computer, with the functions of native.c.

    Raises:
        FirmwareError: there is no compiler, or the sources do not compile.
    """
    _compile(_NATIVE, firmware_sources(native=True), library)


def _compile(options: Sequence[str], sources: Sequence[Path], target: Path) -> None:
    _zig(["cc", *_LANGUAGE, *options, *map(str, sources), "-o", str(target)])


def _ram_bytes(elf: bytes) -> int:
    """RAM that the segments of a little-endian ELF32 file take, from its program headers."""

    def number(at: int, size: int = 4) -> int:
        return int.from_bytes(elf[at : at + size], "little")

    first, entry, count = number(28), number(42, 2), number(44, 2)
    headers = [first + entry * k for k in range(count)]
    ends = [number(at + 8) + number(at + 20) for at in headers if number(at) == _PT_LOAD]
    return max(ends) - area("RAM").base


def _zig(arguments: Sequence[str]) -> None:
    if importlib.util.find_spec("ziglang") is None:
        raise FirmwareError(
            "The compiler of the firmware is not installed in this environment; "
            "`pip install ziglang` brings it."
        )
    command = [sys.executable, "-m", "ziglang", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        last = next((line for line in run.stderr.splitlines() if "error" in line), "no message")
        raise FirmwareError(f"The firmware cannot be built: {last.strip()}.")
