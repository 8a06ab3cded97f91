# SPDX-License-Identifier: Apache-2.0
"""What bounds a design's clock, estimated from its netlist alone: seconds, not hours.

Place and route knows better, but wires follow logic: a path of many levels is long wherever its
cells lie, and what to shorten is the same.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_rtl.bitstream.cell_delays import Arc, arcs_of, wire_ns
from weft_rtl.bitstream.synthesis import BLOCK_ATTRIBUTE

__all__ = ["EstimatedPath", "estimated_paths"]

_BIT = re.compile(r"_(TRELLIS_FF|DP16KD|MULT18X18D|TRELLIS_DPR16X4)_.*|\[\d+\]$|\$\d+$")
_CLOCK_PINS = ("CLK", "WCK", "CLKA", "CLKB", "CLK0")


@dataclass(frozen=True, kw_only=True)
class EstimatedPath:
    """The longest path to a register, all its bits together.

    Members
    -------
    ns : float
        From clock to clock, wires guessed.
    levels : int
        LUT4s and carry chains in between.
    begin, end : str
        Names of the registers.
    begin_module, end_module : str
        The modules that they came from; "?" where the netlist has none.
    clock : str
        Name of the clock's net.
    """

    ns: float
    levels: int
    begin: str
    end: str
    begin_module: str
    end_module: str
    clock: str


@dataclass(frozen=True, kw_only=True)
class _Ends:
    """Where paths begin or end: the net, the time there, the cell, its clock."""

    nets: NDArray[np.int64]
    ns: NDArray[np.float64]
    cells: list[str]
    clocks: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Ways:
    """Ways through cells, ordered by their targets."""

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    ns: NDArray[np.float64]
    levels: NDArray[np.int64]


def estimated_paths(netlist: Path, top: str) -> list[EstimatedPath]:
    """The longest path to each register, the longest first.

    Paths between two clocks, and from and to pins, are left out; loops are cut. A minute for a
    whole chip.

    Parameters
    ----------
    netlist : Path
        JSON of yosys, after ``synth_ecp5``.
    """
    module = json.loads(netlist.read_text())["modules"][top]
    cells, names = module["cells"], _names(module)
    begins, ends, ways, count = _graph(cells)
    found: dict[tuple[str, str], EstimatedPath] = {}
    for clock in np.unique(ends.clocks):
        mine = np.flatnonzero(begins.clocks == clock)
        arrivals = np.full(count, -np.inf)
        np.maximum.at(arrivals, begins.nets[mine], begins.ns[mine])
        _settle(arrivals, ways)
        first = dict(zip(begins.nets[mine].tolist(), mine.tolist(), strict=True))
        here = np.flatnonzero(ends.clocks == clock)
        totals = arrivals[ends.nets[here]] + ends.ns[here]
        for k in np.argsort(-totals, kind="stable"):
            if totals[k] == -np.inf:
                break
            index = int(here[k])
            cell = ends.cells[index]
            key = _module(cells[cell]), _register(cell)
            if key in found and found[key].ns >= totals[k]:
                continue
            levels, net = _back(int(ends.nets[index]), arrivals, ways, first)
            begin = begins.cells[first[net]] if net in first else "?"
            found[key] = EstimatedPath(
                ns=float(totals[k]),
                levels=levels,
                begin=_register(begin),
                end=key[1],
                begin_module=_module(cells.get(begin, {})),
                end_module=key[0],
                clock=names.get(int(clock), "?"),
            )
    return sorted(found.values(), key=lambda path: -path.ns)


def _names(module: dict[str, Any]) -> dict[int, str]:
    """The shortest name of each net of one bit."""
    found: dict[int, str] = {}
    for name, net in module.get("netnames", {}).items():
        if len(net["bits"]) == 1 and not net.get("hide_name"):
            bit = net["bits"][0]
            if isinstance(bit, int) and len(name) < len(found.get(bit, name + " ")):
                found[bit] = name
    return found


def _graph(cells: dict[str, Any]) -> tuple[_Ends, _Ends, _Ways, int]:
    """Begins, ends, ways, and the number of nets."""
    arcs: list[tuple[Arc, str]] = [
        (arc, name) for name, cell in cells.items() for arc in arcs_of(cell)
    ]
    read = {(arc.source, name) for arc, name in arcs if arc.source is not None and arc.routed}
    readers = Counter(source for source, _ in read)
    clocks = {name: _clock(cell) for name, cell in cells.items()}

    def ns(arc: Arc) -> float:
        wired = arc.source is not None and arc.routed
        return arc.ns + (wire_ns(readers[arc.source]) if wired else 0.0)

    def ends(chosen: list[tuple[Arc, str]]) -> _Ends:
        return _Ends(
            nets=np.array([a.target if a.source is None else a.source for a, _ in chosen], int),
            ns=np.array([ns(arc) for arc, _ in chosen]),
            cells=[name for _, name in chosen],
            clocks=np.array([clocks[name] for _, name in chosen], int),
        )

    through = [arc for arc, _ in arcs if arc.source is not None and arc.target is not None]
    through.sort(key=lambda arc: arc.target or 0)
    ways = _Ways(
        sources=np.array([arc.source for arc in through], int),
        targets=np.array([arc.target for arc in through], int),
        ns=np.array([ns(arc) for arc in through]),
        levels=np.array([arc.level for arc in through], int),
    )
    begins = [pair for pair in arcs if pair[0].source is None and pair[0].target is not None]
    last = [pair for pair in arcs if pair[0].target is None and pair[0].source is not None]
    nets = [bit for arc, _ in arcs for bit in (arc.source, arc.target) if bit is not None]
    return ends(begins), ends(last), ways, max(nets, default=0) + 1


def _clock(cell: dict[str, Any]) -> int:
    """The net at a cell's clock; -1 without one."""
    for pin in _CLOCK_PINS:
        for bit in cell["connections"].get(pin, ()):
            if isinstance(bit, int):
                return bit
    return -1


