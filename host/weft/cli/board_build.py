# SPDX-License-Identifier: Apache-2.0
"""`weft board build` and `weft board load`: bitstreams."""

import shutil
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from weft.cli.console import build_progress, errors, make_folder, output
from weft.errors import FileError, WeftError, shown
from weft.tools import find_tool

__all__ = ["build", "load"]

BITSTREAM = "design.bit"
LOADER = "openFPGALoader"
LOADER_NAMES = {"ulx3s_85f": "ulx3s", "colorlight_i9": "colorlight-i9"}
"""What the loader calls the boards."""

BoardName = Annotated[str, typer.Argument(help="Board, as ulx3s_85f.")]
PresetName = Annotated[
    str | None, typer.Option("--preset", help="Another accelerator than the board's own.")
]
ClockMhz = Annotated[
    float | None, typer.Option("--mhz", help="Clock of the accelerator, instead of the board's.")
]
SdramMhz = Annotated[
    float | None, typer.Option("--sdram-mhz", help="Clock of the SDRAM, instead of the board's.")
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="Folder; default: build/boards/BOARD, with preset and clocks."
    ),
]


def build(
    board: BoardName,
    preset: PresetName = None,
    mhz: ClockMhz = None,
    sdram_mhz: SdramMhz = None,
    output_folder: Folder = None,
    seed: Annotated[int, typer.Option(help="Seed of the placer.")] = 1,
) -> None:
    """Make a board's bitstream with open tools; takes about half an hour the first time."""
    make = find_tool("board_build", "no installed package builds bitstreams.")
    folder = _folder(board, preset, mhz, sdram_mhz, output_folder)
    make_folder(folder)
    with build_progress() as progress:
        report: dict[str, Any] = make(
            board,
            folder,
            preset=preset,
            clock_mhz=mhz,
            sdram_mhz=sdram_mhz,
            seed=seed,
            progress=progress,
        )
    used = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "used", "of", ""):
        used.add_column(column, justify="left" if not column else "right")
    for name, count in report["used"].items():
        limit = report["limits"][name]
        used.add_row(name, f"{count:,}", f"{limit:,}", f"{count / limit:.0%}")
    output.print(used, "")
    missed = False
    for name, clock in report["clocks"].items():
        met = clock["mhz"] >= clock["wanted_mhz"]
        missed |= not met
        wanted = f"{clock['wanted_mhz']:.1f} MHz wanted"
        output.print(f"{name}: {clock['mhz']:.1f} MHz, {wanted}{'' if met else ', MISSED'}")
    if (folder / BITSTREAM).is_file():
        made = f"{folder / BITSTREAM}, report.json and placement.svg beside it"
    else:
        made = f"{folder / 'report.json'}, placement.svg beside it; no bitstream for this part"
    errors.print(made, soft_wrap=True)
    if missed:
        raise WeftError("a clock misses its constraint; try another --seed, or a lower --mhz.")


def load(
    board: BoardName,
    preset: PresetName = None,
    mhz: ClockMhz = None,
    sdram_mhz: SdramMhz = None,
    output_folder: Folder = None,
    flash: Annotated[
        bool, typer.Option("--flash", help="Write the flash: the board then starts with it.")
    ] = False,
) -> None:
    """Program a board with the bitstream that `weft board build` made; needs openFPGALoader."""
    if board not in LOADER_NAMES:
        known = ", ".join(LOADER_NAMES)
        raise WeftError(f"{LOADER} is not known to program {shown(board)}; there are {known}.")
    bitstream = _folder(board, preset, mhz, sdram_mhz, output_folder) / BITSTREAM
    if not bitstream.is_file():
        raise FileError(f"{bitstream} is not there; weft board build {board} makes it.")
    if shutil.which(LOADER) is None:
        raise WeftError(f"{LOADER} is not installed or not in PATH; it programs the board.")
    where = ["--write-flash"] if flash else []
    ended = subprocess.run(
        [LOADER, "--board", LOADER_NAMES[board], *where, str(bitstream)], check=False
    )
    if ended.returncode != 0:
        raise WeftError(f"{LOADER} failed with exit code {ended.returncode}.")


def _folder(
    board: str,
    preset: str | None,
    mhz: float | None,
    sdram_mhz: float | None,
    chosen: Path | None,
) -> Path:
    if chosen is not None:
        return chosen
    parts = [board]
    if preset is not None:
        parts.append(preset)
    if mhz is not None:
        parts.append(f"{mhz:g}mhz")
    if sdram_mhz is not None:
        parts.append(f"sdram_{sdram_mhz:g}mhz")
    return Path("build/boards") / "_".join(parts)
