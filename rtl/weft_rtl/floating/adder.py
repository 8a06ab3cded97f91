# SPDX-License-Identifier: Apache-2.0
"""F24 addition."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.floating.formats import (
    FLOAT,
    MAX_MAGNITUDE,
    fields,
    leading_zeros,
    pipeline,
    shift_right_sticky,
)

__all__ = ["FloatAdder"]


class FloatAdder(wiring.Component):
    """``o = a + b`` or ``a - b``, rounded once: `weft_arch.float24.add`; a zero is always +0.

    One case per cycle, `LATENCY` = 4 cycles: compare and swap; align; add and count leading zeros;
    normalise and round. Area: about 300 LUT4.

    Members
    -------
    i_a, i_b : In(24)
        F24 operands.
    i_subtract : In(1)
        Take ``b`` with the other sign.
    o : Out(24)
        F24 sum, 4 cycles later.
    """

    LATENCY = 4

    i_a: Signal
    i_b: Signal
    i_subtract: Signal
    o: Signal

    def __init__(self) -> None:
        super().__init__({"i_a": In(FLOAT), "i_b": In(FLOAT), "i_subtract": In(1), "o": Out(FLOAT)})

    def elaborate(self, platform: object) -> Module:
        """The pipeline."""
        m = Module()
        a, b = fields(self.i_a), fields(self.i_b)

        # 1: the operand of larger magnitude first; how far to shift the other
        swap = Signal()
        difference = Signal(8)
        large = Signal(16, reset_less=True)
        small_1 = Signal(16, reset_less=True)
        distance = Signal(5, reset_less=True)
        exponent_1 = Signal(8, reset_less=True)
        sign_1 = Signal(reset_less=True)
        minus_1 = Signal(reset_less=True)
        sign_b = b.sign ^ self.i_subtract
        fraction_large = Mux(swap, b.fraction, a.fraction)
        fraction_small = Mux(swap, a.fraction, b.fraction)
        exponent_large = Mux(swap, b.exponent, a.exponent)
        a_there, b_there = a.exponent.any(), b.exponent.any()
        m.d.comb += [
            swap.eq(self.i_a[:23] < self.i_b[:23]),
            difference.eq(Mux(swap, b.exponent - a.exponent, a.exponent - b.exponent)),
        ]
        m.d.sync += [
            large.eq(Cat(fraction_large, a_there | b_there)),
            small_1.eq(Cat(fraction_small, a_there & b_there)),
            # 18 and more leave only a sticky bit
            distance.eq(Mux(difference[5:].any(), 31, difference[:5])),
            exponent_1.eq(exponent_large),
            sign_1.eq(Mux(swap, sign_b, a.sign)),
            minus_1.eq(a.sign ^ sign_b),
        ]

        # 2: align, with two more bits and a sticky one
        shifted, lost = shift_right_sticky(m, Cat(0, 0, small_1), distance, "small")
        small = Signal(19, reset_less=True)
        large_2 = pipeline(m, large, 1, "large")
        exponent_2 = pipeline(m, exponent_1, 1, "exponent")
        sign_2 = pipeline(m, sign_1, 1, "sign")
        minus_2 = pipeline(m, minus_1, 1, "minus")
        m.d.sync += small.eq(Cat(lost, shifted) ^ minus_1.replicate(19))

        # 3: add; never negative
        total_next = Signal(21)
        total = Signal(20, reset_less=True)
        zeros = Signal(5, reset_less=True)
        exponent_3 = Signal(9, reset_less=True)
        # the lowest bit carries the 1 that completes the negation
        m.d.comb += total_next.eq(Cat(1, 0, 0, 0, large_2, 0) + Cat(minus_2, small, minus_2))
        m.d.sync += [
            total.eq(total_next[1:]),
            zeros.eq(leading_zeros(total_next[1:])),
            exponent_3.eq(exponent_2 + 2),
        ]
        sign_3 = pipeline(m, sign_2, 1, "sign_add")

        # 4: normalise and round. Only results shifted by one place at most are inexact (otherwise
        # the exponents differed by at most 1), so where to round is known before the shift, and
        # whether that carries into the exponent. The exponent with and without the carry, and
        # whether it is out of range, come while the shift is under way.
        round_up, carry = Signal(), Signal()
        normalised = Signal(20)
        rounded = Signal(15)
        low_any = total[:2].any()
        all_ones = Mux(
            total[19], total[4:19].all(), Mux(total[18], total[3:18].all(), total[2:17].all())
        )
        m.d.comb += [
            carry.eq(round_up & all_ones),
            round_up.eq(
                Mux(
                    total[19],
                    total[3] & (total[4] | total[2] | low_any),
                    Mux(
                        total[18],
                        total[2] & (total[3] | low_any),
                        total[17] & total[1] & (total[2] | total[0]),
                    ),
                )
            ),
            normalised.eq(total << zeros),
            # Fractions overflow to 0, so the sum's bits are right in either case.
            rounded.eq(normalised[4:19] + round_up),
        ]
        # exponent_3 - 1 - zeros, and one more; bit 9 is the sign
        plain, carried, carried_twice = Signal(10), Signal(10), Signal(11)
        minus_zeros = Cat(~zeros, Const(31, 5))
        m.d.comb += [
            plain.eq(exponent_3 + minus_zeros),
            carried_twice.eq(Cat(Const(1, 1), exponent_3) + Cat(Const(1, 1), minus_zeros)),
            carried.eq(carried_twice[1:]),
        ]

        def too_small(exponent: Value) -> Value:
            return exponent[9] | ~exponent.any()

        def too_large(exponent: Value) -> Value:
            return exponent[8] | exponent[:8].all()

        is_zero = Mux(carry, too_small(carried), too_small(plain)) | ~total.any()
        is_max = Mux(carry, too_large(carried), too_large(plain))
        magnitude = Cat(rounded, Mux(carry, carried[:8], plain[:8]))
        result = Signal(FLOAT, reset_less=True)
        m.d.sync += result.eq(Mux(is_zero, 0, Cat(Mux(is_max, MAX_MAGNITUDE, magnitude), sign_3)))
        m.d.comb += self.o.eq(result)
        return m
