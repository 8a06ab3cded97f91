# SPDX-License-Identifier: Apache-2.0
"""The multipliers of the array on Lattice ECP5.

Yosys does not use the registers of a MULT18X18D, and spends twice the needed logic cells on a
multiplier of row adders. So the array holds black boxes, which are mapped to primitives after
``synth_ecp5``::

    text = to_verilog(design, "weft_top", Ecp5Target(hard_multipliers=128))
    read_verilog -sv <black_boxes(bits) + text>; hierarchy -top weft_top; proc
    flatten; rename -hide w:* c:*
    synth_ecp5; techmap -map <techmap(bits)>; opt_clean

Instantiating the primitives before synthesis does not work: abc9 fails on their string parameters.
Hiding the names keeps those that Amaranth gives to the elements of array ports away from abc9: it
takes ``port[3]`` for a bit of ``port`` and ends with an assertion.
"""

from collections.abc import Callable
from dataclasses import dataclass

from weft_rtl.array.multiplier import WEIGHT_BITS

__all__ = ["Ecp5Target", "black_boxes", "techmap"]

_ZERO, _ONE = "1'b0", "1'b1"


@dataclass(frozen=True)
class Ecp5Target:
    """Pass it as ``platform`` to `weft_rtl.verilog_text.to_verilog`.

    Members
    -------
    hard_multipliers : int
        Cells of the array that get a MULT18X18D; the others get `weft_row_multiplier`.
    """

    hard_multipliers: int


def _header(name: str, activation_bits: int, extra_inputs: str = "") -> str:
    return (
        f"module {name}(input clk, input [{activation_bits - 1}:0] activation, "
        f"input [{WEIGHT_BITS - 1}:0] weight,{extra_inputs} "
        f"output [{activation_bits + WEIGHT_BITS - 1}:0] product);\n"
    )


def black_boxes(activation_bits: int) -> str:
    """Verilog declarations to read before the design."""
    hard = _header("weft_hard_multiplier", activation_bits, " input swap,")
    rows = _header("weft_row_multiplier", activation_bits)
    return "".join(f"(* blackbox *)\n{text}endmodule\n" for text in (hard, rows))


def techmap(activation_bits: int) -> str:
    """Verilog for ``techmap -map``: what the black boxes are on ECP5."""
    return _hard(activation_bits) + _rows(activation_bits)


def _hard(activation_bits: int) -> str:
    """One MULT18X18D with input, pipeline and output registers.

    The operands are the upper bits: extending their signs would load each sign ten times.
    """
    low_a, low_b = 18 - activation_bits, 18 - WEIGHT_BITS
    ports = [f".A{i}({f'activation[{i - low_a}]' if i >= low_a else _ZERO})" for i in range(18)]
    ports += [f".B{i}({f'weight[{i - low_b}]' if i >= low_b else _ZERO})" for i in range(18)]
    ports += [f".C{i}({_ZERO})" for i in range(18)]
    ports += [f".P{i}(product[{i - low_a - low_b}])" for i in range(low_a + low_b, 36)]
    ports += [f".CLK{i}({'clk' if i == 0 else _ZERO}), .RST{i}({_ZERO})" for i in range(4)]
    ports += [f".CE{i}({'swap' if i == 1 else _ONE})" for i in range(4)]
    ports += [f".SIGNEDA({_ONE}), .SIGNEDB({_ONE}), .SOURCEA({_ZERO}), .SOURCEB({_ZERO})"]
    registers = {"INPUTA": "CE0", "INPUTB": "CE1", "PIPELINE": "CE0", "OUTPUT": "CE0"}
    parameters = ['.GSR("DISABLED")', '.MULT_BYPASS("DISABLED")', '.RESETMODE("SYNC")']
    for name, enable in registers.items():
        parameters.append(
            f'.REG_{name}_CLK("CLK0"), .REG_{name}_CE("{enable}"), .REG_{name}_RST("RST0")'
        )
    return (
        _header("weft_hard_multiplier", activation_bits, " input swap,")
        + f"  MULT18X18D #({', '.join(parameters)}) multiplier ({', '.join(ports)});\n"
        + "endmodule\n"
    )


