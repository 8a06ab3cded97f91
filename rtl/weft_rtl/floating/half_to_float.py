# SPDX-License-Identifier: Apache-2.0
"""binary16 to F24."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.floating.formats import BIAS, FLOAT, leading_zeros

__all__ = ["HalfToFloat"]


class HalfToFloat(wiring.Component):
    """A binary16 pattern as F24, exactly: `weft_arch.float24.from_float16_bits`.

    Subnormals are normalised; exponent field 31 is an ordinary exponent. One case per cycle,
    `LATENCY` = 1 cycle: leading zeros; the result comes out of the logic behind the register, for
    the user's register. Area: about 45 LUT4.

    Members
    -------
    i : In(16)
        binary16 pattern.
    o : Out(24)
        F24, 1 cycle later.
    """

    LATENCY = 1

    i: Signal
    o: Signal

    def __init__(self) -> None:
        super().__init__({"i": In(16), "o": Out(FLOAT)})

    def elaborate(self, platform: object) -> Module:
        """The pipeline."""
        m = Module()
        # 1
        pattern = Signal(16, reset_less=True)
        zeros = Signal(4, reset_less=True)
        normal, there = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            pattern.eq(self.i),
            zeros.eq(leading_zeros(self.i[:10])),
            normal.eq(self.i[10:15].any()),
            there.eq(self.i[:15].any()),
        ]

        # behind it
        fraction, exponent, sign = pattern[:10], pattern[10:15], pattern[15]
        fraction_out = Signal(10)
        exponent_out = Signal(8)
        m.d.comb += [
            # a subnormal's highest set bit is the hidden one
            fraction_out.eq(Mux(normal, fraction, (fraction << 1) << zeros)),
            exponent_out.eq(BIAS - 15 + Mux(normal, exponent, -zeros)),
        ]
        value = Cat(Const(0, 5), fraction_out, exponent_out, sign)
        m.d.comb += self.o.eq(Mux(there, value, 0))
        return m
