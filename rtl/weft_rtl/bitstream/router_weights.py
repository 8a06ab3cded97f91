# SPDX-License-Identifier: Apache-2.0
"""How much nextpnr's router2 lets wires that several nets want cost.

Its command line has no option for most of that, but a netlist may carry settings.
"""

import json
from pathlib import Path

__all__ = ["ROUTER_WEIGHTS", "with_router_weights"]

ROUTER_WEIGHTS = {
    "router2/currCongWeightMult": "0.5",
    "router2/estimateWeight": "1.0",
    "router2/bbMargin/x": "12",
    "router2/bbMargin/y": "12",
}
"""What the present overuse of a wire costs more in every round (2 without this: after some fifty
rounds nets flee from each other into ever longer wires, and what was almost routed grows again),
how far the estimate of a wire's rest is trusted (1.25: more wires, found sooner), and by how many
tiles a net may leave the rectangle of its pins (3: in a crowd nobody has a way around)."""


def with_router_weights(netlist: Path, result: Path) -> None:
    """Write the ``netlist`` of Yosys's ``write_json`` to ``result``, with `ROUTER_WEIGHTS`."""
    design = json.loads(netlist.read_text())
    for module in design["modules"].values():
        if int(module["attributes"].get("top", "0"), 2):
            module["settings"] = ROUTER_WEIGHTS
    result.write_text(json.dumps(design))
