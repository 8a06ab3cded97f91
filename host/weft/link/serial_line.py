# SPDX-License-Identifier: Apache-2.0
"""A serial port as a line."""

import errno
import importlib
import secrets
import time
from contextlib import suppress
from typing import Any

from weft.link.line import LinkError

__all__ = ["DEFAULT_BAUD", "SerialLine"]

DEFAULT_BAUD = 3_000_000
"""The fastest that the FT231X of common boards does."""
_LATENCY_SECONDS = 0.25  # USB adapters hold short answers back for up to 16 ms
_SEND_SECONDS = 5.0


class SerialLine:
    """A serial port, 8 data bits, no parity, one stop bit, no flow control.

    Args:
        path: the port, ``/dev/ttyUSB0`` or ``COM3``.
        baud: bits per second.

    Raises:
        LinkError: it cannot be opened.
    """

    def __init__(self, path: str, *, baud: int = DEFAULT_BAUD) -> None:
        # Loaded here so that the simulators work where pyserial does not.
        module: Any = importlib.import_module("serial")
        self._gone: tuple[type[Exception], ...] = (module.SerialException, OSError)
        self.name = f"serial:{path}"
        self.bytes_per_second = baud / 10
        self.latency_seconds = _LATENCY_SECONDS
        self.session = secrets.randbits(32)
        try:
            self._port: Any = module.Serial(
                path, baud, timeout=0, write_timeout=_SEND_SECONDS, exclusive=True
            )
        except (*self._gone, ValueError) as error:
            raise LinkError(f"{self.name} cannot be opened: {_reason(error)}.") from error
        with suppress(Exception):  # answers at once instead of every 16 ms; not all ports can
            self._port.set_low_latency_mode(True)
        with suppress(*self._gone):
            self._port.reset_input_buffer()
        self.now = time.monotonic()

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        try:
            self._port.write(data)
        except self._gone as error:
            raise self._unplugged(error) from error
        self.now = time.monotonic()

    def receive(self, timeout: float) -> bytes:
        """What has come, waiting for the first byte."""
        port = self._port
        try:
            port.timeout = timeout
            data: bytes = port.read(1)
            if data:
                port.timeout = 0
                data += port.read(max(port.in_waiting, 1))
        except self._gone as error:
            raise self._unplugged(error) from error
        self.now = time.monotonic()
        return data

    def close(self) -> None:
        """Close the port."""
        with suppress(*self._gone):
            self._port.close()

    def _unplugged(self, error: Exception) -> LinkError:
        return LinkError(f"The connection to {self.name} broke off: {_reason(error)}; unplugged?")


def _reason(error: Exception) -> str:
    """Why, in a few words: pyserial's own message repeats the name and the number."""
    number: object = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return "there is no such port"
    if number == errno.EACCES:
        return "this user may not use it"
    if number in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY):
        return "another program uses it"
    return str(error).rstrip(".").splitlines()[0] if str(error) else type(error).__name__
