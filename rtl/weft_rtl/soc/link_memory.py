# SPDX-License-Identifier: Apache-2.0
"""Bytes to and from memory as an AXI4 manager: any alignment, any size."""

from dataclasses import dataclass
from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.axi import axi4_signature

__all__ = ["LinkMemory"]

_BURST_BEATS = 16  # what a queue in distributed RAM holds at no extra cost
_INCREMENTING = 1


@dataclass(frozen=True)
class _Progress:
    """Registers of the transfer that is under way."""

    lane: Signal
    skip: Signal
    bytes_left: Signal
    empty: Signal  # bytes_left is 0
    beats: Signal


class LinkMemory(wiring.Component):
    """Writes a stream of bytes to memory, or reads memory as one; one transfer at a time.

    A byte per cycle within a burst; bursts of at most 16 beats, one after the other, that end at
    multiples of their longest size. A burst of reads is asked for only when there is room for all
    of it, so a slow taker of bytes never blocks the memory.

    Members
    -------
    axi : AXI4 manager
    i_start, i_write, i_address, i_size : begin a transfer in the next cycle, until which the others
        hold; ignored unless idle then.
    i : stream of bytes to write, In
    o : stream of bytes read, Out
    o_done : one cycle, after all is written and acknowledged, or read and taken. Registered.
    o_error : the memory answered with an error; holds until the next start.
    """

    axi: Any
    i_start: Signal
    i_write: Signal
    i_address: Signal
    i_size: Signal
    i: stream.Interface
    o: stream.Interface
    o_done: Signal
    o_error: Signal

    def __init__(self, config: Configuration) -> None:
        self._beat_bytes = config.beat_bytes
        self._burst_beats = min(_BURST_BEATS, config.max_burst_beats)
        super().__init__(
            {
                "axi": Out(axi4_signature(config)),
                "i_start": In(1),
                "i_write": In(1),
                "i_address": In(32),
                "i_size": In(32),
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "o_done": Out(1),
                "o_error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        lane_bits = (self._beat_bytes - 1).bit_length()
        beat_bits = (self._burst_beats - 1).bit_length()
        now = _Progress(
            lane=Signal(lane_bits),
            skip=Signal(lane_bits),
            bytes_left=Signal(32, reset_less=True),
            empty=Signal(reset_less=True),
            beats=Signal(beat_bits + 1),
        )
        beat_address = Signal(32 - lane_bits, reset_less=True)
        beats_left = Signal(33 - lane_bits, reset_less=True)
        writing, start = Signal(), Signal()
        m.d.sync += [start.eq(self.i_start), self.o_done.eq(0)]
        room = Signal(beat_bits + 1)
        asked = Signal(beat_bits + 1, reset_less=True)
        m.d.comb += room.eq(self._burst_beats - beat_address[:beat_bits])
        for channel in ("aw", "ar"):
            m.d.comb += [
                getattr(axi, f"{channel}addr").eq(beat_address << lane_bits),
                getattr(axi, f"{channel}len").eq(asked - 1),
                getattr(axi, f"{channel}size").eq(lane_bits),
                getattr(axi, f"{channel}burst").eq(_INCREMENTING),
                getattr(axi, f"{channel}cache").eq(0b0011),
            ]
        # No state is looked at on the way to the bus: nothing comes that was not asked for, and
        # nothing is full while nothing is written. The last beat takes cycles to fill.
        data = Signal(8 * self._beat_bytes, reset_less=True)
        strobe = Signal(self._beat_bytes, reset_less=True)
        full, is_last = Signal(), Signal(reset_less=True)
        m.submodules.beats = beats = SyncFIFO(width=len(data), depth=self._burst_beats)
        m.d.sync += is_last.eq(now.beats == 1)
        m.d.comb += [
            axi.wdata.eq(data),
            axi.wstrb.eq(strobe),
            axi.wvalid.eq(full),
            axi.wlast.eq(is_last),
            axi.bready.eq(1),
            axi.rready.eq(1),
            beats.w_data.eq(axi.rdata),
            beats.w_en.eq(axi.rvalid),
        ]
        with m.FSM():
            with m.State("IDLE"):
                last = self.i_address[:lane_bits] + self.i_size + (self._beat_bytes - 1)
                m.d.sync += [
                    writing.eq(self.i_write),
                    now.lane.eq(0),
                    now.skip.eq(self.i_address[:lane_bits]),
                    now.bytes_left.eq(self.i_size),
                    now.empty.eq(self.i_size == 0),
                    beat_address.eq(self.i_address[lane_bits:]),
                    beats_left.eq(last >> lane_bits),
                ]
                with m.If(start):
                    m.d.sync += self.o_error.eq(0)
                    m.next = "BURST"
            with m.State("BURST"):
                m.d.sync += asked.eq(Mux(beats_left < room, beats_left[: beat_bits + 1], room))
                with m.If(now.empty):
                    m.d.sync += self.o_done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.comb += [axi.awvalid.eq(writing), axi.arvalid.eq(~writing)]
                m.d.sync += now.beats.eq(asked)
                with m.If(Mux(writing, axi.awready, axi.arready)):
                    m.next = "COUNT"
            with m.State("COUNT"):
                # Not with the answer: that comes late in its cycle.
                m.d.sync += [
                    beat_address.eq(beat_address + asked),
                    beats_left.eq(beats_left - asked),
                ]
                with m.If(writing):
                    m.next = "WRITE"
                with m.Else():
                    m.next = "READ"
            with m.State("WRITE"):
                self._write(m, now, data, strobe, full)
                with m.If(axi.wvalid & axi.wready & axi.wlast):
                    m.next = "RESPONSE"
            with m.State("RESPONSE"), m.If(axi.bvalid):
                m.d.sync += self.o_error.eq(self.o_error | axi.bresp[1])
                m.next = "BURST"
            with m.State("READ"):
                self._read(m, now, beats)
                with m.If(now.beats == 0):
                    m.next = "BURST"
        return m

    def _write(self, m: Module, now: _Progress, data: Signal, strobe: Signal, full: Signal) -> None:
        """Fill beats lane by lane; the lanes before the first byte and behind the last one pass by
        without a strobe."""
        used = Signal()
        step = Signal()
        m.d.comb += [
            used.eq((now.skip == 0) & ~now.empty),
            self.i.ready.eq(~full & used),
            step.eq(~full & (~used | self.i.valid) & (now.beats != 0)),
        ]
        with m.If(step):
            m.d.sync += [
                data.eq(Cat(data[8:], self.i.payload)),
                strobe.eq(Cat(strobe[1:], used)),
                full.eq(now.lane == self._beat_bytes - 1),
            ]
            self._next_lane(m, now, used)
        with m.If(full & self.axi.wready):
            m.d.sync += [full.eq(0), now.beats.eq(now.beats - 1)]

    def _read(self, m: Module, now: _Progress, beats: SyncFIFO) -> None:
        """Take beats apart lane by lane."""
        axi = self.axi
        used = Signal()
        step = Signal()
        m.d.comb += [
            used.eq((now.skip == 0) & ~now.empty),
            self.o.valid.eq(beats.r_rdy & used),
            self.o.payload.eq(beats.r_data.word_select(now.lane, 8)),
            step.eq(beats.r_rdy & (~used | self.o.ready)),
            beats.r_en.eq(step & (now.lane == self._beat_bytes - 1)),
        ]
        with m.If(axi.rvalid):
            m.d.sync += self.o_error.eq(self.o_error | axi.rresp[1])
        with m.If(step):
            self._next_lane(m, now, used)
        with m.If(beats.r_en):
            m.d.sync += now.beats.eq(now.beats - 1)

    @staticmethod
    def _next_lane(m: Module, now: _Progress, used: Signal) -> None:
        m.d.sync += now.lane.eq(now.lane + 1)
        with m.If(used):
            m.d.sync += [
                now.bytes_left.eq(now.bytes_left - 1),
                now.empty.eq(now.bytes_left == 1),
            ]
        with m.Elif(now.skip != 0):
            m.d.sync += now.skip.eq(now.skip - 1)
