# SPDX-License-Identifier: Apache-2.0
"""A whole board in this process: bytes of its serial line, its SDRAM, its LEDs, its counters."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_int, c_uint8, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from weft_arch.soc import area
from weft_rtl.boards.board import Board
from weft_rtl.soc.cpu_memory import rom_words
from weft_rtl.soc.uart import bit_period
from weft_sim.board_model import compile_board
from weft_sim.board_top import IDLE_FIRMWARE
from weft_sim.device import DeviceError
from weft_sim.sdram_model import violation
from weft_sim.toolchain import Progress, silent

__all__ = ["SIMULATED_HZ", "BoardFigures", "BoardSimulation"]

SIMULATED_HZ = 20_000
"""Cycles per second that a simulated board runs at least, on a slow machine that is busy."""
_INTERFACE_VERSION = 1
_RESET_CYCLES = 64
_MOST_RECEIVED = 1 << 16
_HANDLE = c_void_p
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "board_interface_version": (c_int, ()),
    "board_create": (c_void_p, (c_uint64, c_uint64, c_uint64)),
    "board_destroy": (None, (_HANDLE,)),
    "board_reset": (None, (_HANDLE, c_uint64)),
    "board_run": (c_uint64, (_HANDLE, c_uint64, c_int)),
    "board_send": (None, (_HANDLE, ctypes.c_char_p, c_uint64)),
    "board_unsent": (c_uint64, (_HANDLE,)),
    "board_receive": (c_uint64, (_HANDLE, POINTER(c_uint8), c_uint64)),
    "board_memory": (POINTER(c_uint8), (_HANDLE,)),
    "board_rom": (POINTER(c_uint8), (_HANDLE,)),
    "board_set_buttons": (None, (_HANDLE, c_int)),
    "board_leds": (c_int, (_HANDLE,)),
    "board_figures": (None, (_HANDLE, POINTER(c_uint64))),
}


@dataclass(frozen=True, kw_only=True)
class BoardFigures:
    """What harness and SDRAM model counted since the start, in the order of the harness.

    Members:
        cycles: of the board's clock.
        broken_bytes: bytes on the line without a stop bit.
        rule ... rule_found: the SDRAM's first broken rule, see `weft_sim.sdram_model`.
        sdram_cycles: of the SDRAM's clock.
        words_read, words_written: that DQ moved.
        activates, refreshes: commands.
    """

    cycles: int
    broken_bytes: int
    rule: int
    rule_bank: int
    rule_cycle: int
    rule_needed: int
    rule_found: int
    sdram_cycles: int
    words_read: int
    words_written: int
    activates: int
    refreshes: int


class BoardSimulation:
    """A simulated board, switched on and out of reset.

    Args:
        board: which, and with which clocks and baud rate.
        firmware: what the CPU's ROM holds; by default the CPU does nothing.
        told_clock_hz: the clock that it tells the host, which is also the line's: a host that waits
            for a second waits for so many cycles.
        progress: called with stage names and fractions while the model is compiled.

    Members:
        memory: the SDRAM as bytes, without a copy; byte n is the board's byte address n. Good for
            loading and looking while nothing moves.
    """

    def __init__(
        self,
        board: Board,
        *,
        firmware: bytes = IDLE_FIRMWARE,
        told_clock_hz: int = SIMULATED_HZ,
        progress: Progress = silent,
    ) -> None:
        self.board, self.told_clock_hz = board, told_clock_hz
        library = compile_board(board, told_clock_hz=told_clock_hz, progress=progress)
        self._lib = _loaded(library)
        period, sdram_period = (round(1e12 / hz) for hz in (board.clock_hz, board.sdram_hz))
        bit = bit_period(board.clock_hz, board.baud)
        self._handle = self._lib.board_create(period, sdram_period, bit)
        rom_bytes = area("ROM").bytes
        image = np.array(rom_words(firmware, rom_bytes), "<u4").view(np.uint8)
        rom = np.ctypeslib.as_array(self._lib.board_rom(self._handle), (rom_bytes,))
        rom[: image.size] = image
        sdram = self._lib.board_memory(self._handle)
        self.memory: NDArray[np.uint8] = np.ctypeslib.as_array(sdram, (board.memory_bytes,))
        self._lib.board_reset(self._handle, _RESET_CYCLES)

    @property
    def figures(self) -> BoardFigures:
        """The counts so far."""
        names = tuple(BoardFigures.__dataclass_fields__)
        values = (c_uint64 * len(names))()
        self._lib.board_figures(self._live, values)
        return BoardFigures(**dict(zip(names, values, strict=True)))

    @property
    def cycles(self) -> int:
        """Of the board's clock, so far."""
        return self.figures.cycles

    @property
    def leds(self) -> int:
        """Bit n is LED n."""
        return self._lib.board_leds(self._live)

    @property
    def unsent(self) -> int:
        """Bytes that wait to go over the line."""
        return self._lib.board_unsent(self._live)

    def press(self, buttons: int) -> None:
        """Bit n is button n, 1 is pressed."""
        self._lib.board_set_buttons(self._live, buttons)

    def send(self, data: bytes) -> None:
        """Bytes for the board; they go over the line while it runs."""
        self._lib.board_send(self._live, data, len(data))

    def receive(self) -> bytes:
        """What has come from the board."""
        into = (c_uint8 * _MOST_RECEIVED)()
        size = self._lib.board_receive(self._live, into, _MOST_RECEIVED)
        return bytes(into[:size])

    def run(self, cycles: int, *, until_byte: bool = False) -> int:
        """Run so many cycles, or until a byte has come; the cycles run.

        Raises:
            DeviceError: the controller broke a rule of the SDRAM; the message says which.
        """
        done = self._lib.board_run(self._live, cycles, int(until_byte))
        if done < cycles:
            self._check()
        return done

    def close(self) -> None:
        """End the simulation; memory is gone, too."""
        if self._handle:
            self.memory = np.zeros(0, np.uint8)
            self._lib.board_destroy(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _live(self) -> Any:
        if not self._handle:
            raise DeviceError("The simulated board was closed.")
        return self._handle

    def _check(self) -> None:
        found = self.figures
        text = violation(
            found.rule,
            bank=found.rule_bank,
            cycle=found.rule_cycle,
            needed=found.rule_needed,
            found=found.rule_found,
        )
        if text:
            raise DeviceError(text)


def _loaded(library: Path) -> ctypes.CDLL:
    lib = ctypes.CDLL(str(library))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    version = lib.board_interface_version()
    if version != _INTERFACE_VERSION:
        raise RuntimeError(f"{library} has interface version {version}, not {_INTERFACE_VERSION}.")
    return lib
