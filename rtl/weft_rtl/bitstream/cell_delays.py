# SPDX-License-Identifier: Apache-2.0
"""What the cells of a netlist delay, for an estimate before anything is placed.

Times are those of an ECP5 of speed 6 as nextpnr has them; a wire's is what it takes on a full die
in the mean, and grows with the number of its readers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Arc", "arcs_of", "wire_ns"]

_LUT_NS = 0.24
_MUX_NS = 0.25
_CARRY_IN_NS, _CARRY_BIT_PAIR_NS, _CARRY_OUT_NS = 0.45, 0.07, 0.44
_FLIP_FLOP_NS = 0.52
_RESET_SETUP_NS = 0.42
_BLOCK_RAM_NS = {"OUTREG": 0.96, "NOREG": 5.6}
_RAM_SETUP_NS = 0.3
_SMALL_RAM_NS = 0.6
_MULTIPLIER_NS = 3.9
_MULTIPLIER_REGISTER_NS = 1.0
_WIRE_NS, _WIRE_DOUBLING_NS = 1.0, 0.08
_UNROUTED = {"PFUMX": ("ALUT", "BLUT"), "L6MUX21": ("D0", "D1")}
"""Pins whose wires lie within a slice or between neighbours."""


@dataclass(frozen=True, kw_only=True)
class Arc:
    """A way through a cell, or its begin or end in the cell.

    Members
    -------
    source, target : int | None
        Nets; no source: a register begins it at its clock, no target: one ends it.
    ns : float
        Without the wire to the cell.
    level : int
        1 where the way leads through a LUT4 or into a carry chain, else 0.
    routed : bool
        The wire to the cell counts.
    """

    source: int | None
    target: int | None
    ns: float
    level: int = 0
    routed: bool = True


def wire_ns(readers: int) -> float:
    """What a wire with so many readers takes."""
    return _WIRE_NS + _WIRE_DOUBLING_NS * math.log2(max(readers, 1))


def arcs_of(cell: dict[str, Any]) -> Iterator[Arc]:
    """All ways through a cell of the netlist; kinds without registers or logic have none."""
    kind = cell["type"]
    pins = {
        name: bit
        for name, bits in cell["connections"].items()
        for bit in bits[:1]
        if isinstance(bit, int)
    }
    if kind == "CCU2C":
        yield from _carry(pins)
    elif kind in ("LUT4", "PFUMX", "L6MUX21"):
        ns, level = (_LUT_NS, 1) if kind == "LUT4" else (_MUX_NS, 0)
        target = pins.pop("Z", None)
        if target is not None:
            for name, bit in pins.items():
                routed = name not in _UNROUTED.get(kind, ())
                yield Arc(source=bit, target=target, ns=ns, level=level, routed=routed)
    elif kind == "TRELLIS_FF":
        for name, bit in pins.items():
            if name == "Q":
                yield Arc(source=None, target=bit, ns=_FLIP_FLOP_NS)
            elif name != "CLK":
                ns = _RESET_SETUP_NS if name == "LSR" else 0.0
                yield Arc(source=bit, target=None, ns=ns, routed=name != "DI")
    elif kind == "TRELLIS_DPR16X4":
        yield from _small_ram(cell)
    elif kind in ("DP16KD", "MULT18X18D"):
        yield from _hard(cell, pins)
    elif kind == "$buf":
        yield Arc(source=pins.get("A"), target=pins.get("Y"), ns=0.0, routed=False)


def _carry(pins: dict[str, int]) -> Iterator[Arc]:
    for name, bit in pins.items():
        if name in ("S0", "S1", "COUT"):
            continue
        carried = name == "CIN"
        for out in ("S0", "S1", "COUT"):
            if out not in pins or (out == "S0" and name.endswith("1")):
                continue
            if carried:
                ns = _CARRY_BIT_PAIR_NS if out == "COUT" else _CARRY_OUT_NS
            else:
                # The sum of its own place is a LUT4; another place's comes over the carry.
                own = out == f"S{name[-1]}"
                ns = _LUT_NS if own else _CARRY_IN_NS + (_CARRY_OUT_NS if out != "COUT" else 0)
            level = int(not carried)
            yield Arc(source=bit, target=pins[out], ns=ns, level=level, routed=not carried)


def _small_ram(cell: dict[str, Any]) -> Iterator[Arc]:
    """Written at the clock, read without one."""
    connections = cell["connections"]
    outputs = [bit for bit in connections["DO"] if isinstance(bit, int)]
    for bit in outputs:
        yield Arc(source=None, target=bit, ns=_SMALL_RAM_NS)
        for address in connections["RAD"]:
            if isinstance(address, int):
                yield Arc(source=address, target=bit, ns=_LUT_NS, level=1)
    for name in ("DI", "WAD", "WRE"):
        for bit in connections[name]:
            if isinstance(bit, int):
                yield Arc(source=bit, target=None, ns=_RAM_SETUP_NS)


def _hard(cell: dict[str, Any], pins: dict[str, int]) -> Iterator[Arc]:
    """Block RAM, and multiplier with or without registers."""
    directions, parameters = cell["port_directions"], cell["parameters"]
    registered = parameters.get("REG_INPUTA_CLK", "NONE") != "NONE"
    block_ram = cell["type"] == "DP16KD"
    outputs = [name for name in pins if directions[name] == "output"]
    inputs = [name for name in pins if directions[name] == "input" and "CLK" not in name]
    for name in outputs:
        if block_ram:
            port = "A" if name.startswith("DOA") else "B"
            ns = _BLOCK_RAM_NS[parameters.get(f"REGMODE_{port}", "NOREG")]
            yield Arc(source=None, target=pins[name], ns=ns)
        elif registered:
            yield Arc(source=None, target=pins[name], ns=_MULTIPLIER_REGISTER_NS)
    for name in inputs:
        if block_ram or registered:
            yield Arc(source=pins[name], target=None, ns=_RAM_SETUP_NS)
            continue
        for out in outputs:
            yield Arc(source=pins[name], target=pins[out], ns=_MULTIPLIER_NS, level=1)
