# SPDX-License-Identifier: Apache-2.0
"""The board's side of the link in software: serves any `Device`."""

import time
import zlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from weft_arch import registers
from weft_arch.device import Device, DeviceError, DeviceTimeout
from weft_arch.link import (
    PAYLOAD_BYTES,
    WINDOW,
    Answer,
    Identity,
    LinkFormatError,
    LinkOpcode,
    LinkStatus,
    Request,
)
from weft_arch.link_framing import Deframer, frame
from weft_arch.registers import Interrupt, Status
from weft_arch.soc import LINK_BASE

__all__ = ["Cpu", "FarEnd"]

_SLICE_CYCLES = 20_000
"""Cycles that a device runs between two looks at the line."""
_BUFFER_BYTES = 2048


class Cpu(Protocol):
    """A CPU beside the served device; offsets are those of `weft_arch.soc`.

    Members:
        busy: there is work that `step` would go on with.
        notify: NOTIFY is set.
        accelerator_to_cpu: the accelerator's interrupt is not the link's.
    """

    @property
    def busy(self) -> bool: ...  # noqa: D102 - documented above

    @property
    def notify(self) -> bool: ...  # noqa: D102

    @property
    def accelerator_to_cpu(self) -> bool: ...  # noqa: D102

    def read_register(self, offset: int, /) -> int:
        """The value of a register; ValueError if there is none."""
        ...

    def write_register(self, offset: int, value: int, /) -> None:
        """Write a register; ValueError if there is none."""
        ...

    def step(self) -> None:
        """Run for a while."""
        ...


