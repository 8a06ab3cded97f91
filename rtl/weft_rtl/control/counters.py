# SPDX-License-Identifier: Apache-2.0
"""The performance counters."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SETTLE_CYCLES", "Counters"]

SETTLE_CYCLES = 40
"""After so many cycles without an event, `Counters` shows all of them."""

_COUNT_BITS = 64


class Counters(wiring.Component):
    """64-bit event counters in LUT memory.

    Each counter has a few bits of its own that count every cycle; a scanner adds one after the
    other to the memory and starts it again at 0. One after the other takes 16 cycles and as many
    more as there were reads, so a value may be that much behind.

    Members
    -------
    i_events : array; what to add to each counter this cycle, up to ``limits[i]``.
    i_clear : set all to 0. Reads see that at once.
    i_read, i_index : read a counter.
    o_value : the value, 2 cycles later, until the next read.

    Parameters
    ----------
    limits : list of int
        Largest event of each counter; 16 counters.

    About 500 LUTs, 16 of them 64-bit-wide memory.
    """

    i_events: list[Signal]
    i_clear: Signal
    i_read: Signal
    i_index: Signal
    o_value: Signal

    def __init__(self, limits: list[int]) -> None:
        self._limits = limits
        width = max(limits).bit_length()
        super().__init__(
            {
                "i_events": In(width).array(len(limits)),
                "i_clear": In(1),
                "i_read": In(1),
                "i_index": In(range(len(limits))),
                "o_value": Out(_COUNT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = len(self._limits)
        m.submodules.totals = totals = memory.Memory(shape=_COUNT_BITS, depth=count, init=[])
        write, read = totals.write_port(), totals.read_port(domain="comb")
        valid = Signal(count)  # the memory has no reset: a total counts as 0 until it is valid

        scanned = Signal(range(count))
        scan = ~self.i_read
        recent = []
        for index, limit in enumerate(self._limits):
            # Between two visits of the scanner lie at most 2 * count cycles.
            counter = Signal(range(2 * count * limit + 1), name=f"recent_{index}")
            taken = scan & (scanned == index)
            event = self.i_events[index][: limit.bit_length()]
            m.d.sync += counter.eq(
                Mux(taken | self.i_clear, 0, counter) + Mux(self.i_clear, 0, event)
            )
            recent.append(counter)
        with m.If(scan):
            m.d.sync += scanned.eq(Mux(scanned == count - 1, 0, scanned + 1))

        # Stage 1: look up. Stage 2: add and write back.
        index, total = Signal(range(count)), Signal(_COUNT_BITS)
        addend = Signal(max(c.shape().width for c in recent))
        adds, reads = Signal(), Signal()
        m.d.comb += read.addr.eq(Mux(self.i_read, self.i_index, scanned))
        m.d.sync += [
            index.eq(read.addr),
            total.eq(Mux(valid.bit_select(read.addr, 1) & ~self.i_clear, read.data, 0)),
            addend.eq(Mux(self.i_clear, 0, Array(recent)[scanned])),
            adds.eq(scan),
            reads.eq(self.i_read),
        ]
        m.d.comb += [
            write.addr.eq(index),
            write.data.eq(total + addend),
            write.en.eq(adds & ~self.i_clear),
        ]
        with m.If(write.en):
            m.d.sync += valid.bit_select(index, 1).eq(1)
        with m.If(self.i_clear):
            m.d.sync += valid.eq(0)
        with m.If(reads):
            m.d.sync += self.o_value.eq(total)
        return m
