# SPDX-License-Identifier: Apache-2.0
"""The sequencer's loops."""

from amaranth import Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import isa

__all__ = ["INDEX_BITS", "LoopStack"]

INDEX_BITS = 12
"""Bits of an instruction index."""

_LOOP = data.StructLayout({"first": INDEX_BITS, "end": INDEX_BITS, "remaining": 24})


class LoopStack(wiring.Component):
    """The loops that the program counter is in, innermost on top; at most LOOP_DEPTH.

    Members
    -------
    i_push, i_first, i_end, i_count : enter a loop over instructions first to end - 1; ``count`` of
        iterations at least 1. Not while ``o_full``.
    i_step : the last instruction of the innermost loop is finished: next iteration, or leave.
    i_clear : leave all.
    o_inside : there is a loop.
    o_full : there is no room for another.
    o_first, o_end : of the innermost loop.
    o_last : it is in its last iteration.

    About 120 LUTs.
    """

    i_push: Signal
    i_first: Signal
    i_end: Signal
    i_count: Signal
    i_step: Signal
    i_clear: Signal
    o_inside: Signal
    o_full: Signal
    o_first: Signal
    o_end: Signal
    o_last: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_push": In(1),
                "i_first": In(INDEX_BITS),
                "i_end": In(INDEX_BITS),
                "i_count": In(24),
                "i_step": In(1),
                "i_clear": In(1),
                "o_inside": Out(1),
                "o_full": Out(1),
                "o_first": Out(INDEX_BITS),
                "o_end": Out(INDEX_BITS),
                "o_last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The innermost loop is in registers; entry d of the memory is the loop below depth d + 1.
        m.submodules.below = below = memory.Memory(shape=_LOOP, depth=isa.LOOP_DEPTH, init=[])
        write, read = below.write_port(), below.read_port(domain="comb")
        depth = Signal(range(isa.LOOP_DEPTH + 1))
        top = Signal(_LOOP)
        m.d.comb += [
            self.o_inside.eq(depth != 0),
            self.o_full.eq(depth == isa.LOOP_DEPTH),
            self.o_first.eq(top.first),
            self.o_end.eq(top.end),
            self.o_last.eq(top.remaining == 1),
            write.addr.eq(depth),
            write.data.eq(top),
            write.en.eq(self.i_push),
            read.addr.eq(depth - 1),
        ]
        with m.If(self.i_clear):
            m.d.sync += depth.eq(0)
        with m.Elif(self.i_push):
            m.d.sync += [
                depth.eq(depth + 1),
                top.first.eq(self.i_first),
                top.end.eq(self.i_end),
                top.remaining.eq(self.i_count),
            ]
        with m.Elif(self.i_step):
            with m.If(self.o_last):
                m.d.sync += [depth.eq(depth - 1), top.eq(read.data)]
            with m.Else():
                m.d.sync += top.remaining.eq(top.remaining - 1)
        return m
