# SPDX-License-Identifier: Apache-2.0
"""The write half of the SDRAM's AXI4 port."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.axi import AXI_ID_WIDTH, RESPONSE_SLVERR, axi4_signature
from weft_rtl.soc.sdram_interfaces import SEGMENT_BEATS, masked_beat, segment
from weft_rtl.soc.sdram_reads import legal_burst
from weft_rtl.soc.sdram_timing import SdramTiming

__all__ = ["WriteSide"]

_SEGMENTS = 16


class WriteSide(wiring.Component):
    """Splits write bursts into segments as their data comes in.

    A segment is offered once all its beats are in the queue. A burst is answered when its last
    segment has been taken: segments are executed in order, so whatever reads after the answer
    reads what was written. A burst outside the part, or of a kind that is not served, is swallowed
    and answered with SLVERR. A beat is taken only after its burst's address.

    Members
    -------
    axi : AXI4 manager's signature, flipped; only the write channels are used
    o : stream of `segment`, Out
    o_beats : stream of `masked_beat`, Out

    Parameters
    ----------
    queue_beats : int
        Places for beats, at least `SEGMENT_BEATS` + 4.
    """

    axi: Any
    o: stream.Interface
    o_beats: stream.Interface

    def __init__(self, config: Configuration, timing: SdramTiming, queue_beats: int) -> None:
        self._timing = timing
        self._queue_beats = queue_beats
        super().__init__(
            {
                "axi": In(axi4_signature(config)),
                "o": Out(stream.Signature(segment(timing))),
                "o_beats": Out(stream.Signature(masked_beat(timing))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi, timing = self.axi, self._timing
        beat_shift = (timing.beat_bytes - 1).bit_length()
        entry = data.StructLayout(
            {"segment": segment(timing), "last": 1, "error": 1, "id": AXI_ID_WIDTH}
        )
        answer = data.StructLayout({"error": 1, "id": AXI_ID_WIDTH})
        queue = m.submodules.queue = fifo.SyncFIFOBuffered(
            width=masked_beat(timing).size, depth=self._queue_beats
        )
        segments = m.submodules.segments = fifo.SyncFIFOBuffered(width=entry.size, depth=_SEGMENTS)
        answers = m.submodules.answers = fifo.SyncFIFOBuffered(width=answer.size, depth=16)

        # Beats in, and a segment at every boundary and at the end of a burst.
        place = Signal(range(timing.size_beats))
        count = Signal(range(SEGMENT_BEATS))
        left = Signal(9)
        active, last = Signal(), Signal()  # left is not 0, is 1
        room = Signal()
        error = Signal()
        identifier = Signal(AXI_ID_WIDTH)
        taken, ends = Signal(), Signal()
        # The levels are a cycle old, a segment is a cycle on its way, and one place is to spare.
        m.d.sync += room.eq((segments.level <= _SEGMENTS - 4) & (queue.level <= queue.depth - 4))
        m.d.comb += [
            axi.awready.eq(~active),
            axi.wready.eq(active & room),
            taken.eq(axi.wvalid & axi.wready),
            ends.eq(last | (~error & (place % SEGMENT_BEATS == SEGMENT_BEATS - 1))),
            queue.w_data.eq(axi.wdata | axi.wstrb << 8 * timing.beat_bytes),
            queue.w_en.eq(taken & ~error),
        ]
        legal = legal_burst(timing, axi.awaddr, axi.awlen, axi.awsize, axi.awburst)
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [
                place.eq(axi.awaddr >> beat_shift),
                left.eq(axi.awlen + 1),
                active.eq(1),
                last.eq(axi.awlen == 0),
                error.eq(~legal),
                identifier.eq(axi.awid),
                count.eq(0),
            ]
        with m.If(taken):
            m.d.sync += [
                left.eq(left - 1),
                active.eq(~last),
                last.eq(left == 2),
                place.eq(place + 1),
                count.eq(Mux(ends, 0, count + 1)),
            ]
        made: Any = Signal(entry, reset_less=True)
        in_segment = len(count)
        m.d.sync += [
            # A segment does not cross a multiple of its longest.
            made.segment.address.eq(
                Cat((place[:in_segment] - count)[:in_segment], place[in_segment:])
            ),
            made.segment.beats.eq(count + 1),
            made.segment.write.eq(1),
            made.last.eq(last),
            made.error.eq(error),
            made.id.eq(identifier),
            segments.w_en.eq(taken & ends),
        ]
        m.d.comb += segments.w_data.eq(made)

        # Segments out; an answer with each burst's last.
        head: Any = data.View(entry, segments.r_data)
        there, gone = Signal(), Signal()
        m.d.sync += there.eq(segments.r_rdy & answers.w_rdy & ~gone)
        m.d.comb += [
            self.o.valid.eq(there & ~head.error),
            self.o.payload.eq(head.segment),
            gone.eq(there & (head.error | self.o.ready)),
            segments.r_en.eq(gone),
            answers.w_data.eq(head.error | head.id << 1),
            answers.w_en.eq(gone & head.last),
            self.o_beats.valid.eq(queue.r_rdy),
            self.o_beats.payload.eq(queue.r_data),
            queue.r_en.eq(self.o_beats.ready),
        ]
        given: Any = data.View(answer, answers.r_data)
        m.d.comb += [
            axi.bvalid.eq(answers.r_rdy),
            axi.bid.eq(given.id),
            axi.bresp.eq(Mux(given.error, RESPONSE_SLVERR, 0)),
            answers.r_en.eq(axi.bready),
        ]
        return m
