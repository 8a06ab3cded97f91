# SPDX-License-Identifier: Apache-2.0
"""Amaranth's Verilog, as every simulator and synthesis tool understands it."""

import re
from typing import Any

from amaranth.back import verilog

__all__ = ["to_verilog", "with_constants_driven"]

_CONSTANT_ALWAYS = re.compile(r"always @\*(\s+[^;=]+ = \d+'s?[hbdo][\da-fA-FxzXZ_]+;)")


def to_verilog(component: Any, name: str, platform: object = None) -> str:
    """A component as SystemVerilog text; its module is called ``name``."""
    text = verilog.convert(
        component, name=name, platform=platform, emit_src=False, strip_internal_attrs=True
    )
    return with_constants_driven(text)


def with_constants_driven(text: str) -> str:
    """Make Yosys's ``always @* x[7:4] = 4'h5;`` run, which waits for a change that never comes.

    Yosys writes this for the constant part of a signal whose other parts are procedural. An
    event-driven simulator, and Verilator too, leaves that part at its initial value;
    ``always_comb`` runs once at the start. Its readers need SystemVerilog (Yosys: ``-sv``).
    """
    return _CONSTANT_ALWAYS.sub(r"always_comb\1", text)