def _settle(arrivals: NDArray[np.float64], ways: _Ways) -> None:
    """Latest times at all nets: in waves, each of nets whose sources are all known."""
    order = np.argsort(ways.sources, kind="stable")
    first = np.searchsorted(ways.sources[order], np.arange(len(arrivals) + 1))
    missing = np.bincount(ways.targets, minlength=len(arrivals))
    wave = np.flatnonzero(missing == 0)
    left = len(arrivals)
    while left:
        if not len(wave):  # a loop: cut it somewhere
            wave = np.flatnonzero(missing > 0)[:1]
            missing[wave] = 0
        left -= len(wave)
        counts = first[wave + 1] - first[wave]
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        mine = order[np.repeat(first[wave], counts) + inside]
        targets = ways.targets[mine]
        open_ones = missing[targets] > 0
        mine, targets = mine[open_ones], targets[open_ones]
        np.maximum.at(arrivals, targets, arrivals[ways.sources[mine]] + ways.ns[mine])
        np.subtract.at(missing, targets, 1)
        reached = np.unique(targets)
        wave = reached[missing[reached] == 0]


def _back(
    net: int, arrivals: NDArray[np.float64], ways: _Ways, first: dict[int, int]
) -> tuple[int, int]:
    """Levels behind a net on its longest path, and the net that this begins with."""
    levels, seen = 0, set[int]()
    while net not in first and net not in seen:
        seen.add(net)
        low, high = np.searchsorted(ways.targets, (net, net + 1))
        if low == high:
            break
        times = arrivals[ways.sources[low:high]] + ways.ns[low:high]
        best = low + int(np.argmin(np.abs(times - arrivals[net])))
        levels += int(ways.levels[best])
        net = int(ways.sources[best])
    return levels, net


def _register(cell: str) -> str:
    """The register that a cell is a bit of."""
    return _BIT.sub("", cell)


def _module(cell: dict[str, Any]) -> str:
    return cell.get("attributes", {}).get(BLOCK_ATTRIBUTE, "?")
