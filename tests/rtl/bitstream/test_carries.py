# SPDX-License-Identifier: Apache-2.0
"""Only carries that nobody reads are disconnected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weft_rtl.bitstream.carries import drop_unread_carries


def cell(kind: str, outputs: dict[str, int], inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "port_directions": dict.fromkeys(outputs, "output") | dict.fromkeys(inputs, "input"),
        "connections": {name: [bit] for name, bit in (outputs | inputs).items()},
    }


def test_carries_that_are_read_stay(tmp_path: Path) -> None:
    netlist = tmp_path / "netlist.json"
    cells = {
        "first": cell("CCU2C", {"S0": 2, "COUT": 3}, {"CIN": "0"}),
        "last": cell("CCU2C", {"S0": 4, "COUT": 5}, {"CIN": 3}),
        "compare": cell("CCU2C", {"S0": 6, "COUT": 7}, {"CIN": "1"}),
        "to_pin": cell("CCU2C", {"S0": 8, "COUT": 9}, {"CIN": "1"}),
        "lut": cell("LUT4", {"Z": 10}, {"A": 7}),
    }
    module = {"ports": {"o": {"direction": "output", "bits": [4, 9, 10]}}, "cells": cells}
    netlist.write_text(json.dumps({"modules": {"top": module}}))
    assert drop_unread_carries(netlist) == 1
    kept = json.loads(netlist.read_text())["modules"]["top"]["cells"]
    assert kept["last"]["connections"]["COUT"] == ["x"]
    del kept["last"], cells["last"]
    assert kept == cells