class FarEnd:
    """Executes requests on a device exactly as the gateware does.

    Args:
        device: what is served; the caller closes it.
        cpu: the CPU beside it, if the board has one.
        now: seconds on a clock, for WAIT_INTERRUPT.

    Members:
        executed: requests that were executed, by opcode, repeats not counted.
        busy: requests wait, or one is under way: call `step`.
    """

    def __init__(
        self,
        device: Device,
        *,
        cpu: Cpu | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.executed = dict.fromkeys(LinkOpcode, 0)
        self._device = device
        self._cpu = cpu
        self._now = now
        self._deframer = Deframer()
        self._queue: deque[Request] = deque()
        self._session: int | None = None
        self._expected = 0
        self._answers: dict[int, tuple[LinkStatus, int]] = {}
        self._waiting: tuple[Request, float] | None = None
        self._interrupt = False

    @property
    def busy(self) -> bool:
        """Requests wait, or one is under way, or the CPU works."""
        works = self._cpu is not None and self._cpu.busy
        return self._waiting is not None or bool(self._queue) or works

    def feed(self, data: bytes) -> None:
        """Take what came over the line; what is no request is passed over."""
        for content in self._deframer.feed(data):
            try:
                self._queue.append(Request.unpack(content))
            except LinkFormatError:
                continue

    def step(self) -> bytes:
        """Work on one request; the frame of its answer, or b"" if it is not finished."""
        if self._cpu is not None:
            self._cpu.step()
        if self._waiting is not None:
            request, until = self._waiting
            self._run_slice()
            high = self._is_high()
            if not (high or self._queue or self._now() >= until):
                return b""
            self._waiting = None
            return self._finish(request, LinkStatus.OKAY, int(high))
        if not self._queue:
            return b""
        request = self._queue.popleft()
        age = (self._expected - request.sequence) % 256
        if request.opcode == LinkOpcode.HELLO:
            return self._hello(request)
        if self._session is None:
            return self._answer(request, LinkStatus.NO_SESSION)
        if 1 <= age <= WINDOW and request.opcode != LinkOpcode.READ_MEMORY:
            status, value = self._answers.get(request.sequence % WINDOW, (LinkStatus.OKAY, 0))
            return self._answer(request, status, value)
        if age > WINDOW:
            return self._answer(request, LinkStatus.OUT_OF_ORDER, self._expected)
        if age == 0:
            self._expected = (self._expected + 1) % 256
            if request.opcode in self.executed:
                self.executed[LinkOpcode(request.opcode)] += 1
        if request.opcode == LinkOpcode.WAIT_INTERRUPT:
            seconds = request.value / self._device.config.clock_hz
            self._waiting = (request, self._now() + seconds)
            return self.step()
        try:
            return self._execute(request)
        except (ValueError, DeviceError):
            return self._finish(request, LinkStatus.BUS_ERROR)

    def _execute(self, request: Request) -> bytes:
        device, address, value = self._device, request.address, request.value
        match request.opcode:
            case LinkOpcode.READ_MEMORY if value <= PAYLOAD_BYTES:
                payload = device.read_memory(address, value).tobytes()
                return self._finish(request, LinkStatus.OKAY, 0, payload)
            case LinkOpcode.WRITE_MEMORY:
                device.write_memory(address, request.payload)
                value = 0
            case LinkOpcode.READ_REGISTER:
                value = self._read_register(address)
            case LinkOpcode.WRITE_REGISTER:
                self._write_register(address, value)
                value = 0
            case LinkOpcode.CHECK_MEMORY:
                value = zlib.crc32(device.read_memory(address, value).tobytes())
            case LinkOpcode.RESET:
                device.reset()
                self._interrupt, value = False, 0
            case _:
                return self._finish(request, LinkStatus.BAD_REQUEST)
        return self._finish(request, LinkStatus.OKAY, value)

    def _hello(self, request: Request) -> bytes:
        device = self._device
        if self._session != request.address:
            self._session = request.address
            self._expected = (request.sequence + 1) % 256
            self._answers.clear()
        identity = Identity(
            fingerprint=device.config.fingerprint,
            memory_base=device.memory_base,
            memory_bytes=device.memory_bytes,
            clock_hz=device.config.clock_hz,
            session=request.address,
            buffer_bytes=_BUFFER_BYTES,
        )
        return self._answer(request, LinkStatus.OKAY, 0, identity.pack())

    def _read_register(self, offset: int) -> int:
        if self._cpu is not None and offset >= LINK_BASE:
            return self._cpu.read_register(offset - LINK_BASE)
        return self._device.read_register(offset)

    def _write_register(self, offset: int, value: int) -> None:
        if offset >= LINK_BASE:
            if self._cpu is None:
                raise ValueError(f"there is no register at {offset:#x}")
            self._cpu.write_register(offset - LINK_BASE, value)
            return
        self._device.write_register(offset, value)
        if offset == registers.offset("INTERRUPT_PENDING"):
            self._interrupt = False

    def _is_high(self) -> bool:
        """The link's interrupt."""
        device, cpu = self._device, self._cpu
        if cpu is not None and (cpu.notify or cpu.accelerator_to_cpu):
            return cpu.notify
        if self._interrupt:
            return True
        pending = device.read_register(registers.offset("INTERRUPT_PENDING"))
        return bool(pending & device.read_register(registers.offset("INTERRUPT_ENABLE")))

    def _run_slice(self) -> None:
        """Let the device run; `Device.wait` takes the interrupt away, so it is remembered here."""
        status = Status(self._device.read_register(registers.offset("STATUS")))
        if self._interrupt or not status & Status.RUNNING:
            return
        try:
            self._device.wait(_SLICE_CYCLES)
        except DeviceTimeout:
            return
        except DeviceError:
            pass  # the registers say which
        enabled = self._device.read_register(registers.offset("INTERRUPT_ENABLE"))
        self._interrupt = bool(enabled & (Interrupt.DONE | Interrupt.FAULT))

    def _finish(
        self, request: Request, status: LinkStatus, value: int = 0, payload: bytes = b""
    ) -> bytes:
        """Remember an answer, and give its frame."""
        self._answers[request.sequence % WINDOW] = (status, value)
        return self._answer(request, status, value, payload)

    @staticmethod
    def _answer(
        request: Request, status: LinkStatus, value: int = 0, payload: bytes = b""
    ) -> bytes:
        answer = Answer(
            sequence=request.sequence,
            tag=request.tag,
            opcode=request.opcode,
            status=status,
            value=value,
            payload=payload,
        )
        return frame(answer.pack())
