# SPDX-License-Identifier: Apache-2.0
"""The seam that host and tests program against: every device is a `Device`.

The reference, the Verilated RTL and boards offer the same few primitives, so whatever runs on one
runs on all. A device class is found by its name in the entry point group ``weft.devices`` and is
constructed as ``DeviceClass(config, memory_bytes=..., memory_base=..., **options)``.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from weft_arch.config import Configuration
from weft_arch.isa import Opcode
from weft_arch.registers import Fault

__all__ = [
    "DEFAULT_CYCLE_LIMIT",
    "Device",
    "DeviceError",
    "DeviceFault",
    "DeviceTimeout",
]

DEFAULT_CYCLE_LIMIT = 2_000_000_000
"""Cycles after which `Device.wait` gives up if it is not told otherwise."""


class DeviceError(Exception):
    """A device did not do what it was asked. The message is a sentence for the user."""


class DeviceFault(DeviceError):
    """The device stopped a program.

    Members:
        cause: why.
        address: the memory address, or the instruction index, opcode or token for the causes that
            name one (see `weft_arch.registers.Fault`).
    """

    def __init__(self, cause: Fault | int, address: int) -> None:
        self.cause = Fault(cause)
        self.address = address
        opcodes = {int(code): code.name for code in Opcode}
        places = {
            Fault.ILLEGAL_INSTRUCTION: f"at instruction {address}",
            Fault.ILLEGAL_OPERAND: f"in {opcodes.get(address, f'opcode {address}')}",
            Fault.TOKEN_OVERFLOW: f"for dependency token {address}",
            Fault.LOOP_OVERFLOW: f"at instruction {address}",
        }
        what = self.cause.name.lower().replace("_", " ")
        place = places.get(self.cause, f"at address {address:#010x}")
        super().__init__(f"The device stopped the program: {what} {place}.")

    def __reduce__(self) -> tuple[type[DeviceFault], tuple[Fault, int]]:
        return DeviceFault, (self.cause, self.address)


class DeviceTimeout(DeviceError):
    """The program did not end within the cycle limit; the message says which engine waits."""


@runtime_checkable
class Device(Protocol):
    """A weft accelerator with its memory.

    Members:
        name: the name in the entry point group, for example ``"rtl"``.
        config: the configuration it implements.
        memory_bytes: size of its DRAM.
        memory_base: the address of the first byte of it.
    """

    name: str
    config: Configuration
    memory_bytes: int
    memory_base: int

    def read_memory(self, address: int, size: int, /) -> NDArray[np.uint8]:
        """A copy of `size` bytes from `address`; ValueError if they are not all in the memory."""
        ...

    def write_memory(self, address: int, data: NDArray[np.uint8] | bytes, /) -> None:
        """Write bytes at `address`; ValueError if they are not all in the memory."""
        ...

    def read_register(self, offset: int, /) -> int:
        """The value of the 32-bit register at a byte offset."""
        ...

    def write_register(self, offset: int, value: int, /) -> None:
        """Write the 32-bit register at a byte offset."""
        ...

    def start(self) -> None:
        """Run the program that the registers point at; returns at once or when it has ended."""
        ...

    def wait(self, cycle_limit: int | None = None) -> int:
        """Wait until the program has ended; the cycles this took, 0 where there is no clock.

        Raises:
            DeviceFault: the device stopped the program.
            DeviceTimeout: it had not ended after `cycle_limit` cycles.
        """
        ...

    def reset(self) -> None:
        """Bring every engine into its initial state; memory and set-up registers stay."""
        ...

    def close(self) -> None:
        """Release what the device holds; it is not usable afterwards."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...
