# SPDX-License-Identifier: Apache-2.0
"""The whole way from a design to its folder of results; steps whose inputs did not change stay."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.netlist import Netlist, read_netlist
from weft_rtl.bitstream.parts import EcpPart, Part
from weft_rtl.bitstream.paths import longest_paths
from weft_rtl.bitstream.picture import placement_picture
from weft_rtl.bitstream.place_and_route import (
    BITSTREAM,
    DELAYS,
    PLACED,
    TIMING,
    pack,
    place_and_route,
)
from weft_rtl.bitstream.report import cells_there, cells_used, make_report
from weft_rtl.bitstream.synthesis import NETLIST, synthesize
from weft_rtl.bitstream.tools import BuildError, Progress, require, tool_versions

__all__ = ["PICTURE", "REPORT", "build"]

REPORT = "report.json"
PICTURE = "placement.svg"
LONGEST_PATHS = 20


def build(
    design: Design,
    folder: Path,
    *,
    seed: int = 1,
    bitstream: bool = True,
    origin: Mapping[str, Any] | None = None,
    progress: Progress = lambda stage, fraction: None,
) -> dict[str, Any]:
    """Build ``design`` in ``folder`` and return the report, which is also in `REPORT`.

    Parameters
    ----------
    seed : int
        Of the placer.
    bitstream : bool
        Make one, for which every port needs a pin; otherwise ports without one are placed
        anywhere. For a Gowin part none is made, pins or not.
    origin : Mapping[str, Any] | None
        What the report says of where the design comes from, its digest at least; None: that alone.

    Raises
    ------
    BuildError
        A tool is missing, refuses the design, or the design does not fit. From the synthesis on
        there is a report with the cells that it takes, and no clocks.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"{folder} cannot be made: {error.strerror}.") from error
    progress("generate", 0.0)
    tools = "pyosys", design.part.tool
    for module in tools:
        require(module)
    versions = tool_versions(*tools)
    report_of = partial(
        make_report,
        design,
        origin=origin or {"digest": design.digest},
        seed=seed,
        versions=versions,
    )
    key = f"{design.digest} {versions}"
    _step(folder, "synthesis", key, (NETLIST,), lambda: synthesize(design, folder, progress))
    unplaced = read_netlist(folder / NETLIST, None, design.name)
    # What there is when the part is too small, or when placing and routing does not end.
    _write(report_of(unplaced, None, ()), folder)
    if lacking := _lacking(design.part, unplaced):
        raise BuildError(f"{design.name} does not fit the {design.part.name}: {lacking}.")
    key = f"{key} seed {seed} pins {bitstream}"
    _step(
        folder,
        "place_and_route",
        key,
        (TIMING, PLACED, DELAYS),
        lambda: place_and_route(
            design, unplaced, folder, seed=seed, all_pins_named=bitstream, progress=progress
        ),
    )
    if bitstream and isinstance(design.part, EcpPart):
        _step(folder, "pack", key, (BITSTREAM,), lambda: pack(design, folder, progress))
    progress("report", 0.0)
    netlist = read_netlist(folder / NETLIST, folder / PLACED, design.name)
    timing = json.loads((folder / TIMING).read_text())
    paths = longest_paths(folder / DELAYS, LONGEST_PATHS)
    report = report_of(netlist, timing, paths)
    _write(report, folder)
    (folder / PICTURE).write_text(placement_picture(design, netlist, list(report["blocks"])))
    return report


def _lacking(part: Part, netlist: Netlist) -> str:
    """Which cells the part has too few of, in words."""
    used, there = cells_used(part, netlist), cells_there(part)
    return ", ".join(f"{used[k]:,} of {there[k]:,} {k}" for k in there if used[k] > there[k])


def _write(report: dict[str, Any], folder: Path) -> None:
    (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n")


def _step(
    folder: Path, name: str, key: str, results: tuple[str, ...], work: Callable[[], None]
) -> None:
    """Do ``work`` unless its results are there, undamaged, and made with the same ``key``."""
    stamp = folder / f"{name}.stamp"
    try:
        if stamp.read_text() == _stamp(folder, key, results):
            return
    except OSError:  # no stamp, or a result is missing
        pass
    stamp.unlink(missing_ok=True)
    work()
    stamp.write_text(_stamp(folder, key, results))


def _stamp(folder: Path, key: str, results: tuple[str, ...]) -> str:
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in results]
    return "\n".join((key, *digests)) + "\n"
