# SPDX-License-Identifier: Apache-2.0
"""F24 to the codes of a block."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch.blocks import KEY_BITS, LOW_PLANE_BITS
from weft_rtl.floating.formats import BIAS, FLOAT, fields

__all__ = ["Quantizer", "block_exponent", "exponent_offset", "low_plane_exponent"]


def block_exponent(largest: Value, bits: Value | int, min_exponent: Value | int) -> Value:
    """The exponent of a block (assign it to 8 signed bits) from the largest exponent field of its
    values, 0 if all are zero: `weft_arch.blocks.quantize`."""
    exponent = largest - exponent_offset(bits)
    return Mux(exponent > min_exponent, exponent, min_exponent)


def exponent_offset(bits: Value | int) -> Value | int:
    """What a block's exponent is less than the largest exponent field, where nothing bounds it."""
    return BIAS + bits - 2


def low_plane_exponent(exponent: Value, bits: int) -> Value:
    """What a `Quantizer` for ``bits`` bits takes for the low plane, from the high plane's exponent;
    no less than 4 below it."""
    return exponent - (bits - KEY_BITS)


class Quantizer(wiring.Component):
    """One lane of `weft_arch.blocks.quantize`: ``o = i / 2**exponent`` rounded to nearest even and
    clamped to ``bits`` bits.

    One case per cycle, `LATENCY` = 2 cycles: distance; shift, round and negate. Area: about 75
    LUT4; with planes 90.

    Parameters
    ----------
    bits : int
        Bits of a code, sign included, 8 to 12.
    with_narrow : bool
        Whether codes of 8 bits can be chosen as well, and the planes of wide keys
        (`weft_arch.blocks.key_planes`).

    Members
    -------
    i : In(24)
        F24 value of the block.
    i_exponent : In(signed(8))
        The block's exponent, from `block_exponent`.
    i_narrow : In(1)
        The code (and the exponent given) is for 8 bits; only with ``with_narrow``.
    i_wide, i_low : In(1)
        The code is one of a wide key's planes, the high or the low one; ``i_narrow`` is set, too.
        The exponent given for a low plane is `low_plane_exponent` of the high plane's. Only with
        ``with_narrow``.
    o : Out(signed(bits))
        Code, 2 cycles later.
    """

    LATENCY = 2

    i: Signal
    i_exponent: Signal
    i_narrow: Signal
    i_wide: Signal
    i_low: Signal
    o: Signal

    def __init__(self, bits: int, *, with_narrow: bool = False) -> None:
        if not 8 <= bits <= 12:
            raise ValueError(f"bits is {bits}; it must be 8 to 12")
        self._bits = bits
        self._with_narrow = with_narrow
        ports = {"i": In(FLOAT), "i_exponent": In(signed(8)), "o": Out(signed(bits))}
        if with_narrow:
            ports |= {"i_narrow": In(1), "i_wide": In(1), "i_low": In(1)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """The pipeline."""
        m = Module()
        i = fields(self.i)
        bits = self._bits - 1  # of the magnitude

        # 1: how far to shift right from the largest value's place
        distance = Signal(signed(11))
        clamped = Signal(4, reset_less=True)
        significand = Signal(16, reset_less=True)
        sign = Signal(reset_less=True)
        narrow = Signal(reset_less=True)
        wide, low = Signal(reset_less=True), Signal(reset_less=True)
        m.d.comb += distance.eq(self.i_exponent + (BIAS + bits - 1) - i.exponent)
        m.d.sync += [
            clamped.eq(Mux(distance[4:].any(), 15, distance[:4])),
            significand.eq(Cat(i.fraction, i.exponent.any())),
            sign.eq(i.sign),
            narrow.eq(self.i_narrow if self._with_narrow else 0),
            wide.eq(self.i_wide if self._with_narrow else 0),
            low.eq(self.i_low if self._with_narrow else 0),
        ]

        # 2: shift, round and negate in one addition: -(x + 1) is ~x. What is lost, and whether all
        # bits of the code are set already, is found beside the shift.
        value = Signal(16)
        drop = 16 - bits
        magnitude = Signal(bits)
        lost = Signal()
        full = Signal()
        round_up = Signal()
        result = Signal(signed(self._bits), reset_less=True)
        m.d.comb += [
            value.eq(significand >> clamped),
            # of a low plane's values the largest is not shifted
            magnitude.eq(Mux(low, value[2 : 2 + LOW_PLANE_BITS], value[drop:])),
            lost.eq(
                Cat(significand[k] & (clamped + drop > k + 1) for k in range(16)).any(),
            ),
            full.eq(
                significand[16 - 7 :].all()
                & Mux(
                    narrow, clamped == bits - 7, (clamped == 0) & significand[drop : 16 - 7].all()
                )
            ),
            round_up.eq(value[drop - 1] & (value[drop] | lost) & ~(full | wide)),
        ]
        m.d.sync += result.eq(Cat(magnitude ^ sign.replicate(bits), sign) + (round_up ^ sign))
        m.d.comb += self.o.eq(result)
        return m
