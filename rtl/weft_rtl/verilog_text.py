# SPDX-License-Identifier: Apache-2.0
"""Amaranth's Verilog, as every simulator and synthesis tool understands it."""

import re
from typing import Any

from amaranth.back import verilog

__all__ = ["to_verilog", "with_constants_driven", "with_short_zeros"]

_CONSTANT_ALWAYS = re.compile(r"always @\*(\s+[^;=]+ = \d+'s?[hbdo][\da-fA-FxzXZ_]+;)")

_ZERO = r"    (\w+)\[\d+\] = (\d+)'h0+;\n"
_ZEROS = re.compile(rf"  initial begin\n{_ZERO}(?:    \1\[\d+\] = \2'h0+;\n)+  end\n")
MANY_ZEROS = 4096
"""Lines of zeros above which a loop takes their place."""


def to_verilog(component: Any, name: str, platform: object = None) -> str:
    """A component as SystemVerilog text; its module is called ``name``."""
    text = verilog.convert(
        component, name=name, platform=platform, emit_src=False, strip_internal_attrs=True
    )
    return with_short_zeros(with_constants_driven(text))


def with_constants_driven(text: str) -> str:
    """Make Yosys's ``always @* x[7:4] = 4'h5;`` run, which waits for a change that never comes.

    Yosys writes this for the constant part of a signal whose other parts are procedural. An
    event-driven simulator, and Verilator too, leaves that part at its initial value;
    ``always_comb`` runs once at the start. Its readers need SystemVerilog (Yosys: ``-sv``).
    """
    return _CONSTANT_ALWAYS.sub(r"always_comb\1", text)


def with_short_zeros(text: str) -> str:
    """Clear deep memories in a loop.

    Yosys writes a line for every word; a compiler of simulations takes minutes over those of a
    large memory.
    """

    def shortened(found: re.Match[str]) -> str:
        words = found[0].count("\n") - 2
        if words <= MANY_ZEROS:
            return found[0]
        name, width = found[1], found[2]
        return (
            f"  initial begin : clear_{name}\n"
            "    integer i;\n"
            f"    for (i = 0; i < {words}; i = i + 1) {name}[i] = {width}'h0;\n"
            "  end\n"
        )

    return _ZEROS.sub(shortened, text)
