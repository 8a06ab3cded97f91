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
        ]

        def clamped(difference: Value) -> Value:
            # 18 and more leave only a sticky bit
            return difference[:5] | difference[5:8].any().replicate(5)

        m.d.sync += [
            large.eq(Cat(fraction_large, a_there | b_there)),
            small_1.eq(Cat(fraction_small, a_there & b_there)),
            # both ways, as which operand is the larger one is known late
            distance.eq(
                Mux(swap, clamped(b.exponent - a.exponent), clamped(a.exponent - b.exponent))
            ),
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
        exponent_3 = Signal(8, reset_less=True)
        small_exponent = Signal(5, reset_less=True)
        next_to_last, last = Signal(reset_less=True), Signal(reset_less=True)
        # the lowest bit carries the 1 that completes the negation
        m.d.comb += total_next.eq(Cat(1, 0, 0, 0, large_2, 0) + Cat(minus_2, small, minus_2))
        m.d.sync += [
            total.eq(total_next[1:]),
            zeros.eq(leading_zeros(total_next[1:])),
            exponent_3.eq(exponent_2 + 2),
            small_exponent.eq(exponent_2[:5] | exponent_2[5:].any().replicate(5)),
            next_to_last.eq(exponent_2 == 253),
            last.eq(exponent_2 == 254),
        ]
        sign_3 = pipeline(m, sign_2, 1, "sign_add")

        # 4: normalise and round. Only results shifted by one place at most are inexact (otherwise
        # the exponents differed by at most 1), so where to round is known before the shift, and
        # what is shifted further than by 3 places need not be rounded.
        round_up = Signal()
        low_any = total[:2].any()
        m.d.comb += round_up.eq(
            Mux(
                total[19],
                total[3] & (total[4] | total[2] | low_any),
                Mux(
                    total[18],
                    total[2] & (total[3] | low_any),
                    total[17] & total[1] & (total[2] | total[0]),
                ),
            )
        )
        near = Signal(20)
        far = Signal(15)
        rounded = Signal(23)
        m.d.comb += [
            near.eq(total << zeros[:2]),
            far.eq((near << (zeros[2:] << 2))[4:19]),
            # The exponent is exponent_2 + 1 - zeros, one more when rounding carries.
            rounded.eq(
                Cat(near[4:19], ~zeros, Const(7, 3)) + Cat(Const(0, 15), exponent_3) + round_up
            ),
        ]
        fraction = Mux(zeros[2:].any(), far, rounded[:15])

        # The exponent can only grow by one, so whether it is out of range is known without it. One
        # that becomes too small belongs to an exact result. A total of 0 has 20 zeros or more.
        carry = round_up & near[4:19].all()
        is_max = (last & (total[19] | (total[18] & carry))) | (next_to_last & total[19] & carry)
        is_zero = (zeros > small_exponent) | (zeros[4] & zeros[2])
        result = Signal(FLOAT, reset_less=True)
        magnitude = Mux(is_max, MAX_MAGNITUDE, Cat(fraction, rounded[15:]))
        m.d.sync += result.eq(Mux(is_zero, 0, Cat(magnitude, sign_3)))
        m.d.comb += self.o.eq(result)
        return m
