# SPDX-License-Identifier: Apache-2.0
"""Moves the beats of a segment: one READ or WRITE per beat."""

from typing import Any

from amaranth import Module, Mux, Signal
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
    o_issue : Out(1)
        A command is decided on: it goes out a cycle later.
    o_issued, o_write : Out(1)
        ``o_command`` goes out, and it is a WRITE. Registered.
    o_take : Out(1)
        Both: it takes the beat. Registered.
    o_command : Out(`command_word`)
        Registered.
    o_busy : Out(1)
        There is a segment, in bank ``o_bank``. Registered.
    o_bank : Out(2)
        Registered; still the command's when ``o_issued`` is up.
    """

    i: stream.Interface
    i_beat_ready: Signal
    o_issue: Signal
    o_issued: Signal
    o_write: Signal
    o_take: Signal
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
                "o_issued": Out(1),
                "o_write": Out(1),
                "o_take": Out(1),
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
        last = Signal()  # one beat is left
        # Shift registers of ones that run out, as in `RowEngine`.
        wait = Signal(words)
        wait_to_write = Signal(timing.cas_latency + words)
        m.d.sync += [wait.eq(wait >> 1), wait_to_write.eq(wait_to_write >> 1)]

        # What may go out is known a cycle before, but for the beat. After a command comes none, for
        # a beat has at least two words.
        may_read, may_write = Signal(), Signal()
        take = Signal()
        reads = Mux(self.o_busy, ~held.write, self.i.valid & ~self.i.payload.write)
        writes = Mux(self.o_busy, held.write, self.i.valid & self.i.payload.write)
        m.d.comb += [
            self.i.ready.eq(~self.o_busy),
            take.eq(self.i.valid & ~self.o_busy),
            self.o_bank.eq(place.bank),
            self.o_issue.eq(may_read | (may_write & self.i_beat_ready)),
        ]
        m.d.sync += [
            may_read.eq(reads & ~wait[1] & ~self.o_issue),
            may_write.eq(writes & ~wait[1] & ~wait_to_write[1] & ~self.o_issue),
            self.o_issued.eq(self.o_issue),
            self.o_write.eq(held.write),
            self.o_take.eq(may_write & self.i_beat_ready),
            self.o_command.command.eq(Mux(held.write, SdramCommand.WRITE, SdramCommand.READ)),
            self.o_command.bank.eq(place.bank),
            self.o_command.address.eq(place.beat << (words - 1).bit_length()),
        ]
        with m.If(take):
            m.d.sync += [
                held.eq(self.i.payload),
                last.eq(self.i.payload.beats == 1),
                self.o_busy.eq(1),
            ]
        with m.If(self.o_issue):
            m.d.sync += [
                place.beat.eq(place.beat + 1),
                held.beats.eq(held.beats - 1),
                last.eq(held.beats == 2),
                wait.eq((1 << words - 1) - 1),
            ]
            with m.If(last):
                m.d.sync += self.o_busy.eq(0)
        with m.If(may_read):
            m.d.sync += wait_to_write.eq((1 << timing.cas_latency + words) - 1)
        return m
