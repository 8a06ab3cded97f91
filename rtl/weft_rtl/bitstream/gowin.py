# SPDX-License-Identifier: Apache-2.0
"""The constraints of a Gowin part as its place and route tool takes them."""

import re

from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.netlist import Netlist
from weft_rtl.bitstream.parts import GowinPart
from weft_rtl.bitstream.tools import BuildError

__all__ = ["clock_constraints", "pin_constraints"]

_LOCATED = re.compile(r'^IO_LOC "([^"]+)" (\w+);', re.MULTILINE)
_PORT = re.compile(r"\[get_ports (\S+)\]")


def pin_constraints(design: Design, netlist: Netlist, *, all_pins_named: bool) -> str:
    """The lines with pins; the tool places no port by itself.

    Ports without a pin get those of the part's list that are left. A `BuildError` says so where
    there are too few, or where all ports must be named.
    """
    part = design.part
    assert isinstance(part, GowinPart)
    located = dict(_LOCATED.findall(design.constraints))
    nameless = [port for port in netlist.ports if port not in located]
    if nameless and all_pins_named:
        raise BuildError(f"The constraints of {design.name} give no pin to {', '.join(nameless)}.")
    # The first pin of the list can take a clock.
    nameless.sort(key=lambda port: port not in _PORT.findall(design.constraints))
    free = [pin for pin in part.pins if pin not in located.values()]
    if len(nameless) > len(free):
        raise BuildError(
            f"{design.name} has {len(nameless)} ports without a pin; for the {part.name} at most "
            f"{len(free)} are chosen."
        )
    lines = [line for line in design.constraints.splitlines() if line.startswith("IO_")]
    lines += [f'IO_LOC "{port}" {pin};' for port, pin in zip(nameless, free, strict=False)]
    return "".join(f"{line}\n" for line in lines)


def clock_constraints(design: Design, netlist: Netlist) -> str:
    """The lines with clocks. The tool follows no clock through an input's buffer: the constraint of
    a port goes to the net behind it; a `BuildError` names a port that has none."""
    behind: dict[str, str] = {}
    for net, port in sorted(netlist.clocks.items(), key=lambda pair: ("$" in pair[0], pair)):
        behind.setdefault(port, net)

    def net_of(found: re.Match[str]) -> str:
        if found[1] not in behind:
            raise BuildError(f"The clock {found[1]} of {design.name} is no input of one bit.")
        return f"[get_nets {behind[found[1]]}]"

    lines = [line for line in design.constraints.splitlines() if line.startswith("create_clock")]
    return "".join(f"{_PORT.sub(net_of, line)}\n" for line in lines)
