# SPDX-License-Identifier: Apache-2.0
"""Converts beats of any row format to words of floats."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.arithmetic import part_of
from weft_rtl.floating.half_to_float import HalfToFloat
from weft_rtl.floating.integer_to_float import IntegerToFloat
from weft_rtl.floating.multiplier import FloatMultiplier
from weft_rtl.floating.single_to_float import SingleToFloat
from weft_rtl.interfaces import float_word

__all__ = ["LoadValues"]


class LoadValues(wiring.Component):
    """Takes a beat of F16 or F32, or a quarter of a beat of Q8, in every cycle with ``i_step``.

    Words are put together from halves of a beat's worth of F16: two steps of F32 or Q8 make one.

    Members
    -------
    i_step : In(1)
        Convert what is in ``i_beat``; ``i_quarter`` says which quarter of it, for Q8.
    i_is_q8, i_is_f16 : In(1)
        The format, else F32; it must not change while ``o_busy``, nor with ``i_step``. Give
        registers: all that is converted waits for them.
    i_scale, i_block_starts : In
        The float16 scale of a Q8 block, with its first step.
    o : Out(float_word)
    o_done : Out(1)
        ``o`` is a whole word from the next cycle on, until the first values of another are put in.
    o_busy : Out(1)
        Values of earlier steps are in work.

    From a word's last step to ``o_done``: 1 cycle (F32, F16) or 5 (Q8).
    """

    i_step: Signal
    i_is_q8: Signal
    i_is_f16: Signal
    i_quarter: Signal
    i_beat: Signal
    i_scale: Signal
    i_block_starts: Signal
    o: Any
    o_done: Signal
    o_busy: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_step": In(1),
                "i_is_q8": In(1),
                "i_is_f16": In(1),
                "i_quarter": In(2),
                "i_beat": In(8 * config.beat_bytes),
                "i_scale": In(16),
                "i_block_starts": In(1),
                "o": Out(float_word(config)),
                "o_done": Out(1),
                "o_busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        in_flight = Signal(IntegerToFloat.LATENCY + FloatMultiplier.LATENCY)
        m.d.sync += in_flight.eq(Cat(self.i_step, in_flight)[: len(in_flight)])
        m.d.comb += self.o_busy.eq(in_flight.any())
        is_q8 = self.i_is_q8
        valid = Mux(is_q8, in_flight[-1], in_flight[0])

        halves = self._halves(m)
        singles = self._singles(m)
        codes = self._codes(m, halves[0])
        values = [Mux(is_q8, code, single) for code, single in zip(codes, singles, strict=True)]
        self._assemble(m, halves, values, valid)
        return m

    def _halves(self, m: Module) -> list[Value]:
        """A beat of F16; the first converter does the scales of Q8, too."""
        found: list[Value] = []
        for k in range(self._config.beat_bytes // 2):
            m.submodules[f"half_{k}"] = half = HalfToFloat()
            pattern = self.i_beat[16 * k : 16 * (k + 1)]
            if k == 0:
                pattern = Mux(self.i_is_q8, self.i_scale, pattern)
            m.d.comb += half.i.eq(pattern)
            found.append(half.o)
        return found

    def _singles(self, m: Module) -> list[Value]:
        """A beat of F32."""
        found: list[Value] = []
        for k in range(self._config.beat_bytes // 4):
            m.submodules[f"single_{k}"] = single = SingleToFloat()
            m.d.comb += single.i.eq(self.i_beat[32 * k : 32 * (k + 1)])
            found.append(single.o)
        return found

    def _codes(self, m: Module, scale_now: Value) -> list[Value]:
        """A quarter of a beat of Q8, times the block's scale."""
        scale = Signal(24, reset_less=True)
        block_starts = Signal()
        m.d.sync += block_starts.eq(self.i_block_starts)
        with m.If(block_starts):
            m.d.sync += scale.eq(scale_now)
        count = self._config.beat_bytes // 4
        quarter = part_of(self.i_beat, self.i_quarter, 8 * count)
        found: list[Value] = []
        for k in range(count):
            m.submodules[f"code_{k}"] = code = IntegerToFloat(signed(8))
            m.submodules[f"product_{k}"] = product = FloatMultiplier()
            m.d.comb += [
                code.i.eq(quarter[8 * k : 8 * (k + 1)]),
                product.i_a.eq(code.o),
                product.i_b.eq(scale),
            ]
            found.append(product.o)
        return found

    def _assemble(self, m: Module, halves: list[Value], values: list[Value], valid: Value) -> None:
        """Shift pieces into the word: a step of F16, or two steps of another format."""
        is_f16 = self.i_is_f16
        earlier = Signal(24 * len(values), reset_less=True)
        second = Signal()  # ``earlier`` waits for the other half of its piece
        piece = Mux(is_f16, Cat(*halves), Cat(earlier, *values))
        piece_valid = valid & (is_f16 | second)
        with m.If(valid & ~is_f16):
            m.d.sync += [earlier.eq(Cat(*values)), second.eq(~second)]

        pieces = self._config.lanes // len(halves)
        place = Signal(range(pieces))
        word = self.o.as_value()
        with m.If(piece_valid):
            m.d.sync += [word.eq(Cat(word, piece)[-len(word) :]), place.eq(place + 1)]
        m.d.comb += self.o_done.eq(piece_valid & (place == pieces - 1))
