# SPDX-License-Identifier: Apache-2.0
"""Reciprocal of an F24, and reciprocal square root when asked for."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch import functions
from weft_rtl.floating.formats import BIAS, FLOAT, fields, pipeline
from weft_rtl.floating.piecewise import PiecewiseFunction

__all__ = ["FloatReciprocal"]


class FloatReciprocal(wiring.Component):
    """``o = 1/x``, `weft_arch.functions.reciprocal`, or ``1/sqrt(x)``, `functions.rsqrt`; 0 for x
    not above 0.

    One case per cycle, `LATENCY` = 4 cycles: three for the table, one to pack. Area: about 110
    LUT4 and 1 block RAM (2 with square roots).

    Parameters
    ----------
    with_rsqrt : bool
        Whether reciprocal square roots are there, too.

    Members
    -------
    i : In(24)
        F24.
    i_rsqrt : In(1)
        Take the reciprocal square root; only with ``with_rsqrt``.
    o : Out(24)
        F24, 4 cycles later.
    """

    LATENCY = 4

    i: Signal
    i_rsqrt: Signal
    o: Signal

    def __init__(self, *, with_rsqrt: bool = False) -> None:
        self._with_rsqrt = with_rsqrt
        ports = {"i": In(FLOAT), "o": Out(FLOAT)}
        if with_rsqrt:
            ports["i_rsqrt"] = In(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """The pipeline."""
        m = Module()
        i = fields(self.i)
        tables = (functions.RECIPROCAL, functions.RSQRT)
        m.submodules.table = table = PiecewiseFunction(tables if self._with_rsqrt else tables[:1])
        rsqrt = self.i_rsqrt if self._with_rsqrt else Const(0)
        if self._with_rsqrt:
            odd = ~i.exponent[0] & rsqrt  # of the unbiased exponent
            m.d.comb += [
                table.i_table.eq(rsqrt),
                table.i_arguments[0].eq(Cat(i.fraction, odd)),
            ]
        else:
            m.d.comb += table.i_arguments[0].eq(i.fraction)

        # Exponent of a result in [1/2, 1); one more when it is exactly 1.
        unbiased = Signal(signed(9))
        exponent = Signal(signed(10), reset_less=True)
        m.d.comb += unbiased.eq(i.exponent - BIAS)
        m.d.sync += exponent.eq(BIAS - 1 - Mux(rsqrt, unbiased >> 1, unbiased))
        exponent_3 = pipeline(m, exponent, 2, "exponent")
        positive = pipeline(m, i.exponent.any() & ~i.sign, 3, "positive")

        result = Signal(FLOAT, reset_less=True)
        one = table.o[0][16]
        biased = Signal(signed(10))
        m.d.comb += biased.eq(exponent_3 + one)
        m.d.sync += result.eq(Mux(positive & (biased > 0), Cat(table.o[0][:15], biased[:8]), 0))
        m.d.comb += self.o.eq(result)
        return m
