# SPDX-License-Identifier: Apache-2.0
"""Serves a device over TCP or a pseudo-terminal, one host at a time.

python -m weft.link.server --device reference --preset default --tcp 127.0.0.1:7117
python -m weft.link.server --device reference --pty
python -m weft.link.server --device reference --firmware --pty

With ``--firmware`` the board has a CPU, whose firmware runs here as a program of this computer.
"""

import argparse
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Sequence

from weft.devices import find_preset, open_device
from weft.errors import WeftError
from weft.link.far_end import Cpu, FarEnd
from weft.link.line import Line, LinkError
from weft.link.tcp_line import TcpLine
from weft.tools import find_tool
from weft_arch.device import Device, DeviceError

__all__ = ["PtyLine", "TcpServer", "main", "serve"]

_IDLE_SECONDS = 0.1


def serve(line: Line, far_end: FarEnd, stop: threading.Event) -> None:
    """Answer what comes over a line until it ends or ``stop`` is set."""
    while not stop.is_set():
        try:
            far_end.feed(line.receive(0.0 if far_end.busy else _IDLE_SECONDS))
            answer = far_end.step()
            if answer:
                line.send(answer)
        except LinkError:
            return


class TcpServer:
    """Waits for hosts on a port and serves them, one after the other.

    Args:
        device: what is served; the caller closes it.
        host, port: where; port 0 takes a free one.
        cpu: the CPU beside the device, if the board has one.

    Members:
        port: the port.
        far_end: what answers.
    """

    def __init__(
        self, device: Device, host: str = "127.0.0.1", port: int = 0, *, cpu: Cpu | None = None
    ) -> None:
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise LinkError(f"{host}:{port} cannot be served: {error.strerror}.") from error
        self._socket.settimeout(_IDLE_SECONDS)
        self._host = host
        self.port: int = self._socket.getsockname()[1]
        self.far_end = FarEnd(device, cpu=cpu)
        self.stop = threading.Event()

    def run(self) -> None:
        """Serve until `stop` is set."""
        with self._socket:
            while not self.stop.is_set():
                try:
                    connection, _ = self._socket.accept()
                except TimeoutError:
                    continue
                line = TcpLine(self._host, self.port, connection=connection)
                serve(line, self.far_end, self.stop)
                line.close()


class PtyLine:
    """The far side of a pseudo-terminal.

    Members:
        path: the port for the host's side, ``/dev/pts/3``.
    """

    def __init__(self) -> None:
        import tty  # not on every system

        self._near, self._far = os.openpty()
        tty.setraw(self._far)
        self.path = os.ttyname(self._far)
        self.name, self.now, self.session = f"pty:{self.path}", 0.0, 0
        self.bytes_per_second, self.latency_seconds = 1e6, 1.0

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._near, rest) :]

    def receive(self, timeout: float) -> bytes:
        """What has come."""
        ready, _, _ = select.select([self._near], [], [], timeout)
        return os.read(self._near, 1 << 16) if ready else b""

    def close(self) -> None:
        """Close both sides."""
        os.close(self._near)
        os.close(self._far)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m weft.link.server", description=__doc__)
    parser.add_argument("--device", default="reference")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--memory-mib", type=int, default=32)
    parser.add_argument("--firmware", action="store_true", help="run the board's firmware, too")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", metavar="HOST:PORT")
    where.add_argument("--pty", action="store_true")
    options = parser.parse_args(arguments)
    try:
        config = find_preset(options.preset)
        with open_device(options.device, config, memory_bytes=options.memory_mib << 20) as device:
            cpu = _find_cpu(device) if options.firmware else None
            if options.pty:
                line = PtyLine()
                sys.stdout.write(f"serial:{line.path}\n")
                sys.stdout.flush()
                serve(line, FarEnd(device, cpu=cpu), threading.Event())
            else:
                host, _, port = options.tcp.rpartition(":")
                server = TcpServer(device, host, int(port) if port.isdecimal() else -1, cpu=cpu)
                sys.stdout.write(f"tcp:{host}:{server.port}\n")
                sys.stdout.flush()
                server.run()
    except (WeftError, DeviceError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (KeyboardInterrupt, OverflowError):
        return 130
    return 0


def _find_cpu(device: Device) -> Cpu:
    """The CPU that runs the firmware on a device, from the entry point ``firmware``."""
    missing = "the firmware's simulation is not installed."
    make: Callable[[Device], Cpu] = find_tool("firmware", missing)
    return make(device)


if __name__ == "__main__":
    sys.exit(main())
