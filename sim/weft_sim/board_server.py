# SPDX-License-Identifier: Apache-2.0
"""A board in a box: simulates a board and offers its serial line to hosts, until it is stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from weft_arch.config import ConfigurationError
from weft_arch.soc import area
from weft_rtl.boards.board import Board, BoardError, board
from weft_rtl.soc.cpu_memory import rom_words
from weft_rtl.soc.firmware import FirmwareError, build_firmware
from weft_sim.board_ports import Port, PtyPort, TcpPort
from weft_sim.board_simulation import BoardSimulation
from weft_sim.device import DeviceError
from weft_sim.toolchain import Progress, silent

__all__ = ["BoardServer", "serve_board", "simulated"]

_SLICE_CYCLES = 1_000
_REST_SLICES = 200
_REST_SECONDS = 0.2
_BAUDS = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
LEAST_CYCLES_PER_BIT = 8


def simulated(name: str, *, preset: str | None = None, cycles_per_bit: int | None = None) -> Board:
    """A board for simulation: another preset on it if wanted, and a line of so many cycles per bit
    instead of its own, which is what makes it fast here.

    Raises:
        DeviceError: there is no such board, preset or line.
    """
    try:
        found = board(name)
        if preset is not None:
            found = dataclasses.replace(found, preset=preset)
        if cycles_per_bit is not None:
            if cycles_per_bit < LEAST_CYCLES_PER_BIT:
                raise DeviceError(
                    f"cycles_per_bit is {cycles_per_bit}; it must be at least "
                    f"{LEAST_CYCLES_PER_BIT}."
                )
            found = dataclasses.replace(found, baud=found.clock_hz // cycles_per_bit)
    except (BoardError, ConfigurationError) as error:
        raise DeviceError(f"{error}.") from error
    return found


class BoardServer:
    """Runs a board and carries bytes between it and a port.

    Args:
        simulation: the board; whoever made it closes it.
        port: where hosts come.

    Members:
        address: for ``-d``, with the rate that a host must reckon with.
    """

    def __init__(self, simulation: BoardSimulation, port: Port) -> None:
        self._simulation, self._port = simulation, port
        made = simulation.board
        true_rate = made.baud * simulation.told_clock_hz // made.clock_hz
        baud = max((b for b in _BAUDS if b <= true_rate), default=_BAUDS[0])
        self.address = f"{port.address}?baud={baud}"
        self._still = 0
        self._moved = 0

    def step(self) -> None:
        """Carry what there is and run some cycles; rest a moment when nothing has moved for long:
        no byte on the line, no word at the SDRAM."""
        simulation, port = self._simulation, self._port
        if data := port.read(_REST_SECONDS if self._still >= _REST_SLICES else 0.0):
            simulation.send(data)
        simulation.run(_SLICE_CYCLES)
        answer = simulation.receive()
        if answer:
            port.write(answer)
        figures = simulation.figures
        moved = figures.words_read + figures.words_written
        busy = bool(data or answer or simulation.unsent or moved != self._moved)
        self._still = 0 if busy else self._still + 1
        self._moved = moved


def serve_board(
    name: str,
    *,
    preset: str | None = None,
    tcp: int | None = None,
    cycles_per_bit: int | None = LEAST_CYCLES_PER_BIT,
    firmware: Path | None = None,
    contents: Iterable[tuple[int, bytes]] = (),
    ready: Callable[[str], None],
    progress: Progress = silent,
    go_on: Callable[[], bool] = lambda: True,
) -> None:
    """Simulate a board and serve its line.

    Args:
        name: the board.
        preset: another accelerator than the board's.
        tcp: a TCP port instead of a pseudo-terminal; 0 takes a free one.
        cycles_per_bit: of the serial line; None for the board's own, which is slower.
        firmware: image of the CPU's ROM; by default weft's own, compiled now.
        contents: addresses and bytes that the SDRAM holds from the beginning.
        ready: called with the address for ``-d`` once hosts may come.
        progress: called while the model is compiled.
        go_on: asked between slices of the simulation.

    Raises:
        DeviceError: something of this cannot be had, or the board broke a rule of its SDRAM.
    """
    made = simulated(name, preset=preset, cycles_per_bit=cycles_per_bit)
    image = _own_firmware() if firmware is None else _read(firmware)
    try:
        rom_words(image, area("ROM").bytes)
    except ValueError as error:
        raise DeviceError(f"{error}.") from error
    with BoardSimulation(made, firmware=image, progress=progress) as simulation:
        for address, data in contents:
            if address + len(data) > simulation.memory.size:
                raise DeviceError(
                    f"{len(data)} bytes at {address:#x} do not fit the {simulation.memory.size} "
                    f"bytes of {made.title}."
                )
            simulation.memory[address : address + len(data)] = memoryview(data)
        port: Port = PtyPort() if tcp is None else TcpPort(tcp)
        try:
            server = BoardServer(simulation, port)
            ready(server.address)
            while go_on():
                server.step()
        finally:
            port.close()


def _own_firmware() -> bytes:
    try:
        return build_firmware().rom
    except FirmwareError as error:
        raise DeviceError(str(error)) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror}.") from error
