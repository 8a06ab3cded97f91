# SPDX-License-Identifier: Apache-2.0
"""A board at the far end of a line, as a `Device`."""

from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from weft.link.board_cpu import BoardCpu
from weft.link.flight import Ask
from weft.link.line import Line, LinkError
from weft.link.session import LinkSession, LinkStatistics
from weft.link.transfer import Progress, Transfer
from weft_arch import registers
from weft_arch.config import PRESETS, Configuration
from weft_arch.device import DEFAULT_CYCLE_LIMIT, DeviceFault, DeviceTimeout
from weft_arch.link import LinkOpcode
from weft_arch.registers import Control, Interrupt, Status

__all__ = ["LinkDevice"]

_WAIT_SECONDS = 0.25
"""How long the board waits for its interrupt before it says that it is alive."""
_RESET_POLLS = 1000
_BOTH = int(Interrupt.DONE | Interrupt.FAULT)


class LinkDevice:
    """The accelerator behind a line.

    Writes return before the board has done them; an error is raised by the next call that waits for
    an answer. Large writes send only what the memory does not hold already, by CRC-32 of pieces,
    and are checked the same way afterwards.

    Args:
        config: the configuration that the board must have.
        line: where it is; the device owns it.
        memory_bytes: memory that it must have at least.
        memory_base: where that must begin.
        progress: called with a stage with its rate and a fraction during long transfers.

    Members, beside those of `Device`:
        identity: what the board says about itself.
        cpu: the board's CPU, held in reset so that the accelerator is the host's; or None.
        statistics: requests, repeats, silences and damaged pieces on the line.

    Raises:
        LinkError: there is no answer, or the board is not the one asked for.
    """

    def __init__(
        self,
        config: Configuration,
        line: Line,
        *,
        memory_bytes: int = 0,
        memory_base: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self.config = config
        self.name = line.name
        self._session = LinkSession(line)
        try:
            self.identity = self._session.hello()
            self._check(memory_bytes, memory_base)
            self.memory_bytes = self.identity.memory_bytes
            self.memory_base = self.identity.memory_base
            self._transfer = Transfer(self._session, progress)
            self._check_accelerator()
            self.cpu = BoardCpu.find(self)
            self.reset()
            self.write_register(registers.offset("INTERRUPT_ENABLE"), _BOTH)
            self.write_register(registers.offset("INTERRUPT_PENDING"), _BOTH)
            self._session.flush()
        except BaseException:
            line.close()
            raise

    @property
    def statistics(self) -> LinkStatistics:
        """What happened on the line."""
        return self._session.statistics

    def read_memory(self, address: int, size: int) -> NDArray[np.uint8]:
        """A copy of `size` bytes from `address`."""
        self._check_span(address, size)
        return self._transfer.read(address, size)

    def write_memory(self, address: int, data: NDArray[np.uint8] | bytes) -> None:
        """Write bytes at `address`; large ones only where the memory holds others."""
        raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
        self._check_span(address, len(raw))
        self._transfer.write(address, raw)

    def read_register(self, offset: int) -> int:
        """The value of a register."""
        (value,) = self._session.call(Ask(opcode=LinkOpcode.READ_REGISTER, address=offset))
        return value

    def write_register(self, offset: int, value: int) -> None:
        """Write a register, after everything that was written before."""
        self._session.post(
            Ask(opcode=LinkOpcode.WRITE_REGISTER, address=offset, value=value & 0xFFFF_FFFF)
        )

    def start(self) -> None:
        """Start the program that the registers point at."""
        self.write_register(registers.offset("CONTROL"), Control.START)

    def wait(self, cycle_limit: int | None = None) -> int:
        """Wait for the interrupt; the cycles that the program took meanwhile.

        Raises:
            DeviceFault: the device stopped the program.
            DeviceTimeout: it had not ended after `cycle_limit` cycles, or stands still.
            LinkError: the board does not answer.
        """
        limit = DEFAULT_CYCLE_LIMIT if cycle_limit is None else cycle_limit
        cycles = max(1, min(self.wait_cycles, limit))
        wait = Ask(opcode=LinkOpcode.WAIT_INTERRUPT, value=cycles)
        read = [_read(name) for name in ("CYCLES_LOW", "CYCLES_HIGH")]
        clear = Ask(
            opcode=LinkOpcode.WRITE_REGISTER,
            address=registers.offset("INTERRUPT_PENDING"),
            value=_BOTH,
        )
        # WAIT_INTERRUPT comes last: it ends when another request arrives.
        low, high, interrupt = self._session.call(*read, wait)
        began = before = low | high << 32
        while True:
            done = [clear] if interrupt else []
            *_, low, high, status = self._session.call(*done, *read, _read("STATUS"))
            now = low | high << 32
            if not status & Status.RUNNING:
                break
            if now - began >= limit or now == before:
                self._stands(now - began, limit)
            before = now
            (interrupt,) = self._session.call(wait)
        if status & Status.FAULT:
            cause, address = self._session.call(_read("FAULT_CAUSE"), _read("FAULT_ADDRESS"))
            raise DeviceFault(cause, address)
        return now - began

    @property
    def wait_cycles(self) -> int:
        """Cycles of the board's clock that the host lets it wait before it asks again."""
        return max(1, int(_WAIT_SECONDS * self.identity.clock_hz))

    def wait_interrupt(self, cycles: int) -> bool:
        """Wait for the link's interrupt for at most so many cycles of the board's clock; whether it
        is high."""
        (high,) = self._session.call(Ask(opcode=LinkOpcode.WAIT_INTERRUPT, value=cycles))
        return bool(high)

    def reset(self) -> None:
        """Write CONTROL.RESET and wait until what was outstanding has finished."""
        self.write_register(registers.offset("CONTROL"), Control.RESET)
        for _ in range(_RESET_POLLS):
            if not self.read_register(registers.offset("STATUS")) & Status.RESETTING:
                return
        raise DeviceTimeout(f"The device at {self.name} did not finish its reset.")

    def power_cycle(self) -> None:
        """Assert the accelerator's reset input: registers lose their values, memory stays."""
        self._session.call(Ask(opcode=LinkOpcode.RESET))
        self.write_register(registers.offset("INTERRUPT_ENABLE"), _BOTH)

    def close(self) -> None:
        """Finish what was posted and release the line."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self, memory_bytes: int, memory_base: int) -> None:
        found, name, config = self.identity, self.name, self.config
        if found.fingerprint != config.fingerprint:
            known = next(
                (p.name for p in PRESETS.values() if p.fingerprint == found.fingerprint), None
            )
            what = f"preset {known}" if known else f"configuration {found.fingerprint:016x}"
            raise LinkError(
                f"The board at {name} holds {what}, not {config.name} ({config.fingerprint:016x})."
            )
        if found.memory_base != memory_base:
            raise LinkError(
                f"The memory of the board at {name} begins at {found.memory_base:#x}, not at "
                f"{memory_base:#x}."
            )
        if found.memory_bytes < memory_bytes:
            raise LinkError(
                f"The board at {name} has {found.memory_bytes} bytes of memory; {memory_bytes} are "
                "needed."
            )

    def _check_accelerator(self) -> None:
        found, version = self._session.call(_read("ID"), _read("VERSION"))
        if found != registers.ID_VALUE or version >> 16 != registers.VERSION_VALUE >> 16:
            raise LinkError(
                f"The registers of the board at {self.name} say ID {found:#010x}, version "
                f"{version:#010x}; a weft accelerator says {registers.ID_VALUE:#010x}, "
                f"{registers.VERSION_VALUE:#010x}."
            )

    def _check_span(self, address: int, size: int) -> None:
        base, end = self.memory_base, self.memory_base + self.memory_bytes
        if address < base or size < 0 or address + size > end:
            raise ValueError(
                f"Bytes {address:#x} to {address + size:#x} are outside the memory ({base:#x} to "
                f"{end:#x})."
            )

    def _stands(self, cycles: int, limit: int) -> None:
        at = self.read_register(registers.offset("PROGRAM_COUNTER"))
        how = f"did not end within {limit} cycles" if cycles >= limit else "stands still"
        raise DeviceTimeout(
            f"The program on {self.name} {how}; the sequencer is at instruction {at}."
        )


def _read(name: str) -> Ask:
    return Ask(opcode=LinkOpcode.READ_REGISTER, address=registers.offset(name))
