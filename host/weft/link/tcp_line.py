# SPDX-License-Identifier: Apache-2.0
"""A TCP connection as a line: a board behind a network, or a far end in software."""

import secrets
import socket
import time
from contextlib import suppress

from weft.link.line import LinkError

__all__ = ["TcpLine"]

_LATENCY_SECONDS = 1.0
_BYTES_PER_SECOND = 100_000.0  # at least, even through a wireless bridge to a serial port
_CONNECT_SECONDS = 5.0
_READ_BYTES = 1 << 16


class TcpLine:
    """A connection to ``host`` and ``port``; a `LinkError` if there is none to be had.

    Args:
        bytes_per_second: how fast the far end is at least; by default, as a serial port.
        connection: a connection that is open already, for the far end's side.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        bytes_per_second: float | None = None,
        connection: socket.socket | None = None,
    ) -> None:
        self.name = f"tcp:{host}:{port}"
        self.bytes_per_second = bytes_per_second or _BYTES_PER_SECOND
        self.latency_seconds = _LATENCY_SECONDS
        self.session = secrets.randbits(32)
        try:
            self._socket = connection or socket.create_connection((host, port), _CONNECT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise LinkError(f"{self.name} cannot be reached: {error.strerror or error}.") from error
        self.now = time.monotonic()

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        try:
            self._socket.settimeout(None)
            self._socket.sendall(data)
        except OSError as error:
            raise self._broken(error.strerror or str(error)) from error
        self.now = time.monotonic()

    def receive(self, timeout: float) -> bytes:
        """What has come, waiting for the first byte."""
        try:
            self._socket.settimeout(max(timeout, 1e-6))
            data = self._socket.recv(_READ_BYTES)
        except (TimeoutError, BlockingIOError):
            self.now = time.monotonic()
            return b""
        except OSError as error:
            raise self._broken(error.strerror or str(error)) from error
        if not data:
            raise self._broken("the far end closed it")
        self.now = time.monotonic()
        return data

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):
            self._socket.close()

    def _broken(self, reason: str) -> LinkError:
        return LinkError(f"The connection to {self.name} broke off: {reason}.")
