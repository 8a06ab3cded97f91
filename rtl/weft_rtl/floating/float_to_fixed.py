# SPDX-License-Identifier: Apache-2.0
"""F24 to fixed point."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.floating.formats import BIAS, FLOAT, fields, shift_right_sticky

__all__ = ["FloatToFixed"]


class FloatToFixed(wiring.Component):
    """``o = i * 2**fraction_bits`` as an integer, rounded to nearest even and saturated
    symmetrically: `weft_arch.functions.to_fixed`.

    One case per cycle, `LATENCY` = 2 cycles: distance and coarse shift; fine shift, round and
    negate. Area: about 8 LUT4 per bit.

    Parameters
    ----------
    fraction_bits : int
        Fraction bits of the result.
    width : int
        Bits of the result, sign included; 4 to 32.

    Members
    -------
    i : In(24)
        F24.
    o : Out(signed(width))
        Fixed point, 2 cycles later.
    """

    LATENCY = 2

    i: Signal
    o: Signal

    def __init__(self, fraction_bits: int, width: int) -> None:
        if not 4 <= width <= 32:
            raise ValueError(f"width is {width}; it must be 4 to 32")
        if not -64 <= fraction_bits <= 64:
            raise ValueError(f"fraction_bits is {fraction_bits}; it must be -64 to 64")
        self._fraction_bits = fraction_bits
        self._width = width
        super().__init__({"i": In(FLOAT), "o": Out(signed(width))})

    def elaborate(self, platform: object) -> Module:
        """The pipeline."""
        m = Module()
        i = fields(self.i)
        bits = self._width - 1  # of the magnitude
        window = max(bits, 16) + 1  # and a rounding bit below it

        # 1: with the hidden bit at the top of the window, the value is to be shifted right by
        # ``distance``; a negative one overflows, more than bits + 1 leave less than a half.
        distance = Signal(signed(10))
        clamped = Signal(6)
        coarse, coarse_lost = Signal(window), Signal()
        aligned = Signal(window, reset_less=True)
        lost_1 = Signal(reset_less=True)
        fine = Signal(2, reset_less=True)
        saturate = Signal(reset_less=True)
        full = Signal(reset_less=True)
        sign = Signal(reset_less=True)
        significand = Cat(Const(0, window - 16), i.fraction, i.exponent.any())
        all_set = significand[window - bits :].all() if bits <= 16 else Const(0)
        m.d.comb += [
            distance.eq(BIAS + bits - 1 - self._fraction_bits - i.exponent),
            clamped.eq(Mux(distance[6:].any(), 63, distance[:6])),
        ]
        m.d.comb += coarse.eq(significand)
        value, lost = shift_right_sticky(m, coarse, Cat(Const(0, 2), clamped[2:]), "coarse")
        m.d.comb += coarse_lost.eq(lost)
        m.d.sync += [
            aligned.eq(value),
            lost_1.eq(coarse_lost),
            fine.eq(clamped[:2]),
            saturate.eq((distance < 0) & i.exponent.any()),
            # All bits of the magnitude are set, so it must not be rounded up.
            full.eq(((distance < 0) & i.exponent.any()) | ((distance == 0) & all_set)),
            sign.eq(i.sign),
        ]

        # 2: round and negate in one addition: -(x + 1) is ~x
        value = Signal(window)
        drop = window - bits
        magnitude = Signal(bits)
        lost_2 = Signal()
        round_up = Signal()
        result = Signal(signed(self._width), reset_less=True)
        m.d.comb += [
            value.eq(aligned >> fine),
            magnitude.eq(value[drop:] | saturate.replicate(bits)),
            lost_2.eq(
                lost_1 | Cat(aligned[: drop - 1 + k].any() for k in range(4)).bit_select(fine, 1)
            ),
            round_up.eq(value[drop - 1] & (value[drop] | lost_2) & ~full),
        ]
        m.d.sync += result.eq(Cat(magnitude ^ sign.replicate(bits), sign) + (round_up ^ sign))
        m.d.comb += self.o.eq(result)
        return m
