# SPDX-License-Identifier: Apache-2.0
"""F24 multiplication."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.floating.formats import BIAS, FLOAT, MAX_MAGNITUDE, fields

__all__ = ["FloatMultiplier"]


class FloatMultiplier(wiring.Component):
    """``o = a * b * 2**exponent``, rounded once: `weft_arch.float24.multiply`.

    One case per cycle, `LATENCY` = 3 cycles. Area: one 18x18 multiplier (registered before and
    after), about 110 LUT4.

    Parameters
    ----------
    exponent_width : int
        Bits of the signed power of two, up to 10; 0 leaves the port out.
    constant_exponent : int
        A power of two that every product is scaled by as well, -512 to 511.

    Members
    -------
    i_a, i_b : In(24)
        F24 operands.
    i_exponent : In(signed(exponent_width))
        Power of two, applied before flush and saturation.
    o : Out(24)
        F24 product, 3 cycles later.
    """

    LATENCY = 3

    i_a: Signal
    i_b: Signal
    i_exponent: Signal
    o: Signal

    def __init__(self, exponent_width: int = 0, constant_exponent: int = 0) -> None:
        if not 0 <= exponent_width <= 10:
            raise ValueError(f"exponent_width is {exponent_width}; it must be 0 to 10")
        if not -512 <= constant_exponent < 512:
            raise ValueError(f"constant_exponent is {constant_exponent}; it must be -512 to 511")
        self._exponent_width = exponent_width
        self._constant_exponent = constant_exponent
        ports = {"i_a": In(FLOAT), "i_b": In(FLOAT), "o": Out(FLOAT)}
        if exponent_width:
            ports["i_exponent"] = In(signed(exponent_width))
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """The pipeline."""
        m = Module()
        a, b = fields(self.i_a), fields(self.i_b)
        offset = self._constant_exponent - BIAS

        # 1: operands, without the leading one: a register of its own would be shared by all
        # constants of the design, across the chip
        fraction_a = Signal(15, reset_less=True)
        fraction_b = Signal(15, reset_less=True)
        exponent_sum = Signal(9, reset_less=True)
        shift = Signal(signed(12), reset_less=True)
        zero_1 = Signal(reset_less=True)
        sign_1 = Signal(reset_less=True)
        m.d.sync += [
            fraction_a.eq(a.fraction),
            fraction_b.eq(b.fraction),
            exponent_sum.eq(a.exponent + b.exponent),
            zero_1.eq(~(a.exponent.any() & b.exponent.any())),
            sign_1.eq(a.sign ^ b.sign),
        ]
        if self._exponent_width:
            m.d.sync += shift.eq(self.i_exponent + offset)
        else:
            m.d.comb += shift.eq(offset)

        # 2: product, exponent, and what the exponent means for the result
        product = Signal(32, reset_less=True)
        exponent_next = Signal(signed(12))
        exponent = Signal(8, reset_less=True)
        zero = Signal(reset_less=True)  # even when the significand carries into the exponent
        zero_unless_carry = Signal(reset_less=True)
        saturate = Signal(reset_less=True)
        saturate_if_carry = Signal(reset_less=True)
        sign = Signal(reset_less=True)
        m.d.comb += exponent_next.eq(exponent_sum + shift)
        m.d.sync += [
            product.eq(Cat(fraction_a, 1) * Cat(fraction_b, 1)),
            exponent.eq(exponent_next[:8]),
            zero.eq(zero_1 | exponent_next[11]),
            zero_unless_carry.eq(exponent_next == 0),
            saturate.eq(~exponent_next[11] & (exponent_next[8:11].any() | exponent_next[:8].all())),
            saturate_if_carry.eq(exponent_next == 254),
            sign.eq(sign_1),
        ]

        # 3: the product is in [1, 4): one position to normalise, then round. Rounding carries only
        # out of [1, 2), so the exponent rises by at most one.
        high = product[31]
        kept = Signal(15)
        round_up = Signal()
        rounded = Signal(23)
        carry = Signal()
        m.d.comb += [
            kept.eq(Mux(high, product[16:31], product[15:30])),
            round_up.eq(
                Mux(
                    high,
                    product[15] & (product[16] | product[:15].any()),
                    product[14] & (product[15] | product[:14].any()),
                )
            ),
            rounded.eq(Cat(kept, exponent) + Cat(Const(0, 15), high) + round_up),
            carry.eq(rounded[15] ^ exponent[0]),
        ]
        is_zero = zero | (zero_unless_carry & ~carry)
        is_max = saturate | (saturate_if_carry & carry)
        magnitude = Mux(is_max, MAX_MAGNITUDE, rounded)
        result = Signal(FLOAT, reset_less=True)
        m.d.sync += result.eq(Mux(is_zero, 0, Cat(magnitude, sign)))
        m.d.comb += self.o.eq(result)
        return m
