# SPDX-License-Identifier: Apache-2.0
"""The exponents of the values of two kv blocks."""

from amaranth import Cat, Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK

__all__ = ["ValueExponents"]


class ValueExponents(wiring.Component):
    """Holds the 32 value exponents of two kv blocks, and takes those of a third.

    Members
    -------
    i : In(stream of ArrayLayout(signed(8), 32))
        One word per kv block. Copied into the memory in 32 / lanes cycles when a place is free.
    o_available : Out(1)
        The oldest block can be read.
    i_part, o : In, Out(ArrayLayout(signed(8), lanes))
        A part of the oldest block, combinational.
    i_release : In(1)
        The oldest block is not needed any more.

    Area (4 lanes): about 220 LUT4.
    """

    i: stream.Interface
    o_available: Signal
    i_part: Signal
    o: data.View
    i_release: Signal

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._parts = BLOCK // lanes
        super().__init__(
            {
                "i": In(stream.Signature(data.ArrayLayout(signed(8), BLOCK))),
                "o_available": Out(1),
                "i_part": In(range(self._parts)),
                "o": Out(data.ArrayLayout(signed(8), lanes)),
                "i_release": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = 8 * self._lanes
        word = Signal(8 * BLOCK, reset_less=True)
        word_valid = Signal()
        part = Signal(range(self._parts))
        stored = Signal(range(3))
        write_place, read_place = Signal(), Signal()
        copies, copied = Signal(), Signal()

        m.submodules.memory = memory = Memory(shape=unsigned(width), depth=2 * self._parts, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            self.i.ready.eq(~word_valid),
            copies.eq(word_valid & (stored != 2)),
            copied.eq(copies & (part == self._parts - 1)),
            write.en.eq(copies),
            write.addr.eq(Cat(part, write_place)),
            write.data.eq(word.word_select(part, width)),
            read.addr.eq(Cat(self.i_part, read_place)),
            self.o.eq(read.data),
            self.o_available.eq(stored != 0),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [word.eq(self.i.payload), word_valid.eq(1)]
        with m.If(copies):
            m.d.sync += part.eq(part + 1)
        with m.If(copied):
            m.d.sync += [word_valid.eq(0), write_place.eq(~write_place)]
        with m.If(self.i_release):
            m.d.sync += read_place.eq(~read_place)
        m.d.sync += stored.eq(stored + copied - self.i_release)
        return m
