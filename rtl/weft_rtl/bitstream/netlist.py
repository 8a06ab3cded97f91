# SPDX-License-Identifier: Apache-2.0
"""The cells of a built design: what each is, which module it came from, where it was placed."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft_rtl.bitstream.synthesis import BLOCK_ATTRIBUTE

__all__ = ["COUNTED", "Cell", "Netlist", "read_netlist"]

COUNTED = ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "TRELLIS_FF", "MULT18X18D", "DP16KD")
"""Kinds of cell that a report counts."""
_PLACE = re.compile(r"X(\d+)/Y(\d+)/")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of the part.

    Members
    -------
    kind : str
        Of `COUNTED`, or another.
    module : str
        The module that it came from, "top.machine.compute"; logic belongs to the module of what
        it feeds.
    place : tuple[int, int] | None
        Column and row of the die, from the left and the top; None where it was not placed.
    """

    kind: str
    module: str
    place: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """Cells by name, as in the netlist and in the timing report.

    Members
    -------
    top : str
        Name of the top module.
    cells : dict[str, Cell]
    """

    top: str
    cells: dict[str, Cell]

    def module_of(self, cell: str) -> str:
        """The module of a cell that the timing report names, which adds ``$`` and a part."""
        name = cell
        while name not in self.cells and "$" in name:
            name = name.rpartition("$")[0]
        return self.cells[name].module if name in self.cells else self.top


def read_netlist(netlist: Path, placed: Path | None, top: str) -> Netlist:
    """Read what synthesis and, where it has run, place and route wrote."""
    module = json.loads(netlist.read_text())["modules"][top]
    found: dict[str, Any] = module["cells"]
    places = _places(json.loads(placed.read_text())) if placed else {}
    modules = _with_logic(_labels(found), found, top)
    cells = {
        name: Cell(kind=entry["type"], module=modules[name], place=places.get(name))
        for name, entry in found.items()
        if not entry["type"].startswith("$")
    }
    return Netlist(top=top, cells=cells)


def _places(design: Any) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    (module,) = design["modules"].values()
    for name, entry in module["cells"].items():
        bel = _PLACE.match(entry["attributes"].get("NEXTPNR_BEL", ""))
        if bel is None:
            continue
        place = int(bel[1]), int(bel[2])
        places[name] = place
        # A carry cell or a memory is split when it is packed: the first part stands for it.
        places.setdefault(name.rpartition("$")[0], place)
    return places


def _labels(cells: dict[str, Any]) -> dict[str, str]:
    """The cells that still carry the label given before flattening."""
    return {
        name: entry["attributes"][BLOCK_ATTRIBUTE]
        for name, entry in cells.items()
        if BLOCK_ATTRIBUTE in entry["attributes"]
    }


def _with_logic(labels: dict[str, str], cells: dict[str, Any], top: str) -> dict[str, str]:
    """Give each cell without a label the most frequent one of what it feeds, backwards in waves."""
    readers: dict[int, list[str]] = {}
    for name, entry in cells.items():
        for bit in _bits(entry, "input"):
            readers.setdefault(bit, []).append(name)
    feeds = {
        name: [reader for bit in _bits(entry, "output") for reader in readers.get(bit, ())]
        for name, entry in cells.items()
        if name not in labels
    }
    known = dict(labels)
    while feeds:
        wave = {}
        for name, targets in feeds.items():
            votes = Counter(known[target] for target in targets if target in known)
            if votes:
                wave[name] = votes.most_common(1)[0][0]
        if not wave:
            break
        known.update(wave)
        for name in wave:
            del feeds[name]
    known.update(dict.fromkeys(feeds, top))  # what feeds nothing but pins
    return known


def _bits(entry: dict[str, Any], direction: str) -> list[int]:
    """The nets at a cell's inputs or outputs, without constants."""
    directions = entry["port_directions"]
    return [
        bit
        for port, bits in entry["connections"].items()
        if directions[port] == direction
        for bit in bits
        if isinstance(bit, int)
    ]
