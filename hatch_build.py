# SPDX-License-Identifier: Apache-2.0
"""Puts the shipped models, the firmware's sources and the boards' pins into the wheel as data.

An editable install reads them from ``models/`` in the checkout instead, so that a model that was
just trained is the one that runs.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShippedModels(BuildHookInterface):
    """Adds every folder of ``models/`` that holds weights as ``weft/shipped/NAME``, and the texts
    that judge it beside it; ``firmware/`` as ``weft_rtl/soc/firmware_sources``, and
    ``constraints/`` as ``weft_rtl/boards/constraints``.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a wheel is made; `version` is standard or editable."""
        if version == "standard":
            sources = str(Path(self.root, "firmware"))
            build_data["force_include"][sources] = "weft_rtl/soc/firmware_sources"
            pins = str(Path(self.root, "constraints"))
            build_data["force_include"][pins] = "weft_rtl/boards/constraints"
            for weights in Path(self.root, "models").glob("*/model.safetensors"):
                folder = weights.parent
                build_data["force_include"][str(folder)] = f"weft/shipped/{folder.name}"
                held_out = folder.with_name(f"{folder.name}-heldout.jsonl")
                if held_out.is_file():
                    build_data["force_include"][str(held_out)] = f"weft/shipped/{held_out.name}"
