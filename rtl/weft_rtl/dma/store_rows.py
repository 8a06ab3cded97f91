# SPDX-License-Identifier: Apache-2.0
"""STORE: rows of the vector memory to memory as F32."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_arch.isa import Opcode, Store
from weft_arch.registers import Fault
from weft_rtl.control.decode import arguments
from weft_rtl.dma.arithmetic import part_of, times
from weft_rtl.dma.ports import Transfer, write_beat
from weft_rtl.interfaces import (
    VECTOR_ADDRESS,
    FaultReport,
    ResolvedInstruction,
    float_word,
    vector_read_signature,
)

__all__ = ["StoreRows"]

WORDS_AHEAD = 4


class StoreRows(wiring.Component):
    """Runs STORE up to the handing over of its data: a command per row, and beats.

    One beat per cycle when the vector memory grants its reads.

    Members
    -------
    i : stream of ResolvedInstruction, In
        Taken when the one before it is handed over.
    o_command : stream of Transfer, Out
    o_data : stream of `write_beat`, Out
    vector_read : vector memory reader (`vector_read_signature`)
    o_nothing : Out(1)
        The instruction has no rows, so there is no command with ``last``.
    fault : Out(FaultReport)
    """

    i: stream.Interface
    o_command: stream.Interface
    o_data: stream.Interface
    vector_read: Any
    o_nothing: Signal
    fault: Any

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(ResolvedInstruction)),
                "o_command": Out(stream.Signature(Transfer)),
                "o_data": Out(stream.Signature(write_beat(config))),
                "vector_read": Out(vector_read_signature(config)),
                "o_nothing": Out(1),
                "fault": Out(FaultReport),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, beat_bytes = self._config.lanes, self._config.beat_bytes
        word_beats = 4 * lanes // beat_bytes
        fields = arguments(Store, self.i.payload.arguments)

        words = Signal(12, reset_less=True)
        row_bytes = Signal(24, reset_less=True)
        stride = Signal(12, reset_less=True)
        rows_left = Signal(24)  # without a command
        has_rows, last_row = Signal(), Signal(reset_less=True)  # ``rows_left`` is not 0; is 1
        ahead = Signal(range(3))  # rows with a command, to be read
        address = Signal(32, reset_less=True)
        words_left = Signal(12, reset_less=True)
        last_word = Signal(reset_less=True)  # ``words_left`` is 1
        source = Signal(VECTOR_ADDRESS, reset_less=True)
        row_source = Signal(VECTOR_ADDRESS, reset_less=True)
        room = Signal(range(WORDS_AHEAD + 1), init=WORDS_AHEAD)

        checking = Signal()
        halted = Signal()
        m.d.comb += self.i.ready.eq(
            ~(checking | halted | has_rows | ahead.any() | self.o_data.valid)
            & (room == WORDS_AHEAD)
        )
        m.d.sync += [self.fault.valid.eq(0), self.o_nothing.eq(0), checking.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                checking.eq(1),
                rows_left.eq(self.i.payload.count),
                address.eq(self.i.payload.address),
                words.eq(fields.words),
                words_left.eq(fields.words),
                row_bytes.eq(fields.row_bytes),
                source.eq(fields.source),
                row_source.eq(fields.source),
                stride.eq(fields.source_stride),
            ]
        with m.If(checking):
            m.d.sync += [
                self.o_nothing.eq(words.any() & (rows_left == 0)),
                has_rows.eq(words.any() & rows_left.any()),
                last_row.eq(rows_left == 1),
                last_word.eq(words == 1),
            ]
            with m.If(words == 0):
                m.d.sync += [
                    halted.eq(1),
                    self.fault.valid.eq(1),
                    self.fault.cause.eq(Fault.ILLEGAL_OPERAND),
                    self.fault.address.eq(Opcode.STORE),
                ]

        # Commands, up to two rows ahead of the reads.
        commanded = Signal()
        row_read = Signal()
        m.d.comb += [
            self.o_command.valid.eq(has_rows & ~ahead[1]),
            self.o_command.payload.address.eq(address),
            self.o_command.payload.beats.eq(times(words, word_beats)),
            self.o_command.payload.last.eq(last_row),
            commanded.eq(self.o_command.valid & self.o_command.ready),
        ]
        with m.If(commanded):
            m.d.sync += [
                address.eq(address + row_bytes),
                rows_left.eq(rows_left - 1),
                last_row.eq(rows_left == 2),
                has_rows.eq(~last_row),
            ]
        m.d.sync += ahead.eq(ahead + commanded - row_read)

        # Reads, only what there is room for. Other readers of the vector memory wait for the
        # request, so it is a register, and what comes in this cycle counts from the next one on.
        request = self.vector_read.request
        requested = request.valid & request.ready
        shape = float_word(self._config)
        queue = m.submodules.queue = SyncFIFO(width=shape.size, depth=WORDS_AHEAD)
        m.d.comb += [
            request.payload.eq(source),
            row_read.eq(requested & last_word),
            queue.w_en.eq(self.vector_read.valid),
            queue.w_data.eq(self.vector_read.data),
        ]
        m.d.sync += [
            request.valid.eq(
                Mux(
                    requested,
                    Mux(last_word, ahead[1], ahead.any()) & (room > 1),
                    ahead.any() & room.any(),
                )
            ),
            room.eq(room + (queue.r_en & queue.r_rdy) - requested),
        ]
        with m.If(requested):
            m.d.sync += [
                source.eq(source + 1),
                words_left.eq(words_left - 1),
                last_word.eq(words_left == 2),
            ]
        with m.If(row_read):
            m.d.sync += [
                words_left.eq(words),
                last_word.eq(words == 1),
                source.eq(row_source + stride),
                row_source.eq(row_source + stride),
            ]

        # Beats: F24 is the upper part of F32.
        beat = Signal(range(word_beats))
        free = ~self.o_data.valid | self.o_data.ready
        values = beat_bytes // 4
        patterns = Signal(24 * values, reset_less=True)
        m.d.comb += [
            queue.r_en.eq(free & (beat == word_beats - 1)),
            self.o_data.payload.data.eq(
                Cat(*(Cat(Const(0, 8), patterns[24 * k : 24 * (k + 1)]) for k in range(values)))
            ),
            self.o_data.payload.strobe.eq((1 << beat_bytes) - 1),
        ]
        with m.If(free):
            m.d.sync += self.o_data.valid.eq(queue.r_rdy)
            with m.If(queue.r_rdy):
                m.d.sync += [
                    beat.eq(beat + 1),
                    patterns.eq(part_of(queue.r_data, beat, 24 * values)),
                ]
        return m
