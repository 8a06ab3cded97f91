# SPDX-License-Identifier: Apache-2.0
"""The write data channel and the buffer in front of it."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.ports import BURST_BEATS, write_beat
from weft_rtl.memory.weight_buffer import BeatPacker

__all__ = ["WriteDataChannel"]


class WriteDataChannel(wiring.Component):
    """Keeps write data until its burst is issued, then sends it.

    The buffer holds the data of four of the longest bursts. One beat per cycle, without a gap
    between bursts.

    Members
    -------
    i : stream of `write_beat`, In
    i_issue : In(1)
        A burst of ``i_beats`` beats is issued; its data must be there (``o_available``).
    i_beats : In(9)
    o_available : Out(range(...))
        Beats in the buffer that belong to no issued burst.
    wdata, wstrb, wlast, wvalid, wready
        The AXI write data channel.
    o_beat : Out(1)
        A beat was sent.
    o_bytes : Out(range(beat_bytes + 1))
        Its active strobes, 0 without ``o_beat``.

    Parameters
    ----------
    outstanding_bursts : int
        Most bursts that are issued before the first one's data has been sent. Power of two.
    """

    i: stream.Interface
    i_issue: Signal
    i_beats: Signal
    o_available: Signal
    o_beat: Signal
    o_bytes: Signal
    wdata: Signal
    wstrb: Signal
    wlast: Signal
    wvalid: Signal
    wready: Signal

    def __init__(self, config: Configuration, outstanding_bursts: int) -> None:
        self._config = config
        self._outstanding_bursts = outstanding_bursts
        self._depth = 4 * config.max_burst_beats
        super().__init__(
            {
                "i": In(stream.Signature(write_beat(config))),
                "i_issue": In(1),
                "i_beats": In(BURST_BEATS),
                "o_available": Out(range(self._depth + 1)),
                "wdata": Out(8 * config.beat_bytes),
                "wstrb": Out(config.beat_bytes),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "o_beat": Out(1),
                "o_bytes": Out(range(config.beat_bytes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = write_beat(self._config)
        width = beat.size
        buffer = m.submodules.buffer = BeatPacker(width, width, self._depth)

        # Room and what is there.
        free = Signal(range(self._depth + 1), init=self._depth)
        taken = Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            buffer.i.valid.eq(taken),
            buffer.i.payload.eq(self.i.payload),
        ]
        m.d.sync += [
            # ``free`` is not 0: who gives beats looks at that late in a cycle.
            self.i.ready.eq(buffer.o_freed | Mux(taken, free[1:].any(), free.any())),
            free.eq(free + buffer.o_freed - taken),
            self.o_available.eq(self.o_available + taken - Mux(self.i_issue, self.i_beats, 0)),
        ]

        # The lengths of the issued bursts, and the beats left of the one being sent.
        m.submodules.lengths = lengths = Memory(
            shape=BURST_BEATS, depth=self._outstanding_bursts, init=[]
        )
        length_write, length_read = lengths.write_port(), lengths.read_port(domain="comb")
        write_index = Signal(range(2 * self._outstanding_bursts))
        read_index = Signal.like(write_index)
        m.d.comb += [
            length_write.en.eq(self.i_issue),
            length_write.addr.eq(write_index[:-1]),
            length_write.data.eq(self.i_beats),
            length_read.addr.eq(read_index[:-1]),
        ]
        m.d.sync += write_index.eq(write_index + self.i_issue)
        sending = Signal()
        left = Signal(BURST_BEATS, reset_less=True)
        sent = Signal()
        with m.If(~sending | (sent & self.wlast)):
            with m.If(read_index != write_index):
                m.d.sync += [
                    sending.eq(1),
                    left.eq(length_read.data),
                    self.wlast.eq(length_read.data == 1),
                    read_index.eq(read_index + 1),
                ]
            with m.Else():
                m.d.sync += sending.eq(0)
        with m.Elif(sent):
            m.d.sync += [left.eq(left - 1), self.wlast.eq(left == 2)]

        payload = beat(buffer.o.payload)
        m.d.comb += [
            self.wdata.eq(payload.data),
            self.wstrb.eq(payload.strobe),
            self.wvalid.eq(sending & buffer.o.valid),
            buffer.o.ready.eq(sending & self.wready),
            sent.eq(self.wvalid & self.wready),
        ]
        strobe = Signal(self._config.beat_bytes)
        m.d.sync += strobe.eq(Mux(sent, payload.strobe, 0))
        m.d.sync += self.o_beat.eq(sent)
        m.d.comb += self.o_bytes.eq(sum(strobe, start=Const(0)))
        return m
