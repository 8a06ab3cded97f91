# SPDX-License-Identifier: Apache-2.0
"""An AXI4 subordinate with an SDR SDRAM behind it."""

from typing import Any

from amaranth import (
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    Mux,
    ResetSignal,
    Signal,
)
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect

from weft_arch.config import Configuration
from weft_rtl.dma.axi import axi4_signature
from weft_rtl.soc.sdram_core import SdramCore
from weft_rtl.soc.sdram_crossing import Crossing
from weft_rtl.soc.sdram_interfaces import masked_beat, sdram_pads_signature, segment
from weft_rtl.soc.sdram_reads import ReadSide
from weft_rtl.soc.sdram_timing import SdramTiming
from weft_rtl.soc.sdram_writes import WriteSide

__all__ = ["SdramController", "SegmentArbiter"]

_READ_QUEUE_BEATS = 512
_WRITE_QUEUE_BEATS = 256


class SegmentArbiter(wiring.Component):
    """Reads and writes in turns of at least ``turn_beats``, because turning DQ round costs cycles.

    A side keeps its turn while it has segments and the other has none, or until it had
    ``turn_beats``.

    Members: ``reads``, ``writes``, streams of `segment`, In; ``o``, stream of `segment`, Out.
    """

    reads: stream.Interface
    writes: stream.Interface
    o: stream.Interface

    def __init__(self, timing: SdramTiming, *, turn_beats: int = 128) -> None:
        self._turn_beats = turn_beats
        signature = stream.Signature(segment(timing))
        super().__init__({"reads": In(signature), "writes": In(signature), "o": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held: Any = Signal(self.o.payload.shape())
        writing = Signal()
        had = Signal(range(2 * self._turn_beats))
        over = had >= self._turn_beats
        m.d.comb += self.o.payload.eq(held)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        for turn, mine, other in ((0, self.reads, self.writes), (1, self.writes, self.reads)):
            with m.If(writing == turn):
                with m.If(other.valid & (~mine.valid | over)):
                    m.d.sync += [writing.eq(1 - turn), had.eq(0)]
                with m.Elif(~self.o.valid):
                    m.d.comb += mine.ready.eq(1)
                    with m.If(mine.valid):
                        m.d.sync += [held.eq(mine.payload), self.o.valid.eq(1)]
                        m.d.sync += had.eq(Mux(over, had, had + mine.payload.beats))
        return m


class SdramController(wiring.Component):
    """The SDRAM as an AXI4 memory from address 0.

    AXI runs in the domain ``sync``, the SDRAM in ``sdram``, which may be faster, slower or
    unrelated, as long as ``sync`` has more cycles than the SDRAM moves beats (a ``burst_words``-th
    of its cycles); queues lie between. The SDRAM's domain needs a clock only, which runs while the
    reset of ``sync`` is up.
    Rules of the bus: see `ReadSide` and `WriteSide`; responses come in order, IDs are given back.

    Members
    -------
    axi : AXI4 manager's signature, flipped
    pads : `sdram_pads_signature`
    o_ready : Out(1)
        The SDRAM is initialised; until then, requests wait.

    Parameters
    ----------
    config : Configuration
        Its ``beat_bytes`` must be ``timing.beat_bytes``.
    read_delay_cycles : int
        See `SdramCore`.
    """

    axi: Any
    pads: Any
    o_ready: Signal

    def __init__(
        self,
        config: Configuration,
        timing: SdramTiming,
        *,
        read_delay_cycles: int | None = None,
    ) -> None:
        if config.beat_bytes != timing.beat_bytes:
            raise ValueError(
                f"the bus has {config.beat_bytes} bytes per beat, the SDRAM's timing "
                f"{timing.beat_bytes}; they must be equal"
            )
        self._config, self._timing = config, timing
        self._read_delay_cycles = read_delay_cycles
        super().__init__(
            {
                "axi": In(axi4_signature(config)),
                "pads": Out(sdram_pads_signature(timing.part)),
                "o_ready": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, timing = self._config, self._timing
        inner: Any = ClockDomain("sdram_logic", local=True)
        m.domains += inner
        m.d.comb += inner.clk.eq(ClockSignal("sdram"))
        m.submodules.reset = ResetSynchronizer(
            ResetSignal("sync", allow_reset_less=True), domain="sdram_logic"
        )

        reads = m.submodules.reads = ReadSide(config, timing, _READ_QUEUE_BEATS)
        writes = m.submodules.writes = WriteSide(config, timing, _WRITE_QUEUE_BEATS)
        arbiter = m.submodules.arbiter = SegmentArbiter(timing)
        core = SdramCore(timing, read_delay_cycles=self._read_delay_cycles)
        m.submodules.core = DomainRenamer("sdram_logic")(core)
        connect(m, reads.o, arbiter.reads)
        connect(m, writes.o, arbiter.writes)
        for name, member in self.axi.signature.members.items():
            half = reads.axi if name[0] == "r" or name.startswith("ar") else writes.axi
            outer, side = getattr(self.axi, name), getattr(half, name)
            m.d.comb += side.eq(outer) if member.flow is In else outer.eq(side)
        for name, member in self.pads.signature.members.items():
            outer, side = getattr(self.pads, name), getattr(core.pads, name)
            m.d.comb += outer.eq(side) if member.flow is Out else side.eq(outer)

        beat = 8 * timing.beat_bytes
        there = {"w_domain": "sync", "r_domain": "sdram_logic"}
        back = {"w_domain": "sdram_logic", "r_domain": "sync"}
        m.submodules.segments = segments = Crossing(segment(timing), places=4, **there)
        m.submodules.written = written = Crossing(masked_beat(timing), **there)
        m.submodules.arrived = arrived = Crossing(beat, **back)
        read = m.submodules.read = fifo.SyncFIFOBuffered(width=beat, depth=_READ_QUEUE_BEATS)
        connect(m, arbiter.o, segments.i)
        connect(m, segments.o, core.i)
        connect(m, writes.o_beats, written.i)
        connect(m, written.o, core.i_beats)
        m.d.comb += [
            arrived.i.payload.eq(core.o_beat),
            arrived.i.valid.eq(core.o_beat_valid),
            # What was asked for has a place, so this never waits.
            arrived.o.ready.eq(1),
            read.w_data.eq(arrived.o.payload),
            read.w_en.eq(arrived.o.valid),
            reads.i.payload.eq(read.r_data),
            reads.i.valid.eq(read.r_rdy),
            read.r_en.eq(reads.i.ready),
        ]
        m.submodules.ready = FFSynchronizer(core.o_ready, self.o_ready)
        return m
