# SPDX-License-Identifier: Apache-2.0
"""Converts the beats of loaded rows to words of the vector memory."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.arithmetic import part_of
from weft_rtl.dma.load_rows import LoadPart, PartKind
from weft_rtl.dma.load_scales import LoadScales
from weft_rtl.floating.half_to_float import HalfToFloat
from weft_rtl.floating.integer_to_float import IntegerToFloat
from weft_rtl.floating.multiplier import FloatMultiplier
from weft_rtl.floating.single_to_float import SingleToFloat
from weft_rtl.interfaces import VECTOR_ADDRESS, float_word, vector_write

__all__ = ["LoadConvert"]

WORDS_AT_ONCE = 2
"""Words between their first step and the vector memory: one waits in ``o``, one behind it."""


class LoadConvert(wiring.Component):
    """Follows the parts of the load unit through their beats.

    A step converts ``beat_bytes / 4`` values: a beat of F32, half a beat of F16, a quarter of a
    beat of Q8. Steps of one format follow each other every cycle, also from row to row; another
    format waits until those before it have left the converters. A word starts only when there
    will be room for it, so that the converters never have to be held.

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
        word_steps = 4 * self._config.lanes // self._config.beat_bytes

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
        kind: Any = Signal(PartKind)  # of the last rows: what the converters are working on
        is_q8 = kind == PartKind.Q8

        # Steps.
        in_flight = Signal(IntegerToFloat.LATENCY + FloatMultiplier.LATENCY)
        room = Signal(range(WORDS_AT_ONCE + 1), init=WORDS_AT_ONCE)
        step = Signal()
        word_end = Signal()
        part_end = Signal()
        quarter = Signal(2)
        last_quarter = Signal(2)
        slot = Signal(range(word_steps))
        beat = self.i_beats
        can_step = may_step & ((slot != 0) | room.any())
        numbers_beat = Signal()
        m.d.comb += [
            # ``active`` is in may_step, takes_scales and is_numbers.
            step.eq(can_step & beat.valid),
            word_end.eq(step & (slot == word_steps - 1)),
            numbers_beat.eq(is_numbers & beat.valid),
            part_end.eq((word_end | numbers_beat) & (part.words == 1)),
            beat.ready.eq(is_numbers | takes_scales | (can_step & (quarter == last_quarter))),
            self.o_numbers_write.eq(numbers_beat),
            self.o_numbers_done.eq(numbers_beat & part_end),
        ]
        with m.If(step):
            m.d.sync += [
                quarter.eq(Mux(quarter == last_quarter, 0, quarter + 1)),
                slot.eq(slot + 1),
            ]
        with m.If(word_end):
            m.d.sync += part.destination.eq(part.destination + 1)
        with m.If(word_end | numbers_beat):
            m.d.sync += part.words.eq(part.words - 1)

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

        # The next part. Another format must not overtake what is in the converters.
        may_start = upcoming_numbers | (upcoming.kind == kind) | ~(in_flight.any() | step)
        m.d.comb += self.i_parts.ready.eq((part_end | ~active) & may_start)
        with m.If(part_end):
            m.d.sync += [active.eq(0), may_step.eq(0), is_numbers.eq(0)]
        with m.If(self.i_parts.valid & self.i_parts.ready):
            m.d.sync += [
                active.eq(1),
                part.eq(upcoming),
                is_numbers.eq(upcoming_numbers),
                in_scales.eq(upcoming_q8),
                may_step.eq(~(upcoming_numbers | upcoming_q8)),
            ]
            with m.If(~upcoming_numbers):
                m.d.sync += [
                    kind.eq(upcoming.kind),
                    last_quarter.eq(Array([0, 1, 3, 3])[upcoming.kind.as_value()]),
                ]

        m.d.sync += in_flight.eq(Cat(step, in_flight)[: len(in_flight)])
        values = self._convert(m, kind, quarter, scales)
        values_valid = Mux(is_q8, in_flight[-1], in_flight[0])
        self._collect(m, values, values_valid, part, step & (slot == 0), word_end, part_end, room)
        m.d.comb += self.o_drained.eq(
            ~active & ~self.i_parts.valid & (room == WORDS_AT_ONCE) & ~self.o_done
        )
        return m

    def _convert(self, m: Module, kind: Any, quarter: Signal, scales: LoadScales) -> list[Value]:
        """The converters of all formats; the values of the format in work."""
        is_q8 = kind == PartKind.Q8
        beat = self.i_beats.payload
        values: list[Value] = []
        count = self._config.beat_bytes // 4
        half_step = part_of(beat, quarter[:1], 16 * count)
        code_step = part_of(beat, quarter, 8 * count)
        scale = Signal(24, reset_less=True)
        block_starts = Signal()
        m.d.sync += block_starts.eq(scales.o_block_starts)
        for k in range(count):
            single, half = SingleToFloat(), HalfToFloat()
            code, product = IntegerToFloat(signed(8)), FloatMultiplier()
            m.submodules[f"single_{k}"] = single
            m.submodules[f"half_{k}"] = half
            m.submodules[f"code_{k}"] = code
            m.submodules[f"product_{k}"] = product
            pattern = half_step[16 * k : 16 * (k + 1)]
            m.d.comb += [
                single.i.eq(beat[32 * k : 32 * (k + 1)]),
                # the first converter does the scales, too
                half.i.eq(Mux(is_q8, scales.o_scale, pattern) if k == 0 else pattern),
                code.i.eq(code_step[8 * k : 8 * (k + 1)]),
                product.i_a.eq(code.o),
                product.i_b.eq(scale),
            ]
            if k == 0:
                with m.If(block_starts):
                    m.d.sync += scale.eq(half.o)
            is_f32 = kind == PartKind.F32
            values.append(Mux(is_q8, product.o, Mux(is_f32, single.o, half.o)))
        return values

    def _collect(
        self,
        m: Module,
        values: list[Value],
        values_valid: Value,
        part: Any,
        word_start: Value,
        word_end: Value,
        part_end: Value,
        room: Signal,
    ) -> None:
        """Values to words on their way out. A word's address is noted when its last step starts,
        so that it need not travel with it."""
        word_steps = self._config.lanes // len(values)
        word: Any = Signal(float_word(self._config), reset_less=True)
        bits = word.as_value()
        full = Signal()
        slot = Signal(range(word_steps))
        with m.If(values_valid):
            m.d.sync += [bits.eq(Cat(bits, *values)[-len(bits) :]), slot.eq(slot + 1)]
        word_done = values_valid & (slot == word_steps - 1)

        places = [Signal(VECTOR_ADDRESS.width + 1, name=f"place_{k}") for k in range(WORDS_AT_ONCE)]
        write_place, read_place = Signal(), Signal()
        with m.If(word_end):
            m.d.sync += [
                Array(places)[write_place].eq(Cat(part.destination, part_end & part.last)),
                write_place.eq(~write_place),
            ]

        payload: Any = Signal(self.o.payload.shape(), reset_less=True)
        last = Signal(reset_less=True)
        written = Signal()
        free = ~self.o.valid | self.o.ready
        m.d.comb += [self.o.payload.eq(payload), written.eq(self.o.valid & self.o.ready)]
        m.d.sync += [
            room.eq(room + written - word_start),
            self.o_done.eq(written & last),
            full.eq(word_done | (full & ~free)),
        ]
        with m.If(free):
            m.d.sync += self.o.valid.eq(full)
            with m.If(full):
                m.d.sync += [
                    payload.data.eq(word),
                    Cat(payload.address, last).eq(Array(places)[read_place]),
                    read_place.eq(~read_place),
                ]
