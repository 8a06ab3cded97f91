# SPDX-License-Identifier: Apache-2.0
"""Integers to F24."""

from amaranth import Cat, Const, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.floating.formats import BIAS, FLOAT, leading_zeros

__all__ = ["IntegerToFloat"]


class IntegerToFloat(wiring.Component):
    """``o = i * 2**exponent`` rounded to F24.

    One case per cycle, `LATENCY` = 2 cycles: magnitude and leading zeros; normalise and round.
    Area: about 9 LUT4 per bit.

    Parameters
    ----------
    shape : Shape
        Shape of the integer, ``signed(n)`` or ``unsigned(n)``, 2 to 32 bits.
    exponent : int
        Constant power of two; must keep every result in F24's range.
    exact : bool
        The integers that occur have at most 16 significant bits, so that nothing is rounded (it
        would be truncated).

    Members
    -------
    i : In(shape)
        Integer.
    o : Out(24)
        F24, 2 cycles later.
    """

    LATENCY = 2

    i: Signal
    o: Signal

    def __init__(self, shape: Shape | int, exponent: int = 0, *, exact: bool = False) -> None:
        self._shape = Shape.cast(shape)
        self._exponent = exponent
        self._exact = exact
        if not 2 <= self._shape.width <= 32:
            raise ValueError(f"shape has {self._shape.width} bits; it must have 2 to 32")
        if not 0 < BIAS + exponent < 254 - self._shape.width:
            raise ValueError(f"exponent is {exponent}; results would leave the range of F24")
        super().__init__({"i": In(self._shape), "o": Out(FLOAT)})

    def elaborate(self, platform: object) -> Module:
        """The pipeline."""
        m = Module()
        width = self._shape.width

        # 1
        negative = self.i[-1] if self._shape.signed else 0
        magnitude_next = Signal(width)
        magnitude = Signal(width, reset_less=True)
        # Not of the magnitude, which comes late: its complement has the same leading zeros, but
        # for a power of two, where it has one more.
        zeros_next = leading_zeros(Mux(negative, ~self.i, self.i)[:width] | int(self._shape.signed))
        zeros = Signal(len(zeros_next), reset_less=True)
        sign = Signal(reset_less=True)
        m.d.comb += magnitude_next.eq(Mux(negative, -self.i, self.i))
        m.d.sync += [magnitude.eq(magnitude_next), zeros.eq(zeros_next), sign.eq(negative)]

        # 2: the set bit at the top becomes the hidden one
        total = max(width, 18)
        aligned = Signal(total)
        rounded = Signal(23)
        result = Signal(FLOAT, reset_less=True)
        exponent = Signal(8)
        top = BIAS + self._exponent + width - 1
        shifted = (magnitude << zeros)[: width + 1]
        # A power of two, shifted too far: all else is 0.
        over = shifted[width] if self._shape.signed else Const(0)
        kept = aligned[total - 16 : total - 1] | over.replicate(15)
        round_up = aligned[total - 17] & (aligned[total - 16] | aligned[: total - 17].any())
        m.d.comb += [
            aligned.eq(shifted[:width] << (total - width)),
            exponent.eq(top - zeros),
            rounded.eq(Cat(kept, exponent) + (over if self._exact else over | round_up)),
        ]
        m.d.sync += result.eq(Mux(aligned[-1] | over, Cat(rounded, sign), 0))
        m.d.comb += self.o.eq(result)
        return m
