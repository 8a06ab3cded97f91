# SPDX-License-Identifier: Apache-2.0
"""The memory of the accumulators between blocks."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.interfaces import FLOAT, float_word

__all__ = ["AccumulatorMemory"]


class AccumulatorMemory(wiring.Component):
    """``accumulator_words`` words of ``array_cols`` F24; upper address bits are ignored.

    Members
    -------
    i_read, i_read_address : In(1), In(12)
    o : Out(word)
        2 cycles after ``i_read``.
    i_write, i_write_address, i_word : In(1), In(12), In(word)
        Seen by reads in later cycles. Never the address being read.

    Area: 11 DP16KD for 1024 words of 8.
    """

    i_read: Signal
    i_read_address: Signal
    o: data.View
    i_write: Signal
    i_write_address: Signal
    i_word: data.View

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_read": In(1),
                "i_read_address": In(12),
                "o": Out(float_word(config)),
                "i_write": In(1),
                "i_write_address": In(12),
                "i_word": In(float_word(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self._config.accumulator_words
        width = FLOAT.width * self._config.lanes
        m.submodules.words = memory = Memory(
            shape=width, depth=depth, init=[], attrs={"no_rw_check": 1}
        )
        read, write = memory.read_port(), memory.write_port()
        fetched = Signal()
        word = Signal(width, reset_less=True)
        m.d.comb += [
            read.en.eq(self.i_read),
            read.addr.eq(self.i_read_address[: len(read.addr)]),
            write.en.eq(self.i_write),
            write.addr.eq(self.i_write_address[: len(write.addr)]),
            write.data.eq(self.i_word),
            self.o.eq(word),
        ]
        m.d.sync += fetched.eq(self.i_read)
        with m.If(fetched):
            m.d.sync += word.eq(read.data)
        return m
