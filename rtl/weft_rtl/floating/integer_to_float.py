# SPDX-License-Identifier: Apache-2.0
"""Integers to F24."""

from amaranth import Cat, Const, Module, Mux, Shape, Signal, Value
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
        zeros = Signal((width - 1).bit_length(), reset_less=True)
        sign = Signal(reset_less=True)
        there = Signal(reset_less=True)
        m.d.comb += magnitude_next.eq(Mux(negative, -self.i, self.i))
        m.d.sync += [
            magnitude.eq(magnitude_next),
            zeros.eq(zeros_next),
            sign.eq(negative),
            there.eq(self.i.any()),
        ]

        # 2: the set bit at the top becomes the hidden one
        shifted = (magnitude << zeros)[: width + 1]
        # A power of two, shifted too far: all else is 0.
        over = shifted[width] if self._shape.signed else Const(0)
        dropped = max(width - 16, 0)
        kept = Cat(Const(0, max(16 - width, 0)), shifted[dropped : width - 1])
        round_up = Const(0) if self._exact else self._round_up(m, magnitude, zeros)
        # The exponent is top - zeros, as the sum of a constant and the complement of the zeros.
        constant = BIAS + self._exponent + width - (1 << len(zeros))
        rounded = Signal(23)
        result = Signal(FLOAT, reset_less=True)
        m.d.comb += rounded.eq(
            Cat(kept, ~zeros, Const(0, 8 - len(zeros)))
            + Cat(Const(0, 15), Mux(over, Const(constant + 1, 8), Const(constant, 8)))
            + round_up
        )
        m.d.sync += result.eq(Mux(there, Cat(rounded, sign), 0))
        m.d.comb += self.o.eq(result)
        return m

    def _round_up(self, m: Module, magnitude: Signal, zeros: Signal) -> Value:
        """Whether to round up, for each number of zeros beside the shift, not after it."""
        cases: list[Value] = []
        for guard in reversed(range(self._shape.width - 16)):
            # Negation does not move the lowest set bit.
            lower = Signal(name=f"lower_{guard}", reset_less=True)
            m.d.sync += lower.eq(self.i[:guard].any())
            cases.append(magnitude[guard] & (magnitude[guard + 1] | lower))
        return Cat(*cases, Const(0, (1 << len(zeros)) - len(cases))).bit_select(zeros, 1)
