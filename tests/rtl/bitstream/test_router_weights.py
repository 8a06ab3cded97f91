# SPDX-License-Identifier: Apache-2.0
"""The router's weights go with the top module, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

from weft_rtl.bitstream.router_weights import ROUTER_WEIGHTS, with_router_weights


def test_only_the_top_module_has_them(tmp_path: Path) -> None:
    cell = {"attributes": {"blackbox": "1"}, "ports": {}}
    top = {"attributes": {"top": "0" * 31 + "1"}, "ports": {}, "cells": {"a": {"type": "LUT4"}}}
    netlist, result = tmp_path / "netlist.json", tmp_path / "weighted.json"
    netlist.write_text(json.dumps({"modules": {"LUT4": cell, "chip": top}}))
    with_router_weights(netlist, result)
    modules = json.loads(result.read_text())["modules"]
    assert modules == {"LUT4": cell, "chip": top | {"settings": ROUTER_WEIGHTS}}
