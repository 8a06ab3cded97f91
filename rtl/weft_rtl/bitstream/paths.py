# SPDX-License-Identifier: Apache-2.0
"""The longest paths of a placed design, one for each register that they end in.

nextpnr names one path for each pair of clocks; whoever shortens paths wants the others too. They
follow from the delays that it writes as SDF (Standard Delay Format, IEEE 1497).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LongPath", "longest_paths"]

Pin = str
"""``cell/port`` as SDF writes it."""

_WIRE = re.compile(r"\(INTERCONNECT (\S+) (\S+) \(\d+:\d+:(\d+)\)")
_INSTANCE = re.compile(r"\(INSTANCE (\S+)\)")
_CELL = re.compile(r"\(IOPATH (\S+) (\S+) \(\d+:\d+:(\d+)\)")
_SETUP = re.compile(r"\(SETUPHOLD \(posedge (\S+?)\) \(\w+ \S+?\) \((?:-?\d+:){2}(-?\d+)\)")
_REGISTER = re.compile(r"_(TRELLIS_FF|DP16KD|MULT18X18D|TRELLIS_DPR16X4|DFF[A-Z]*)_.*|\$.*")
_CONSTANT = "\\$PACKER_"
_CLOCKS = re.compile(r"/(CLK\w*|CLKA|CLKB|WCK)$")


@dataclass(frozen=True, kw_only=True)
class LongPath:
    """A path between two registers.

    Members
    -------
    picoseconds : int
        From clock to clock, with clock-to-output and setup time.
    levels : int
        Cells between the registers; a carry chain counts each pair of bits.
    cells : tuple[str, ...]
        Names, from the first register to the last.
    """

    picoseconds: int
    levels: int
    cells: tuple[str, ...]

    @property
    def begin(self) -> str:
        """The register that the path begins in, all its bits together."""
        return _REGISTER.sub("", self.cells[0])

    @property
    def end(self) -> str:
        """The register that the path ends in, all its bits together."""
        return _REGISTER.sub("", self.cells[-1])


@dataclass(frozen=True, kw_only=True)
class _Delays:
    wires: dict[Pin, tuple[Pin, int]]  # driver of each input
    cells: dict[Pin, list[tuple[Pin, int]]]  # inputs of each output
    setups: dict[Pin, int]


def longest_paths(sdf: Path, count: int) -> list[LongPath]:
    """The longest path to each register, all bits of it together; the ``count`` longest of these.

    Paths from and to pins are left out, and loops are cut. Clocks are not told apart: a path
    between two of them, which no constraint rules, would be listed too.
    """
    delays = _read(sdf)
    arrivals: dict[Pin, int] = {}
    before: dict[Pin, Pin] = {}
    ends = []
    for pin, setup in delays.setups.items():
        if pin in delays.wires:
            ends.append((_arrival(pin, delays, arrivals, before) + setup, pin))
    found: dict[str, LongPath] = {}
    for total, pin in sorted(ends, reverse=True):
        path = _path(pin, total, before)
        found.setdefault(path.end, path)
        if len(found) == count:
            break
    return list(found.values())


def _read(sdf: Path) -> _Delays:
    wires: dict[Pin, tuple[Pin, int]] = {}
    cells: dict[Pin, list[tuple[Pin, int]]] = {}
    setups: dict[Pin, int] = {}
    instance = ""
    with sdf.open() as lines:
        for line in lines:
            if wire := _WIRE.search(line):
                if not wire[1].startswith(_CONSTANT):
                    wires[wire[2]] = wire[1], int(wire[3])
            elif inside := _CELL.search(line):
                pair = f"{instance}/{inside[1]}", int(inside[3])
                cells.setdefault(f"{instance}/{inside[2]}", []).append(pair)
            elif setup := _SETUP.search(line):
                pin = f"{instance}/{setup[1]}"
                setups[pin] = max(setups.get(pin, 0), int(setup[2]))
            elif name := _INSTANCE.search(line):
                instance = name[1]
    return _Delays(wires=wires, cells=cells, setups=setups)


def _sources(pin: Pin, delays: _Delays) -> Iterator[tuple[Pin, int]]:
    """What a pin's value comes from, a clock left out: there a path begins."""
    if pin in delays.wires:
        yield delays.wires[pin]
    for source, delay in delays.cells.get(pin, ()):
        if not _CLOCKS.search(source):
            yield source, delay


def _arrival(end: Pin, delays: _Delays, arrivals: dict[Pin, int], before: dict[Pin, Pin]) -> int:
    """The latest time at ``end``, and on the way that of all pins in front of it."""
    stack = [end]
    open_pins: set[Pin] = set()
    while stack:
        pin = stack[-1]
        if pin in arrivals:
            stack.pop()
            continue
        waiting = [
            source
            for source, _ in _sources(pin, delays)
            if source not in arrivals and source not in open_pins
        ]
        if waiting and pin not in open_pins:
            open_pins.add(pin)
            stack.extend(waiting)
            continue
        stack.pop()
        latest = max(
            (d for source, d in delays.cells.get(pin, ()) if _CLOCKS.search(source)), default=0
        )
        for source, delay in _sources(pin, delays):
            if arrivals.get(source, -1) + delay > latest and source in arrivals:
                latest = arrivals[source] + delay
                before[pin] = source
        arrivals[pin] = latest
    return arrivals[end]


def _path(end: Pin, total: int, before: dict[Pin, Pin]) -> LongPath:
    pins = [end]
    while pins[-1] in before:
        pins.append(before[pins[-1]])
    cells: list[str] = []
    for pin in reversed(pins):
        cell = pin.rpartition("/")[0].replace("\\", "")
        if not cells or cells[-1] != cell:
            cells.append(cell)
    return LongPath(picoseconds=total, levels=len(cells) - 2, cells=tuple(cells))
