# SPDX-License-Identifier: Apache-2.0
"""Where a simulated board's line is reached, without a board: a pseudo-terminal and a TCP port."""

from __future__ import annotations

import socket

import pytest

from weft.link.serial_line import SerialLine
from weft_sim.board_ports import Port, PtyPort, TcpPort
from weft_sim.board_server import simulated
from weft_sim.device import DeviceError

EVERY_BYTE = bytes(range(256))


def read(port: Port, size: int) -> bytes:
    data = b""
    for _ in range(1000):
        data += port.read(0.05)
        if len(data) >= size:
            break
    return data


def test_a_pseudo_terminal_carries_every_byte_for_one_host_after_the_other() -> None:
    port = PtyPort()
    assert port.read(0.0) == b""
    for _ in range(2):
        line = SerialLine(port.address.removeprefix("serial:"))
        line.send(EVERY_BYTE)
        assert read(port, 256) == EVERY_BYTE
        port.write(EVERY_BYTE)
        data = b""
        while len(data) < 256:
            data += line.receive(5.0)
        assert data == EVERY_BYTE
        line.close()
    port.close()


def test_a_tcp_port_carries_every_byte_for_one_host_after_the_other() -> None:
    port = TcpPort(0)
    port.write(b"nobody is there")
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", port.port)) as host:
            host.sendall(EVERY_BYTE)
            assert read(port, 256) == EVERY_BYTE
            port.write(EVERY_BYTE)
            data = b""
            while len(data) < 256:
                data += host.recv(256)
            assert data == EVERY_BYTE
        assert port.read(5.0) == b""
    port.close()


def test_what_cannot_be_served_is_refused() -> None:
    first = TcpPort(0)
    with pytest.raises(DeviceError, match=rf"^TCP port {first.port} cannot be served: Address"):
        TcpPort(first.port)
    first.close()
    with pytest.raises(DeviceError, match=r"^unknown board 'x'; there are ulx3s_85f"):
        simulated("x")
    with pytest.raises(DeviceError, match=r"^ulx3s_85f: preset 'x' is unknown; there are tiny"):
        simulated("ulx3s_85f", preset="x")
    with pytest.raises(DeviceError, match=r"^cycles_per_bit is 7; it must be at least 8\.$"):
        simulated("ulx3s_85f", cycles_per_bit=7)
    found = simulated("ulx3s_85f", preset="tiny", cycles_per_bit=8)
    assert (found.preset, found.baud) == ("tiny", 10_000_000)
