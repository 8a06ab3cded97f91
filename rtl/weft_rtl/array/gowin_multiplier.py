# SPDX-License-Identifier: Apache-2.0
"""The multipliers of the array on Gowin GW5A.

Yosys infers no multipliers of this family; a MULT12X12 is just wide enough for a cell. It stands
for the black box `weft_hard_multiplier` of `ecp5_multiplier`, mapped after ``synth_gowin``, and
its registers are those of the cell.
"""

from weft_rtl.array.multiplier import WEIGHT_BITS

__all__ = ["gowin_techmap"]

_WIDTH = 12


def gowin_techmap(activation_bits: int) -> str:
    """Verilog for ``techmap -map``: a MULT12X12 with input, pipeline and output registers.

    The operands are the upper bits, as on ECP5: extending their signs would load each more often.
    ``activation_bits`` is at most 12.
    """
    low_a, low_b = _WIDTH - activation_bits, _WIDTH - WEIGHT_BITS
    registers = {"AREG": "CE0", "BREG": "CE1", "PREG": "CE0", "OREG": "CE0"}
    parameters = ", ".join(
        f'.{name}_CLK("CLK0"), .{name}_CE("{enable}"), .{name}_RESET("RESET0")'
        for name, enable in registers.items()
    )
    a = f"{{activation, {low_a}'b0}}" if low_a else "activation"
    return (
        f"module weft_hard_multiplier(input clk, input [{activation_bits - 1}:0] activation, "
        f"input [{WEIGHT_BITS - 1}:0] weight, input swap, "
        f"output [{activation_bits + WEIGHT_BITS - 1}:0] product);\n"
        f"  wire [{low_a + low_b - 1}:0] below;\n"
        f'  MULT12X12 #({parameters}, .MULT_RESET_MODE("SYNC")) multiplier (\n'
        f"    .A({a}), .B({{weight, {low_b}'b0}}), .DOUT({{product, below}}),\n"
        "    .CLK({1'b0, clk}), .CE({swap, 1'b1}), .RESET(2'b00));\n"
        "endmodule\n"
    )
