# SPDX-License-Identifier: Apache-2.0
"""The SDRAM side of the controller: segments in, pins out, beats both ways."""

from typing import Any

from amaranth import Cat, ClockSignal, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_rtl.soc.sdram_columns import ColumnEngine
from weft_rtl.soc.sdram_interfaces import (
    SdramCommand,
    command_word,
    masked_beat,
    sdram_pads_signature,
    segment,
)
from weft_rtl.soc.sdram_rows import RowEngine
from weft_rtl.soc.sdram_timing import SdramTiming

__all__ = ["SdramCore"]


class SdramCore(wiring.Component):
    """Row engine, column engine, pin registers and the data's way. One clock domain, the SDRAM's.

    Commands and data pass two registers, of which the second belongs into the pad; so does the
    register that takes DQ. ``o_beat`` of a READ's beat follows its command's issue by
    ``read_delay_cycles`` + ``burst_words`` cycles and cannot be held off: ask only for what has a
    place.

    Members
    -------
    pads : `sdram_pads_signature`
        ``clk`` is the inverted clock, so commands change half a cycle before the SDRAM's edge.
    i : stream of `segment`, In
    i_beats : stream of `masked_beat`, In
        What the segments write, in their order.
    o_beat : Out(8 * beat_bytes), o_beat_valid : Out(1)
        What they read, in their order.
    o_ready : Out(1)
        The SDRAM is initialised.

    Parameters
    ----------
    read_delay_cycles : int
        From a READ's issue to the cycle that shows its first word in the pad's register:
        ``cas_latency`` + 2 where the part's access time and the board's delays together are
        shorter than half a period, + 3 (the default) where they are between a half and one and
        a half.
    """

    pads: Any
    i: stream.Interface
    i_beats: stream.Interface
    o_beat: Signal
    o_beat_valid: Signal
    o_ready: Signal

    def __init__(self, timing: SdramTiming, *, read_delay_cycles: int | None = None) -> None:
        self._timing = timing
        self._read_delay = read_delay_cycles or timing.cas_latency + 3
        super().__init__(
            {
                "pads": Out(sdram_pads_signature(timing.part)),
                "i": In(stream.Signature(segment(timing))),
                "i_beats": In(stream.Signature(masked_beat(timing))),
                "o_beat": Out(8 * timing.beat_bytes),
                "o_beat_valid": Out(1),
                "o_ready": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = self._timing
        width, words = timing.part.data_bits, timing.burst_words
        rows = m.submodules.rows = RowEngine(timing)
        columns = m.submodules.columns = ColumnEngine(timing)
        connect(m, rows.o, columns.i)

        m.d.comb += [
            columns.i_beat_ready.eq(self.i_beats.valid),
            # In the cycle after its command, which is when it is looked at.
            self.i_beats.ready.eq(columns.o_take),
            rows.i_column.eq(columns.o_issue),
            rows.i_column_issued.eq(columns.o_issued),
            rows.i_column_write.eq(columns.o_write),
            rows.i_busy.eq(columns.o_busy),
            rows.i_bank.eq(columns.o_bank),
            self.o_ready.eq(rows.o_ready),
        ]
        connect(m, flipped(self.i), rows.i)

        # First register: the command, and the beat that is written.
        command: Any = Signal(command_word(timing.part), init={"command": SdramCommand.NOP})
        sending = Signal(8 * timing.beat_bytes)
        masks = Signal(timing.beat_bytes)
        driving = Signal(words)
        m.d.sync += [
            command.eq(Mux(columns.o_issued, columns.o_command, rows.o_command)),
            sending.eq(sending >> width),
            masks.eq(masks >> width // 8),
            driving.eq(driving >> 1),
        ]
        with m.If(~columns.o_issued & ~rows.o_issued):
            m.d.sync += command.command.eq(SdramCommand.NOP)
        with m.If(self.i_beats.ready):
            m.d.sync += [
                sending.eq(self.i_beats.payload.data),
                masks.eq(~self.i_beats.payload.strobe),
                driving.eq((1 << words) - 1),
            ]

        # Second register, in the pads.
        pads = self.pads
        pins = Signal(3, init=SdramCommand.NOP.value)
        enable = Signal(width)
        m.d.sync += [
            pins.eq(command.command),
            pads.ba.eq(command.bank),
            pads.a.eq(command.address),
            pads.dq_o.eq(sending[:width]),
            pads.dqm.eq(masks[: width // 8]),
            enable.eq(driving[0].replicate(width)),
        ]
        received = Signal(width)
        m.d.sync += received.eq(pads.dq_i)
        m.d.comb += [
            pads.clk.eq(~ClockSignal("sync")),
            pads.cke.eq(1),
            pads.cs_n.eq(0),
            Cat(pads.we_n, pads.cas_n, pads.ras_n).eq(pins),
            pads.dq_oe.eq(enable),
        ]

        # Read data: words come together, first word lowest.
        reading = Signal(self._read_delay + words)
        m.d.sync += [
            reading.eq(Cat(columns.o_issued & ~columns.o_write, reading)),
            self.o_beat.eq(Cat(self.o_beat[width:], received)),
        ]
        m.d.comb += self.o_beat_valid.eq(reading[-1])
        return m
