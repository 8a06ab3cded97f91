# SPDX-License-Identifier: Apache-2.0
"""What a build came to: cells by block, clocks, critical paths by block, versions, digest."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from weft_rtl.bitstream.blocks import Blocks
from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.netlist import Netlist
from weft_rtl.bitstream.parts import GowinPart, Part
from weft_rtl.bitstream.paths import LongPath

__all__ = ["cells_there", "cells_used", "make_report"]


def make_report(
    design: Design,
    netlist: Netlist,
    timing: dict[str, Any] | None,
    paths: Sequence[LongPath],
    *,
    origin: Mapping[str, Any],
    seed: int,
    versions: dict[str, str],
) -> dict[str, Any]:
    """The report as plain values for JSON.

    Parameters
    ----------
    timing : dict
        What nextpnr wrote with ``--report``; its clocks are after routing. None: it was not placed.
    paths : Sequence[LongPath]
        The longest, one for each register that they end in.
    origin : Mapping[str, Any]
        The design's digest, and what else says where it comes from.
    """
    part = design.part
    blocks = Blocks(netlist, part.counted)
    counts: dict[str, Counter[str]] = {block: Counter() for block in blocks.names}
    for cell in netlist.cells.values():
        if cell.kind in part.counted:
            counts[blocks.of(cell.module)][cell.kind] += 1
    used = cells_used(part, netlist)
    if timing and isinstance(part, GowinPart):
        # As packed: a register without logic in front of it takes the place of a LUT4 that passes
        # its value, and a distributed memory those of registers.
        packed = {kind: found["used"] for kind, found in timing["utilization"].items()}
        used["logic"] = packed["LUT4"] + packed["ALU"]
        used["DFF"] = packed["DFF"]
    timing = timing or {"fmax": {}, "critical_paths": []}
    return {
        "design": design.name,
        **origin,
        "part": part.full_name,
        "seed": seed,
        "versions": versions,
        "notes": list(part.notes),
        "clocks": {
            _net(name, netlist): {
                "mhz": round(found["achieved"], 1),
                "wanted_mhz": found["constraint"],
            }
            for name, found in sorted(timing["fmax"].items())
        },
        "used": used,
        "limits": cells_there(part),
        "blocks": {
            block: {"logic": _logic(part, count), **{kind: count[kind] for kind in part.counted}}
            for block, count in counts.items()
        },
        "critical_paths": [_path(path, netlist, blocks) for path in timing["critical_paths"]],
        "longest_paths": [
            {
                "ns": path.picoseconds / 1000,
                "levels": path.levels,
                "from": path.begin,
                "to": path.end,
                "blocks": _in_turn(blocks.of(netlist.module_of(cell)) for cell in path.cells),
            }
            for path in paths
        ],
    }


def cells_used(part: Part, netlist: Netlist) -> dict[str, int]:
    """Places of a LUT4, flip-flops, block RAMs and multipliers that a netlist takes."""
    total = Counter(cell.kind for cell in netlist.cells.values())
    return {"logic": _logic(part, total), **{kind: total[kind] for kind in part.cells}}


def cells_there(part: Part) -> dict[str, int]:
    """What a part has of them."""
    return {"logic": part.logic, **part.cells}


def _logic(part: Part, count: Counter[str]) -> int:
    return sum(number * part.logic_cells.get(kind, 0) for kind, number in count.items())


def _net(name: str, netlist: Netlist) -> str:
    """A net's name without the tool's decoration: ``$glbnet$clk$TRELLIS_IO_IN`` is clk."""
    plain = re.sub(r"\$glbnet\$|\$TRELLIS_IO_(IN|OUT)$", "", name)
    edge, space, net = plain.rpartition(" ")
    return f"{edge}{space}{netlist.clocks.get(net, net)}"


def _in_turn(names: Iterable[str]) -> list[str]:
    """Names without repetitions of the one before."""
    return [name for name, _ in groupby(names)]


def _path(path: dict[str, Any], netlist: Netlist, blocks: Blocks) -> dict[str, Any]:
    """The longest path between two clocks: its delay in logic and wires, and its blocks."""
    delays: Counter[str] = Counter()
    for step in path["path"]:
        delays["wire" if step["type"] == "routing" else "logic"] += step["delay"]
    return {
        "from": _net(path["from"], netlist),
        "to": _net(path["to"], netlist),
        "ns": round(sum(delays.values()), 2),
        "logic_ns": round(delays["logic"], 2),
        "wire_ns": round(delays["wire"], 2),
        "blocks": _in_turn(
            blocks.of(netlist.module_of(step["to"]["cell"])) for step in path["path"]
        ),
        "nets": [step["net"] for step in path["path"] if "net" in step],
    }
