# SPDX-License-Identifier: Apache-2.0
"""Where a simulated board's serial line can be reached: a pseudo-terminal or a TCP port."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from typing import Protocol

from weft_sim.device import DeviceError

__all__ = ["Port", "PtyPort", "TcpPort"]

_MOST_BYTES = 4096


class Port(Protocol):
    """Bytes to and from whoever is there; none while nobody is.

    Members:
        address: what the host calls it, for ``-d``.
    """

    address: str

    def read(self, timeout: float) -> bytes:
        """What has come, waiting at most ``timeout`` seconds for it."""
        ...

    def write(self, data: bytes) -> None:
        """Send; what nobody takes is lost, as on a serial line."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class PtyPort:
    """A pseudo-terminal; programs open its path as they do a serial port."""

    def __init__(self) -> None:
        import tty  # not on every system

        self._near, self._far = os.openpty()
        tty.setraw(self._far)  # kept open, so that a host may come and go
        os.set_blocking(self._near, False)
        self.address = f"serial:{os.ttyname(self._far)}"

    def read(self, timeout: float) -> bytes:
        """What has come."""
        ready, _, _ = select.select([self._near], [], [], timeout)
        return os.read(self._near, _MOST_BYTES) if ready else b""

    def write(self, data: bytes) -> None:
        """Send."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._near, data)

    def close(self) -> None:
        """Close both sides."""
        os.close(self._near)
        os.close(self._far)


class TcpPort:
    """A TCP port of this machine, one host at a time.

    Args:
        port: its number; 0 takes a free one.

    Raises:
        DeviceError: the port cannot be had.
    """

    def __init__(self, port: int) -> None:
        try:
            self._server = socket.create_server(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DeviceError(f"TCP port {port} cannot be served: {reason}.") from error
        self.port: int = self._server.getsockname()[1]
        self.address = f"tcp:127.0.0.1:{self.port}"
        self._host: socket.socket | None = None

    def read(self, timeout: float) -> bytes:
        """What has come; takes a host that waits to be let in."""
        source = self._host or self._server
        ready, _, _ = select.select([source], [], [], timeout)
        if not ready:
            return b""
        if self._host is None:
            self._host, _ = self._server.accept()
            self._host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return b""
        try:
            data = self._host.recv(_MOST_BYTES)
        except OSError:
            data = b""
        if not data:
            self._leave()
        return data

    def write(self, data: bytes) -> None:
        """Send."""
        if self._host is not None:
            try:
                self._host.sendall(data)
            except OSError:
                self._leave()

    def close(self) -> None:
        """Close connection and port."""
        self._leave()
        self._server.close()

    def _leave(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None
