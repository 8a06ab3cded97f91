# SPDX-License-Identifier: Apache-2.0
"""What is to be done to Amaranth's Verilog before anybody else reads it."""

import re

__all__ = ["with_constants_driven"]

_CONSTANT_ALWAYS = re.compile(r"always @\*(\s+[^;=]+ = \d+'s?[hbdo][\da-fA-FxzXZ_]+;)")


def with_constants_driven(verilog: str) -> str:
    """Make Yosys's ``always @* x[7:4] = 4'h5;`` run, which waits for a change that never comes.

    Yosys writes this for the constant part of a signal whose other parts are procedural. An
    event-driven simulator, and Verilator too, leaves that part at its initial value;
    ``always_comb`` runs once at the start. Its readers need SystemVerilog (Yosys: ``-sv``).
    """
    return _CONSTANT_ALWAYS.sub(r"always_comb\1", verilog)
