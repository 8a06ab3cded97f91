# SPDX-License-Identifier: Apache-2.0
"""From a board's name to its bitstream."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.flow import build
from weft_rtl.bitstream.parts import PARTS, EcpPart
from weft_rtl.bitstream.tools import BuildError, Progress
from weft_rtl.boards.board import BoardChanges, board
from weft_rtl.boards.ecp5_board import Ecp5Board
from weft_rtl.boards.gowin_board import GowinBoard
from weft_rtl.soc.cpu_core import HALF_CLOCK, cpu_core_verilog
from weft_rtl.soc.firmware import FirmwareError, build_firmware
from weft_rtl.top import ECP5_HARD_MULTIPLIERS

__all__ = ["board_design", "board_digest", "build_board", "constraints_folder"]

_PARTS = {
    "ulx3s_85f": "LFE5U-85F",
    "colorlight_i9": "LFE5U-45F",
    "tang_mega_138k_pro": "GW5AST-138C",
}
_FLOAT_MULTIPLIERS = {4: 16, 8: 24}
"""Multipliers that the array must leave to the float units, by lanes."""


def constraints_folder() -> Path:
    """The folder with a constraint file per board, of a checkout or of an installed package."""
    beside = Path(__file__).resolve().parent
    for folder in (beside.parents[2] / "constraints", beside / "constraints"):
        if folder.is_dir():
            return folder
    raise BuildError("The constraint files of the boards are not installed.")


def board_design(
    name: str, firmware: bytes | None = None, *, changes: BoardChanges | None = None
) -> Design:
    """All that the bitstream of a board follows from; a `BuildError` if there is no such board.

    Parameters
    ----------
    firmware : bytes | None
        What the CPU's ROM holds; None: compiled now.
    changes : BoardChanges | None
        What is otherwise than the board has it.
    """
    changes = changes or BoardChanges()
    try:
        rom = build_firmware().rom if firmware is None else firmware
        sources = (cpu_core_verilog(),)
    except (FirmwareError, FileNotFoundError) as error:
        raise BuildError(str(error)) from None
    try:
        own = board(name)
        found = changes.of(own)
        if name not in _PARTS:
            raise BuildError(f"No bitstream is made for {name}; there are {', '.join(_PARTS)}.")
        part = PARTS[_PARTS[name]]
        make = Ecp5Board if isinstance(part, EcpPart) else GowinBoard
        component = make(found, rom)
    except ValueError as error:  # of the board, its SDRAM, its serial line or its PLL
        raise BuildError(f"{error}.") from None
    cells = found.config.cells
    # No tool derives that a register divides a clock.
    half = part.frequency("NET", f"soc.cpu.core.{HALF_CLOCK}", found.clock_hz / 2e6)
    if isinstance(part, EcpPart):
        free = part.multipliers - _FLOAT_MULTIPLIERS.get(found.config.lanes, part.multipliers)
        hard, suffix = min(ECP5_HARD_MULTIPLIERS, free, cells), "lpf"
    else:
        hard, suffix = cells, "cst"
    return Design(
        name=name if found == own else f"{name}{changes.suffix}".replace(".", "_"),
        part=part,
        component=component,
        constraints=(constraints_folder() / f"{name}.{suffix}").read_text() + half,
        hard_multipliers=hard,
        activation_bits=found.config.activation_bits,
        sources=sources,
    )


def board_digest(name: str, changes: BoardChanges | None = None) -> str:
    """The digest of a board's design without its firmware, on which neither area nor clocks
    depend: it is the contents of a block RAM."""
    return board_design(name, bytes(4), changes=changes).digest


def build_board(
    name: str,
    folder: Path,
    *,
    preset: str | None,
    clock_mhz: float | None,
    sdram_mhz: float | None,
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """Build the bitstream of a board in ``folder``; the report, with `board_digest`."""
    changes = BoardChanges(preset=preset, clock_mhz=clock_mhz, sdram_mhz=sdram_mhz)
    digest = board_digest(name, changes)
    design = board_design(name, changes=changes)
    origin = {"digest": digest, "board": name, "changes": asdict(changes)}
    return build(design, folder, seed=seed, origin=origin, progress=progress)
