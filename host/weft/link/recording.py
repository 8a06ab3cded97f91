# SPDX-License-Identifier: Apache-2.0
"""What went over a line, in a file: recorded on a real board, replayed in a test without one.

A text file: a head line with the line's name and session in JSON, then a line per event: seconds,
``>`` for what the host sent or ``<`` for what `receive` returned (nothing, if its time was up), and
the bytes in hexadecimal.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from weft.link.line import Line, LinkError

__all__ = ["RecordingLine", "ReplayLine"]

_FORMAT = "weft link recording 1"


class RecordingLine:
    """Another line, with all that goes over it written to a file."""

    def __init__(self, inner: Line, path: Path) -> None:
        self._inner = inner
        self.name = inner.name
        self.bytes_per_second = inner.bytes_per_second
        self.latency_seconds = inner.latency_seconds
        self.session = inner.session
        self.now = inner.now
        try:
            self._file: IO[str] = path.open("w", encoding="ascii")
        except OSError as error:
            inner.close()
            raise LinkError(f"{path} cannot be written: {error.strerror}.") from error
        head = {
            "format": _FORMAT,
            "name": self.name,
            "session": self.session,
            "bytes_per_second": self.bytes_per_second,
            "latency_seconds": self.latency_seconds,
            "now": self.now,
        }
        self._file.write(json.dumps(head) + "\n")

    def send(self, data: bytes) -> None:
        """Send and write down."""
        self._inner.send(data)
        self._write(">", data)

    def receive(self, timeout: float) -> bytes:
        """Receive and write down."""
        data = self._inner.receive(timeout)
        self._write("<", data)
        return data

    def close(self) -> None:
        """Close the line and the file."""
        self._inner.close()
        self._file.close()

    def _write(self, direction: str, data: bytes) -> None:
        self.now = self._inner.now
        self._file.write(f"{self.now!r} {direction} {data.hex()}\n")


class ReplayLine:
    """A recording in place of the line it was made of.

    The host must send what it sent then, byte by byte; it gets what it got then, and the time that
    it was. A `LinkError` names the first event that differs.
    """

    def __init__(self, path: Path) -> None:
        try:
            head_line, *events = path.read_text(encoding="ascii").splitlines()
            head = json.loads(head_line)
            if head["format"] != _FORMAT:
                raise ValueError
            self.name = f"replay:{head['name']}"
            self.session = int(head["session"])
            self.bytes_per_second = float(head["bytes_per_second"])
            self.latency_seconds = float(head["latency_seconds"])
            self.now = float(head["now"])
        except OSError as error:
            raise LinkError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise LinkError(f"{path} is no recording of a link.") from error
        self._path = path
        self._number = 1
        self._events: Iterator[str] = iter(events)

    def send(self, data: bytes) -> None:
        """Compare with what was sent."""
        if self._event(">") != data:
            raise LinkError(
                f"{self._path}, line {self._number}: the host sends something else than it did."
            )

    def receive(self, timeout: float) -> bytes:
        """What came."""
        del timeout
        return self._event("<")

    def close(self) -> None:
        """Nothing to release."""

    def _event(self, direction: str) -> bytes:
        self._number += 1
        words = next(self._events, "").split(" ")
        if len(words) != 3 or words[1] != direction:
            what = "sends" if direction == ">" else "waits for an answer"
            raise LinkError(
                f"{self._path}, line {self._number}: the host {what}, which it did not then."
            )
        self.now = float(words[0])
        return bytes.fromhex(words[2])
