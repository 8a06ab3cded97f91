# SPDX-License-Identifier: Apache-2.0
"""The read half of the SDRAM's AXI4 port."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.axi import AXI_ID_WIDTH, RESPONSE_SLVERR, axi4_signature
from weft_rtl.soc.sdram_interfaces import SEGMENT_BEATS, segment
from weft_rtl.soc.sdram_timing import SdramTiming

__all__ = ["ReadSide", "legal_burst"]


def legal_burst(timing: SdramTiming, address: Any, length: Any, size: Any, burst: Any) -> Any:
    """Whether a burst lies in the part and is a kind that is served: incrementing, of full beats;
    or one beat of any kind."""
    full = size == (timing.beat_bytes - 1).bit_length()
    inside = address < timing.part.size_bytes
    return inside & ((length == 0) | (full & (burst == 1)))


class ReadSide(wiring.Component):
    """Splits read bursts into segments and gives their beats back in order.

    A segment is offered once all its beats have a place in the queue behind the SDRAM, so what the
    SDRAM delivers is never held off. A burst outside the part, or of a kind that is not served, is
    answered with as many beats of SLVERR.

    Members
    -------
    axi : AXI4 manager's signature, flipped; only the read channels are used
    o : stream of `segment`, Out
    i : stream of beats, In
        What the SDRAM read.

    Parameters
    ----------
    queue_beats : int
        Places for beats.
    """

    axi: Any
    o: stream.Interface
    i: stream.Interface

    def __init__(self, config: Configuration, timing: SdramTiming, queue_beats: int) -> None:
        self._timing = timing
        self._queue_beats = queue_beats
        super().__init__(
            {
                "axi": In(axi4_signature(config)),
                "o": Out(stream.Signature(segment(timing))),
                "i": In(stream.Signature(8 * timing.beat_bytes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi, timing = self.axi, self._timing
        beat_shift = (timing.beat_bytes - 1).bit_length()
        entry = data.StructLayout({"id": AXI_ID_WIDTH, "length": 8, "error": 1})
        answers = m.submodules.answers = fifo.SyncFIFOBuffered(width=entry.size, depth=16)
        asked: Any = Signal(entry)
        answer: Any = data.View(entry, answers.r_data)

        # Bursts to segments.
        place = Signal(range(timing.size_beats))
        left = Signal(9)
        room = Signal(range(self._queue_beats + 1), init=self._queue_beats)
        offered: Any = Signal(self.o.payload.shape())
        pending, enough = Signal(), Signal()
        to_boundary = Signal(range(SEGMENT_BEATS + 1))
        beats = Signal(range(SEGMENT_BEATS + 1))
        issue = Signal()
        legal = legal_burst(timing, axi.araddr, axi.arlen, axi.arsize, axi.arburst)
        m.d.comb += [
            asked.id.eq(axi.arid),
            asked.length.eq(axi.arlen),
            asked.error.eq(~legal),
            answers.w_data.eq(asked),
            axi.arready.eq((left == 0) & answers.w_rdy),
            answers.w_en.eq(axi.arvalid & axi.arready),
            to_boundary.eq(SEGMENT_BEATS - place % SEGMENT_BEATS),
            beats.eq(Mux(left < to_boundary, left, to_boundary)),
            self.o.valid.eq(pending & enough),
            self.o.payload.eq(offered),
            issue.eq(self.o.valid & self.o.ready),
        ]
        with m.If(axi.arvalid & axi.arready & legal):
            m.d.sync += [place.eq(axi.araddr >> beat_shift), left.eq(axi.arlen + 1)]
        m.d.sync += enough.eq(pending & ~issue & (room >= offered.beats))
        with m.If(issue):
            m.d.sync += pending.eq(0)
        with m.If(~pending & (left != 0)):
            m.d.sync += [
                pending.eq(1),
                enough.eq(0),
                offered.address.eq(place),
                offered.beats.eq(beats),
                place.eq(place + beats),
                left.eq(left - beats),
            ]

        # Answers.
        index = Signal(8)
        m.d.comb += [
            axi.rvalid.eq(answers.r_rdy & (answer.error | self.i.valid)),
            axi.rdata.eq(Mux(answer.error, 0, self.i.payload)),
            axi.rid.eq(answer.id),
            axi.rresp.eq(Mux(answer.error, RESPONSE_SLVERR, 0)),
            axi.rlast.eq(index == answer.length),
            self.i.ready.eq(answers.r_rdy & ~answer.error & axi.rready),
            answers.r_en.eq(axi.rvalid & axi.rready & axi.rlast),
        ]
        with m.If(axi.rvalid & axi.rready):
            m.d.sync += index.eq(Mux(axi.rlast, 0, index + 1))
        freed = self.i.valid & self.i.ready
        m.d.sync += room.eq(room + freed - Mux(issue, offered.beats, 0))
        return m
