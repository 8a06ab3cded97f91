# SPDX-License-Identifier: Apache-2.0
"""Converts the beats of loaded rows to words of the vector memory."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.load_rows import LoadPart, PartKind
from weft_rtl.dma.load_scales import LoadScales
from weft_rtl.dma.load_values import LoadValues
from weft_rtl.interfaces import VECTOR_ADDRESS, vector_write
from weft_rtl.ready_buffer import ReadyBuffer

__all__ = ["LoadConvert"]

WORDS_AT_ONCE = 2
"""Words between their first step and the vector memory: one waits in a register before it, one
behind that."""


class LoadConvert(wiring.Component):
    """Follows the parts of the load unit through their beats.

    A step converts a beat of F32 or F16, or a quarter of a beat of Q8. Steps of one format follow
    each other every cycle, also from row to row; another format waits until those before it have
    left the converters. A word starts only when there will be room for it, so that the converters
    never have to be held.

    Members
    -------
    i_parts : stream of LoadPart, In
    i_beats : stream of beats, In
    o : stream of `vector_write`, Out
    o_numbers_write : Out(1)
        The beat of ``i_beats`` is one of row numbers; ``o_numbers_done`` with the last one of
        a part.
    o_done : Out(1)
        The last word of a part with ``last`` was written in the cycle before.
    o_drained : Out(1)
        Nothing is in work, nor about to be done.

    From a word's last beat to the word: 3 cycles (F32, F16) or 7 (Q8).
    """

    i_parts: stream.Interface
    i_beats: stream.Interface
    o: stream.Interface
    o_numbers_write: Signal
    o_numbers_done: Signal
    o_done: Signal
    o_drained: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_parts": In(stream.Signature(LoadPart)),
                "i_beats": In(stream.Signature(8 * config.beat_bytes)),
                "o": Out(stream.Signature(vector_write(config))),
                "o_numbers_write": Out(1),
                "o_numbers_done": Out(1),
                "o_done": Out(1),
                "o_drained": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        half_steps = 2 * self._config.lanes // self._config.beat_bytes
        word_steps = 2 * half_steps

        # What is being worked on.
        active = Signal()
        part: Any = Signal(LoadPart, reset_less=True)
        may_step = Signal()  # rows, once their scales are there
        in_scales = Signal()
        takes_scales = Signal()  # from the second cycle on
        is_numbers = Signal()
        upcoming = self.i_parts.payload
        upcoming_numbers = upcoming.kind == PartKind.ROW_NUMBERS
        upcoming_q8 = upcoming.kind == PartKind.Q8
        # Of the last rows: what the converters are working on.
        kind: Any = Signal(PartKind)
        is_q8, is_f16 = Signal(), Signal()

        # Steps.
        room = Signal(range(WORDS_AT_ONCE + 1), init=WORDS_AT_ONCE)
        room_next = Signal.like(room)
        has_room = Signal(init=1)
        step = Signal()
        word_end = Signal()
        part_end = Signal()
        quarter = Signal(2)
        last_quarter = Signal(2)
        slot = Signal(range(word_steps))
        last_slot = Signal(range(word_steps))
        # What the counters say, kept beside them.
        first_step, last_step = Signal(init=1), Signal()  # of a word
        beat_end = Signal()
        last_word = Signal(reset_less=True)
        written = Signal()
        beat = self.i_beats
        can_step = may_step & (~first_step | has_room | written)
        numbers_beat = Signal()
        m.d.comb += [
            # ``active`` is in may_step, takes_scales and is_numbers.
            step.eq(can_step & beat.valid),
            word_end.eq(step & last_step),
            numbers_beat.eq(is_numbers & beat.valid),
            part_end.eq((word_end | numbers_beat) & last_word),
            beat.ready.eq(is_numbers | takes_scales | (can_step & beat_end)),
            self.o_numbers_write.eq(numbers_beat),
            self.o_numbers_done.eq(numbers_beat & part_end),
        ]
        with m.If(step):
            m.d.sync += [
                quarter.eq(Mux(beat_end, 0, quarter + 1)),
                beat_end.eq(Mux(beat_end, last_quarter == 0, quarter + 1 == last_quarter)),
                slot.eq(Mux(last_step, 0, slot + 1)),
                first_step.eq(last_step),
                last_step.eq(Mux(last_step, last_slot == 0, slot + 1 == last_slot)),
            ]
        with m.If(word_end):
            m.d.sync += part.destination.eq(part.destination + 1)
        with m.If(word_end | numbers_beat):
            m.d.sync += [part.words.eq(part.words - 1), last_word.eq(part.words == 2)]

        scales = m.submodules.scales = LoadScales(self._config)
        m.d.comb += [
            scales.i_words.eq(part.words),
            scales.i_data.eq(beat.payload),
            scales.i_write.eq(takes_scales & beat.valid),
            scales.i_step.eq(step),
        ]
        m.d.sync += takes_scales.eq(in_scales & ~scales.o_complete)
        with m.If(scales.o_complete):
            m.d.sync += in_scales.eq(0)
        with m.If(scales.o_ready):
            m.d.sync += may_step.eq(1)

        values = m.submodules.values = LoadValues(self._config)
        m.d.comb += [
            values.i_step.eq(step),
            values.i_is_q8.eq(is_q8),
            values.i_is_f16.eq(is_f16),
            values.i_quarter.eq(quarter),
            values.i_beat.eq(beat.payload),
            values.i_scale.eq(scales.o_scale),
            values.i_block_starts.eq(scales.o_block_starts),
        ]

        # The next part. Another format must not overtake what is in the converters.
        follows = upcoming_numbers | (upcoming.kind == kind)
        m.d.comb += self.i_parts.ready.eq(
            (word_end & last_word & follows)
            | (((numbers_beat & last_word) | ~active) & (follows | ~values.o_busy))
        )
        with m.If(part_end):
            m.d.sync += [active.eq(0), may_step.eq(0), is_numbers.eq(0)]
        with m.If(self.i_parts.valid & self.i_parts.ready):
            m.d.sync += [
                active.eq(1),
                part.eq(upcoming),
                last_word.eq(upcoming.words == 1),
                is_numbers.eq(upcoming_numbers),
                in_scales.eq(upcoming_q8),
                may_step.eq(~(upcoming_numbers | upcoming_q8)),
            ]
            with m.If(~upcoming_numbers):
                steps = Mux(upcoming.kind == PartKind.F16, half_steps, word_steps)
                m.d.sync += [
                    kind.eq(upcoming.kind),
                    is_q8.eq(upcoming_q8),
                    is_f16.eq(upcoming.kind == PartKind.F16),
                    # A row is whole beats and words.
                    last_quarter.eq(Mux(upcoming_q8, 3, 0)),
                    beat_end.eq(~upcoming_q8),
                    last_slot.eq(steps - 1),
                    last_step.eq(steps == 1),
                ]

        m.d.comb += room_next.eq(room + written - (step & first_step))
        m.d.sync += [room.eq(room_next), has_room.eq(room_next.any())]
        waiting = self._write(m, values, part, word_end, part_end, written)
        m.d.comb += self.o_drained.eq(
            ~(active | self.i_parts.valid | waiting | self.o_done) & (room == WORDS_AT_ONCE)
        )
        return m

    def _write(
        self,
        m: Module,
        values: LoadValues,
        part: Any,
        word_end: Value,
        part_end: Value,
        written: Signal,
    ) -> Value:
        """Words on their way out; whether one waits for the memory. A word's address is noted when
        its last step starts, so that it need not travel with it."""
        places = [Signal(VECTOR_ADDRESS.width + 1, name=f"place_{k}") for k in range(WORDS_AT_ONCE)]
        write_place, read_place = Signal(), Signal()
        with m.If(word_end):
            m.d.sync += [
                Array(places)[write_place].eq(Cat(part.destination, part_end & part.last)),
                write_place.eq(~write_place),
            ]

        # Steps wait for ``written``, so it must not wait for the memory's ready.
        word_shape = data.StructLayout({"write": vector_write(self._config), "last": 1})
        m.submodules.buffer = buffer = ReadyBuffer(word_shape)
        given, word = buffer.i, buffer.o
        full = Signal()
        free = ~given.valid | given.ready
        m.d.comb += [
            written.eq(given.valid & given.ready),
            self.o.valid.eq(word.valid),
            self.o.payload.eq(word.payload.write),
            word.ready.eq(self.o.ready),
        ]
        m.d.sync += [
            self.o_done.eq(word.valid & word.ready & word.payload.last),
            full.eq(values.o_done | (full & ~free)),
        ]
        valid = Signal()
        payload: Any = Signal(word_shape, reset_less=True)
        m.d.comb += [given.valid.eq(valid), given.payload.eq(payload)]
        with m.If(free):
            m.d.sync += valid.eq(full)
            with m.If(full):
                m.d.sync += [
                    payload.write.data.eq(values.o),
                    Cat(payload.write.address, payload.last).eq(Array(places)[read_place]),
                    read_place.eq(~read_place),
                ]
        return buffer.o_full
