# SPDX-License-Identifier: Apache-2.0
"""A line of bytes to a board: what a session needs of a serial port, a socket or a recording."""

from typing import Protocol

from weft_arch.device import DeviceError

__all__ = ["Line", "LinkError"]


class LinkError(DeviceError):
    """The board cannot be reached, does not answer or answered an error; one sentence says which.

    Whatever was under way is lost, never half right.
    """


class Line(Protocol):
    """Bytes to and from a far end, in order; some may be lost, changed or added on the way.

    Members:
        name: what the user calls it, for messages: ``serial:/dev/ttyUSB0``.
        bytes_per_second: how fast it is at least, for the time that answers may take.
        latency_seconds: what an answer may take beside that.
        session: the name of the session to be opened on it, a random 32-bit number.
        now: seconds on some clock when `send` or `receive` last returned. A session knows no other
            time, so that a recording brings its own.
    """

    name: str
    bytes_per_second: float
    latency_seconds: float
    session: int

    @property
    def now(self) -> float:
        """Seconds on the line's clock."""
        ...

    def send(self, data: bytes, /) -> None:
        """Send all bytes; a `LinkError` if the line is gone."""
        ...

    def receive(self, timeout: float, /) -> bytes:
        """What has come, waiting at most ``timeout`` seconds for the first byte; b"" if nothing
        has. A `LinkError` if the line is gone."""
        ...

    def close(self) -> None:
        """Release the line."""
        ...
