# SPDX-License-Identifier: Apache-2.0
"""Longest paths by levels of logic, from a synthesised netlist: what bounds the clock, in seconds.

    python bench/levels.py BLOCK [--preset default] [--part LFE5U-85F]
    python bench/levels.py --board ulx3s_85f
    python bench/levels.py --netlist FOLDER/netlist.json --top NAME

BLOCK is the name of a component of `weft_rtl`, as for `bench/fmax.py`. Nothing is placed: wires
are taken to be as long as on a full die in the mean, so the numbers are for comparing. One line for
each two modules that a path leads from and to, the worst first: nanoseconds, levels, number of
registers above the limit, and the longest path's registers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fmax import DOMAINS, make

from weft_arch.config import PRESETS, preset
from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.levels import EstimatedPath, estimated_paths
from weft_rtl.bitstream.out_of_context import OutOfContext
from weft_rtl.bitstream.parts import PARTS, EcpPart
from weft_rtl.bitstream.synthesis import NETLIST, synthesize
from weft_rtl.bitstream.tools import BuildError
from weft_rtl.boards.build import board_design
from weft_rtl.top import ECP5_HARD_MULTIPLIERS

_ECP5_PARTS = sorted(name for name, part in PARTS.items() if isinstance(part, EcpPart))


def main() -> None:
    """Synthesise unless there is a netlist, print."""
    parser = argparse.ArgumentParser(description="Longest paths by levels of logic.")
    parser.add_argument("block", nargs="?")
    parser.add_argument("--board")
    parser.add_argument("--netlist", type=Path)
    parser.add_argument("--top", default="alone", help="Top module of --netlist.")
    parser.add_argument("--preset", default="default", choices=sorted(PRESETS))
    parser.add_argument("--part", default="LFE5U-85F", choices=_ECP5_PARTS)
    parser.add_argument("--ns", type=float, default=10.0, help="Count registers above this.")
    parser.add_argument("--lines", type=int, default=40)
    options = parser.parse_args()
    if sum(given is not None for given in (options.block, options.board, options.netlist)) != 1:
        parser.error("give one of BLOCK, --board and --netlist")
    netlist, top = options.netlist, options.top
    if netlist is None:
        try:
            design = _design(options)
            netlist = Path("build/levels") / (options.board or options.block) / NETLIST
            netlist.parent.mkdir(parents=True, exist_ok=True)
            synthesize(design, netlist.parent, _progress)
        except BuildError as error:
            raise SystemExit(str(error)) from None
        top = design.name
    _print(estimated_paths(netlist, top), top, options.ns, options.lines)


def _design(options: argparse.Namespace) -> Design:
    if options.board is not None:
        return board_design(options.board)
    config = preset(options.preset)
    block = make(options.block, options.preset)
    return Design(
        name="alone",
        part=PARTS[options.part],
        component=OutOfContext(block, DOMAINS.get(options.block, {})),
        constraints="",
        hard_multipliers=min(ECP5_HARD_MULTIPLIERS, config.cells),
        activation_bits=config.activation_bits,
    )


def _progress(stage: str, fraction: float) -> None:
    print(f"{stage} {fraction:.0%}", file=sys.stderr)


def _print(paths: list[EstimatedPath], top: str, limit: float, lines: int) -> None:
    pairs: dict[tuple[str, str, str], list[EstimatedPath]] = {}
    for path in paths:
        pairs.setdefault((path.begin_module, path.end_module, path.clock), []).append(path)
    for (_, _, clock), found in list(pairs.items())[:lines]:
        worst = found[0]
        above = sum(path.ns > limit for path in found)
        begin, end = (name.removeprefix(f"{top}.") for name in (worst.begin, worst.end))
        print(f"{worst.ns:5.1f} ns {worst.levels:3} levels {above:5}  {clock}  {begin} > {end}")


if __name__ == "__main__":
    main()
