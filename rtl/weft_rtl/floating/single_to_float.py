# SPDX-License-Identifier: Apache-2.0
"""binary32 to F24."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.floating.formats import FLOAT, MAX_MAGNITUDE

__all__ = ["SingleToFloat"]


class SingleToFloat(wiring.Component):
    """A binary32 pattern rounded to F24: `weft_arch.float24.from_float32`.

    Infinity and NaN saturate. One case per cycle, `LATENCY` = 1 cycle: round; the result comes out
    of the logic behind the register, for the user's register. Area: about 70 LUT4.

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
        # 1
        round_up = self.i[7] & (self.i[8] | self.i[:7].any())
        rounded = Signal(23, reset_less=True)
        sign = Signal(reset_less=True)
        special, normal = Signal(reset_less=True), Signal(reset_less=True)
        half = Signal(reset_less=True)
        m.d.sync += [
            rounded.eq(self.i[8:31] + round_up),
            sign.eq(self.i[31]),
            special.eq(self.i[23:31].all()),
            normal.eq(self.i[23:31].any()),
            # A subnormal is half a 16-bit significand's unit or less below 2**-126, or becomes 0.
            half.eq(self.i[6:23].all()),
        ]

        # behind it
        kept = Mux(special | rounded[15:].all(), MAX_MAGNITUDE, rounded)
        tiny = Cat(Const(1 << 15, 23), sign)
        m.d.comb += self.o.eq(Mux(normal, Cat(kept, sign), Mux(half, tiny, 0)))
        return m
