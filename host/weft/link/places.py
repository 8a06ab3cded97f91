# SPDX-License-Identifier: Apache-2.0
"""Devices by address: ``serial:PATH``, ``tcp:HOST:PORT``, ``replay:FILE``.

Behind a question mark may stand options: ``serial:/dev/ttyUSB0?baud=1000000&record=run.link``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl

from weft.link.device import LinkDevice
from weft.link.line import Line, LinkError
from weft.link.recording import RecordingLine, ReplayLine
from weft.link.serial_line import DEFAULT_BAUD, SerialLine
from weft.link.tcp_line import TcpLine
from weft.link.transfer import Progress
from weft_arch.config import Configuration

__all__ = ["open_replay", "open_serial", "open_tcp"]

_Options = dict[str, str]


def open_serial(config: Configuration, *, address: str = "", **more: object) -> LinkDevice:
    """A board on a serial port: ``serial:PATH``, with the options ``baud`` and ``record``."""

    def connect(path: str, options: _Options) -> Line:
        return SerialLine(path, baud=_baud(options) or DEFAULT_BAUD)

    return _opened(config, "serial:PATH", address, connect, more)


def open_tcp(config: Configuration, *, address: str = "", **more: object) -> LinkDevice:
    """A board or far end behind a network: ``tcp:HOST:PORT``, with the options ``baud``, of a slow
    line behind it, and ``record``."""

    def connect(place: str, options: _Options) -> Line:
        host, _, port = place.rpartition(":")
        if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise LinkError(f"{place[:60]!r} is no HOST:PORT with a port from 1 to 65535.")
        baud = _baud(options)
        return TcpLine(host.strip("[]"), int(port), bytes_per_second=baud and baud / 10)

    return _opened(config, "tcp:HOST:PORT", address, connect, more)


def open_replay(config: Configuration, *, address: str = "", **more: object) -> LinkDevice:
    """What a recording holds: ``replay:FILE``."""
    return _opened(config, "replay:FILE", address, lambda path, _: ReplayLine(Path(path)), more)


def _baud(options: _Options) -> int | None:
    """The option ``baud``, or None without."""
    text = options.pop("baud", None)
    if text is None:
        return None
    if not text.isdecimal() or not 300 <= int(text) <= 12_000_000:
        raise LinkError(f"baud is {text[:20]!r}, but must be between 300 and 12000000.")
    return int(text)


def _opened(
    config: Configuration,
    form: str,
    address: str,
    connect: Callable[[str, _Options], Line],
    more: dict[str, object],
) -> LinkDevice:
    place, _, query = address.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    scheme = form.partition(":")[0]
    if not place:
        raise LinkError(f"The device {scheme} needs an address: {form}.")
    record = options.pop("record", None)
    line = connect(place, options)
    if options:
        line.close()
        raise LinkError(f"The device {scheme} has no option {next(iter(options))!r}.")
    if record is not None:
        line = RecordingLine(line, Path(record))
    memory_bytes, memory_base = more.pop("memory_bytes", 0), more.pop("memory_base", 0)
    progress = more.pop("progress", None)
    if more:
        line.close()
        raise LinkError(f"The device {scheme} does not know the option {next(iter(more))}.")
    assert isinstance(memory_bytes, int)
    assert isinstance(memory_base, int)
    report = cast("Progress | None", progress)
    return LinkDevice(
        config, line, memory_bytes=memory_bytes, memory_base=memory_base, progress=report
    )
