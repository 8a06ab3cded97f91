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
    `LATENCY` = 1 cycle. Area: about 45 LUT4.

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
        fraction, exponent, sign = self.i[:10], self.i[10:15], self.i[15]
        zeros = Signal(4)
        shifted = Signal(10)
        fraction_out = Signal(10)
        exponent_out = Signal(8)
        result = Signal(FLOAT, reset_less=True)
        normal = exponent.any()
        m.d.comb += [
            zeros.eq(leading_zeros(fraction)),
            shifted.eq(fraction << zeros),
            # a subnormal's highest set bit is the hidden one
            fraction_out.eq(Mux(normal, fraction, shifted << 1)),
            exponent_out.eq(Mux(normal, BIAS - 15 + exponent, BIAS - 15 - zeros)),
        ]
        value = Cat(Const(0, 5), fraction_out, exponent_out, sign)
        m.d.sync += result.eq(Mux(normal | fraction.any(), value, 0))
        m.d.comb += self.o.eq(result)
        return m
