# SPDX-License-Identifier: Apache-2.0
"""binary32 to F24."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.floating.formats import FLOAT, MAX_MAGNITUDE

__all__ = ["SingleToFloat"]


class SingleToFloat(wiring.Component):
    """A binary32 pattern rounded to F24: `weft_arch.float24.from_float32`.

    Infinity and NaN saturate. One case per cycle, `LATENCY` = 1 cycle. Area: about 70 LUT4.

    Members
    -------
    i : In(32)
        binary32 pattern.
    o : Out(24)
        F24, 1 cycle later.
    """

    LATENCY = 1

    i: Signal
    o: Signal

    def __init__(self) -> None:
        super().__init__({"i": In(32), "o": Out(FLOAT)})

    def elaborate(self, platform: object) -> Module:
        """The pipeline."""
        m = Module()
        magnitude, exponent, sign = self.i[8:31], self.i[23:31], self.i[31]
        round_up = self.i[7] & (self.i[8] | self.i[:7].any())
        rounded = Signal(23)
        kept = Signal(23)
        result = Signal(FLOAT, reset_less=True)
        m.d.comb += [
            rounded.eq(magnitude + round_up),
            kept.eq(Mux(exponent.all() | rounded[15:].all(), MAX_MAGNITUDE, rounded)),
        ]
        # A subnormal is half a 16-bit significand's unit or less below 2**-126, or becomes zero.
        tiny = Mux(self.i[6:23].all(), Cat(Const(1 << 15, 23), sign), 0)
        m.d.sync += result.eq(Mux(exponent.any(), Cat(kept, sign), tiny))
        m.d.comb += self.o.eq(result)
        return m
