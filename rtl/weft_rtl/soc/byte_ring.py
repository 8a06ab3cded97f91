# SPDX-License-Identifier: Apache-2.0
"""A queue in block RAM whose newest words can be taken back."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.memory.block_memory import block_memory

__all__ = ["ByteRing"]


class ByteRing(wiring.Component):
    """Words become readable when they are committed, and vanish when they are rolled back.

    One word per cycle in and out; a committed word can be read 3 cycles later.

    Members
    -------
    i_write, i_data : append a word; ignored while full, or with ``i_rollback``.
    i_commit : all words so far, with the one of this cycle, become readable.
    i_rollback : words that are not committed vanish.
    o_level : Out(range(2 * depth))
        Words in the ring a cycle ago. Registered.
    o_full : Out(1)
        ``o_level`` is ``depth``. Enough for who appends at most every second cycle; others stop 2
        words before.
    o : stream of words, Out

    Parameters
    ----------
    depth : int
        Words; a power of two.
    width : int
        Bits of a word.
    """

    i_write: Signal
    i_data: Signal
    i_commit: Signal
    i_rollback: Signal
    o_level: Signal
    o_full: Signal
    o: stream.Interface

    def __init__(self, *, depth: int, width: int) -> None:
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth is {depth}; it must be a power of two")
        self._depth, self._width = depth, width
        super().__init__(
            {
                "i_write": In(1),
                "i_data": In(width),
                "i_commit": In(1),
                "i_rollback": In(1),
                "o_level": Out(range(2 * depth)),
                "o_full": Out(1),
                "o": Out(stream.Signature(width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = block_memory(self._width, self._depth)
        write, read = memory.write_port(), memory.read_port(domain="comb")
        pointer = range(2 * self._depth)
        written, committed, taken = Signal(pointer), Signal(pointer), Signal(pointer)
        after = Signal(pointer)
        bits = (self._depth - 1).bit_length()
        m.d.sync += self.o_level.eq(written - taken)
        m.d.comb += [
            self.o_full.eq(self.o_level[-1]),
            write.addr.eq(written[:bits]),
            write.data.eq(self.i_data),
            write.en.eq(self.i_write & ~self.o_full & ~self.i_rollback),
            after.eq(written + write.en),
        ]
        m.d.sync += written.eq(after)
        with m.If(self.i_rollback):
            m.d.sync += written.eq(committed)
        with m.Elif(self.i_commit):
            m.d.sync += committed.eq(after)

        # Whether there is a word is looked up for this one and for the next, and told apart by
        # whether this one was fetched.
        following = Signal(pointer, init=1)
        more_now, more_following, fetched = Signal(), Signal(), Signal()
        fetch = Signal()
        word = Signal(self._width, reset_less=True)
        there = Mux(fetched, more_following, more_now)
        m.d.sync += [
            more_now.eq(taken != committed),
            more_following.eq(following != committed),
            fetched.eq(fetch),
        ]
        m.d.comb += [
            read.addr.eq(taken[:bits]),
            fetch.eq(there & (~self.o.valid | self.o.ready)),
            self.o.payload.eq(word),
        ]
        with m.If(fetch):
            m.d.sync += [
                word.eq(read.data),
                taken.eq(following),
                following.eq(following + 1),
                self.o.valid.eq(1),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
