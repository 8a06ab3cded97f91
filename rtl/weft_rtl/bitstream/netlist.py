# SPDX-License-Identifier: Apache-2.0
"""The cells of a built design: what each is, which module it came from, where it was placed."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft_rtl.bitstream.synthesis import BLOCK_ATTRIBUTE

__all__ = ["Cell", "Netlist", "read_netlist"]

_PLACE = re.compile(r"X(\d+)/?Y(\d+)/")
_GOWIN_KINDS = {
    "LUT4": re.compile(r"LUT[1-4]"),
    "DFF": re.compile(r"DFF[A-Z]*"),
    "BSRAM": re.compile(r"(DP|SDP)(B|X9B)|SP(X9)?|pROM(X9)?"),
}
"""Names for the variants of a cell that take the same place."""
_GOWIN_MEMORIES = ("BSRAM", "RAM16SDP4")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of the part.

    Members
    -------
    kind : str
        As the part's library calls it; for variants of one cell of a Gowin part one name.
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
    ports : tuple[str, ...]
        Of the top module, bit by bit: ``name`` or ``name[bit]``.
    clocks : dict[str, str]
        The input whose buffer drives a net, by every name of the net; empty for a family whose
        nets keep the names of ports.
    cells : dict[str, Cell]
    """

    top: str
    ports: tuple[str, ...] = ()
    clocks: dict[str, str] = field(default_factory=dict)
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
    modules = _with_logic(_labels(found, top), found, top)
    cells = {
        name: Cell(kind=_kind(entry["type"]), module=modules[name], place=places.get(name))
        for name, entry in found.items()
        if not entry["type"].startswith("$")
    }
    return Netlist(top=top, ports=_ports(module), clocks=_clocks(module), cells=cells)


def _kind(cell_type: str) -> str:
    named = (kind for kind, types in _GOWIN_KINDS.items() if types.fullmatch(cell_type))
    return next(named, cell_type)


def _ports(module: Any) -> tuple[str, ...]:
    return tuple(
        name if len(port["bits"]) == 1 else f"{name}[{bit}]"
        for name, port in module["ports"].items()
        for bit in range(len(port["bits"]))
    )


def _clocks(module: Any) -> dict[str, str]:
    """The ports in front of input buffers, by every name of the net behind."""
    ports = {p["bits"][0]: name for name, p in module["ports"].items() if len(p["bits"]) == 1}
    behind = {
        entry["connections"]["O"][0]: ports[entry["connections"]["I"][0]]
        for entry in module["cells"].values()
        if entry["type"] == "IBUF" and entry["connections"]["I"][0] in ports
    }
    return {
        name: behind[net["bits"][0]]
        for name, net in module["netnames"].items()
        if len(net["bits"]) == 1 and net["bits"][0] in behind
    }


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


def _labels(cells: dict[str, Any], top: str) -> dict[str, str]:
    """The cells that still carry the label given before flattening, and the memories of a Gowin
    part, which lose it but keep a name that begins with their module's."""
    labels = {
        name: entry["attributes"][BLOCK_ATTRIBUTE]
        for name, entry in cells.items()
        if BLOCK_ATTRIBUTE in entry["attributes"]
    }
    modules = set(labels.values())
    for name, entry in cells.items():
        if name not in labels and _kind(entry["type"]) in _GOWIN_MEMORIES:
            module = f"{top}.{name}"
            while module and module not in modules:
                module = module.rpartition(".")[0]
            labels[name] = module or top
    return labels


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