def _rows(activation_bits: int) -> str:
    """Four adders of two rows each, two of two pairs, a register, one of two quads, a register.

    A CCU2C adds two bits per carry step and computes any function of 4 inputs in front of the
    addition, so the AND gates of the partial products are free. In front of the sum it has
    ``propagate = LUT4(A, B, C, D)`` and ``generate = LUT4(A, B, 0, 0)``: A & B must be a term of
    the sum, which ``generate`` is whenever there is no ``propagate``. The last row counts
    negative: there ~(A & B) is added, with a carry into the lowest bit.
    """
    pair = activation_bits + 2
    last = activation_bits - 1
    quad = activation_bits + 4
    add = _lut(lambda a, b, c, d: (a & b) ^ (c & d))
    subtract = _lut(lambda a, b, c, d: 1 ^ (a & b) ^ (c & d))
    plain = _lut(lambda a, b, c, d: (a ^ b ^ c) if d else a)
    text = [_header("weft_row_multiplier", activation_bits)]

    def bit(i: int) -> str:
        return _ZERO if i < 0 else f"activation[{min(i, last)}]"

    for index in range(WEIGHT_BITS // 2):
        low, high = f"weight[{2 * index}]", f"weight[{2 * index + 1}]"
        negative = index == WEIGHT_BITS // 2 - 1
        inputs = []
        for i in range(pair):
            terms = (bit(i), low), (bit(i - 1), high)
            if negative:
                terms = terms[::-1]
            inputs.append((*terms[0], *terms[1]))
        text += _chain(f"pair_{index}", subtract if negative else add, inputs, int(negative))
    for index in range(WEIGHT_BITS // 4):
        below, above = f"pair_{2 * index}", f"pair_{2 * index + 1}"
        inputs = [
            (f"{below}[{min(i + 2, pair - 1)}]", f"{above}[{i}]", _ZERO, _ONE) for i in range(pair)
        ]
        text += _chain(f"upper_{index}", plain, inputs, 0)
        text += _register(f"quad_{index}", f"{{upper_{index}, {below}[1:0]}}", quad)
    inputs = [(f"quad_0[{min(i + 4, quad - 1)}]", f"quad_1[{i}]", _ZERO, _ONE) for i in range(quad)]
    text += _chain("whole", plain, inputs, 0)
    text += _register("total", "{whole, quad_0[3:0]}", quad + 4)
    text += ["  assign product = total;\nendmodule\n"]
    return "".join(text)


def _lut(function: Callable[[int, int, int, int], int]) -> str:
    """The INIT of a LUT4."""
    value = sum(function(i & 1, i >> 1 & 1, i >> 2 & 1, i >> 3 & 1) << i for i in range(16))
    return f"16'h{value:04x}"


def _chain(name: str, init: str, inputs: list[tuple[str, ...]], carry: int) -> list[str]:
    """A carry chain; ``inputs`` are A, B, C, D of each bit."""
    width = len(inputs)
    padded = [*inputs, *[(_ZERO,) * 4] * (width % 2)]
    text = [f"  wire [{len(padded) - 1}:0] {name}_sum;\n  wire [{width - 1}:0] {name};\n"]
    text += [f"  wire [{len(padded) // 2}:0] {name}_carry;\n"]
    text += [f"  assign {name}_carry[0] = {_ONE if carry else _ZERO};\n"]
    text += [f"  assign {name} = {name}_sum[{width - 1}:0];\n"]
    for i in range(0, len(padded), 2):
        pins = [
            f".{pin}{half}({net})"
            for half in range(2)
            for pin, net in zip("ABCD", padded[i + half], strict=True)
        ]
        text.append(
            f'  CCU2C #(.INIT0({init}), .INIT1({init}), .INJECT1_0("NO"), .INJECT1_1("NO")) '
            f"{name}_{i} (.CIN({name}_carry[{i // 2}]), {', '.join(pins)}, "
            f".S0({name}_sum[{i}]), .S1({name}_sum[{i + 1}]), .COUT({name}_carry[{i // 2 + 1}]));\n"
        )
    return text


def _register(name: str, value: str, width: int) -> list[str]:
    text = [f"  wire [{width - 1}:0] {name}_next = {value};\n  wire [{width - 1}:0] {name};\n"]
    text += [
        '  TRELLIS_FF #(.GSR("DISABLED"), .CEMUX("1"), .CLKMUX("CLK"), .LSRMUX("LSR"), '
        f'.REGSET("RESET"), .SRMODE("LSR_OVER_CE")) {name}_{i} '
        f"(.CLK(clk), .LSR({_ZERO}), .DI({name}_next[{i}]), .Q({name}[{i}]));\n"
        for i in range(width)
    ]
    return text
