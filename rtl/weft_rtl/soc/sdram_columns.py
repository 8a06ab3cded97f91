# SPDX-License-Identifier: Apache-2.0
"""Moves the beats of a segment: one READ or WRITE per beat."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.soc.sdram_interfaces import SdramCommand, command_word, segment, split_address
from weft_rtl.soc.sdram_timing import SdramTiming

__all__ = ["ColumnEngine"]


class ColumnEngine(wiring.Component):
    """A column command every ``burst_words`` cycles, which keeps DQ busy without a gap, also from
    one segment to the next. A WRITE after a READ waits until DQ has been free for one cycle.

    Members
    -------
    i : stream of `segment`, In
        Their rows are open.
    i_beat_ready : In(1)
        There is a beat to write.
    o_issue, o_write : Out(1)
        ``o_command`` goes out, and it is a WRITE: it takes the beat.
    o_command : Out(`command_word`)
    o_busy : Out(1)
        There is a segment, in bank ``o_bank``. Registered.
    o_bank : Out(2)
    """

    i: stream.Interface
    i_beat_ready: Signal
    o_issue: Signal
    o_write: Signal
    o_command: Any
    o_busy: Signal
    o_bank: Signal

    def __init__(self, timing: SdramTiming) -> None:
        self._timing = timing
        super().__init__(
            {
                "i": In(stream.Signature(segment(timing))),
                "i_beat_ready": In(1),
                "o_issue": Out(1),
                "o_write": Out(1),
                "o_command": Out(command_word(timing.part)),
                "o_busy": Out(1),
                "o_bank": Out(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = self._timing
        words = timing.burst_words
        held: Any = Signal(self.i.payload.shape())
        place = data.View(split_address(timing), held.address)
        # Shift registers of ones that run out, as in `RowEngine`.
        wait = Signal(words)
        wait_to_write = Signal(timing.cas_latency + words)
        m.d.sync += [wait.eq(wait >> 1), wait_to_write.eq(wait_to_write >> 1)]

        m.d.comb += [
            self.i.ready.eq(~self.o_busy),
            self.o_bank.eq(place.bank),
            self.o_issue.eq(
                self.o_busy & ~wait[0] & (~held.write | (~wait_to_write[0] & self.i_beat_ready))
            ),
            self.o_write.eq(held.write),
            self.o_command.command.eq(SdramCommand.READ),
            self.o_command.bank.eq(place.bank),
            self.o_command.address.eq(place.beat << (words - 1).bit_length()),
        ]
        with m.If(held.write):
            m.d.comb += self.o_command.command.eq(SdramCommand.WRITE)
        with m.If(self.i.valid & ~self.o_busy):
            m.d.sync += [held.eq(self.i.payload), self.o_busy.eq(1)]
        with m.If(self.o_issue):
            m.d.sync += [
                place.beat.eq(place.beat + 1),
                held.beats.eq(held.beats - 1),
                wait.eq((1 << words - 1) - 1),
            ]
            with m.If(held.beats == 1):
                m.d.sync += self.o_busy.eq(0)
            with m.If(~held.write):
                m.d.sync += wait_to_write.eq((1 << timing.cas_latency + words) - 1)
        return m
