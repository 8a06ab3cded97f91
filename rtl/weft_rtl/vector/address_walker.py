# SPDX-License-Identifier: Apache-2.0
"""Addresses of three nested loops."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.interfaces import VECTOR_ADDRESS

__all__ = ["AddressWalker"]


class AddressWalker(wiring.Component):
    """``o = base + o * outer + i * inner + w``, one step per cycle, with one adder.

    Area: about 75 LUT4.

    Members
    -------
    i_start : In(1)
        Load ``i_base``; the address is out in the next cycle.
    i_base : In(14)
    i_next : In(1)
        Go on: to the next w, or, with one of the flags below, to the next i or o.
    i_next_inner, i_next_outer : In(1)
        The innermost loop, or the two inner ones, are at their end; not both.
    i_inner, i_outer : In(11)
        Strides of the middle and outer loop.
    i_hold_words : In(1)
        The innermost loop does not change the address.
    o : Out(14)
        Address.
    """

    i_start: Signal
    i_base: Signal
    i_next: Signal
    i_next_inner: Signal
    i_next_outer: Signal
    i_inner: Signal
    i_outer: Signal
    i_hold_words: Signal
    o: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_start": In(1),
                "i_base": In(VECTOR_ADDRESS),
                "i_next": In(1),
                "i_next_inner": In(1),
                "i_next_outer": In(1),
                "i_inner": In(11),
                "i_outer": In(11),
                "i_hold_words": In(1),
                "o": Out(VECTOR_ADDRESS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The bases of the loops, and one adder for all."""
        m = Module()
        address = Signal(VECTOR_ADDRESS)
        inner_base = Signal(VECTOR_ADDRESS)
        outer_base = Signal(VECTOR_ADDRESS)
        following = Signal(VECTOR_ADDRESS)
        base = Mux(self.i_next_outer, outer_base, Mux(self.i_next_inner, inner_base, address))
        stride = Mux(
            self.i_next_outer,
            self.i_outer,
            Mux(self.i_next_inner, self.i_inner, ~self.i_hold_words),
        )
        m.d.comb += [following.eq(base + stride), self.o.eq(address)]
        with m.If(self.i_start):
            m.d.sync += [
                address.eq(self.i_base),
                inner_base.eq(self.i_base),
                outer_base.eq(self.i_base),
            ]
        with m.Elif(self.i_next):
            m.d.sync += address.eq(following)
            with m.If(self.i_next_inner | self.i_next_outer):
                m.d.sync += inner_base.eq(following)
            with m.If(self.i_next_outer):
                m.d.sync += outer_base.eq(following)
        return m
