# SPDX-License-Identifier: Apache-2.0
"""Carries that nobody reads, taken out of a netlist.

The place and route tool brings the last carry of every chain out to the fabric, with a cell more,
whenever it has a net. Yosys gives it one, always; that is a cell of eight in the adders of the
array.
"""

import json
from pathlib import Path
from typing import Any

__all__ = ["drop_unread_carries"]

_UNCONNECTED = "x"
"""The port stays: without it the tool ends."""


def drop_unread_carries(netlist: Path) -> int:
    """Disconnect each CCU2C's ``COUT`` that leads nowhere, in a netlist written by Yosys's
    ``write_json``; returns how many there were."""
    design = json.loads(netlist.read_text())
    count = sum(_drop(module) for module in design["modules"].values())
    netlist.write_text(json.dumps(design))
    return count


def _drop(module: dict[str, Any]) -> int:
    read = {bit for port in module["ports"].values() for bit in port["bits"]}
    cells = module["cells"].values()
    for cell in cells:
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) != "output":
                read.update(bits)
    count = 0
    for cell in cells:
        if cell["type"] == "CCU2C" and cell["connections"]["COUT"][0] not in read:
            cell["connections"]["COUT"] = [_UNCONNECTED]
            count += 1
    return count
