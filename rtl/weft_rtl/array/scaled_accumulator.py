# SPDX-License-Identifier: Apache-2.0
"""From integer partial sums to accumulated floats."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.floating.adder import FloatAdder
from weft_rtl.floating.formats import F24
from weft_rtl.floating.half_to_float import HalfToFloat
from weft_rtl.floating.integer_to_float import IntegerToFloat
from weft_rtl.floating.multiplier import FloatMultiplier
from weft_rtl.interfaces import float_word

__all__ = ["ScaledAccumulator", "rescaled"]

ONE = 127 << 15
"""The F24 pattern of 1."""


def rescaled(pattern: Signal, shift: Signal) -> tuple[Cat, Signal]:
    """``pattern`` with ``shift`` taken off its exponent, and whether that is to be flushed to 0."""
    value = F24(pattern)
    exponent = value.exponent - shift
    return Cat(value.fraction, exponent[:8], value.sign), exponent <= 0


class ScaledAccumulator(wiring.Component):
    """``o = addend + partial_sum * scale * 2**exponent`` in every lane: `blocks.accumulate`.

    One row per cycle; with X the cycle of a row's partial sums::

        X        partial sums in; first row of a tile: scales in
        X + 2    exponent in; sum and scale are floats
        X + 4    addend in: a word of the accumulator memory or of vector memory
        X + 5    the scaled term and the (rescaled) addend enter the adder
        X + 9    result (`LATENCY`)

    Members
    -------
    i_partial_sums : In(array_cols x signed(partial_sum_width))
        In cycle X.
    i_scales : In(array_cols x 16)
        float16 patterns; in cycle X of the tile's first row.
    i_load_scales, i_unit_scales : In(1), In(1)
        In cycle X of the tile's first row: take the scales; they are 1 instead.
    i_exponent : In(signed(8))
        In cycle X + 2.
    i_accumulators, i_vector_word, i_rescale : In(word), In(word), In(8)
        In cycle X + 4: the addends to choose from, and how far to scale down the accumulators.
    i_use_accumulator, i_use_vector_memory, i_use_rescale : In(1)
        In cycle X + 4: which addend; 0 if none. Rescaling is for accumulators only.
    o : Out(word)
        In cycle X + 9.

    From accumulators in to results out are 5 cycles. Area per lane: about 850 LUT4 and one
    MULT18X18D.
    """

    LATENCY = 9

    i_partial_sums: data.View
    i_scales: data.View
    i_load_scales: Signal
    i_unit_scales: Signal
    i_exponent: Signal
    i_accumulators: data.View
    i_vector_word: data.View
    i_rescale: Signal
    i_use_accumulator: Signal
    i_use_vector_memory: Signal
    i_use_rescale: Signal
    o: data.View

    def __init__(self, config: Configuration) -> None:
        self._config = config
        word = float_word(config)
        super().__init__(
            {
                "i_partial_sums": In(
                    data.ArrayLayout(signed(config.partial_sum_width), config.array_cols)
                ),
                "i_scales": In(data.ArrayLayout(16, config.array_cols)),
                "i_load_scales": In(1),
                "i_unit_scales": In(1),
                "i_exponent": In(signed(8)),
                "i_accumulators": In(word),
                "i_vector_word": In(word),
                "i_rescale": In(8),
                "i_use_accumulator": In(1),
                "i_use_vector_memory": In(1),
                "i_use_rescale": In(1),
                "o": Out(word),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        load, unit = Signal(), Signal()
        shift = Signal(8)
        m.d.sync += [load.eq(self.i_load_scales), unit.eq(self.i_unit_scales)]
        m.d.comb += shift.eq(Mux(self.i_use_rescale, self.i_rescale, 0))
        for lane in range(self._config.array_cols):
            m.submodules[f"to_float_{lane}"] = to_float = IntegerToFloat(
                signed(self._config.partial_sum_width)
            )
            m.submodules[f"scale_{lane}"] = half = HalfToFloat()
            m.submodules[f"multiplier_{lane}"] = multiplier = FloatMultiplier(exponent_width=8)
            m.submodules[f"adder_{lane}"] = adder = FloatAdder()
            scale = Signal(24, name=f"scale_{lane}", reset_less=True)
            addend = Signal(24, name=f"addend_{lane}", reset_less=True)
            own = self.i_accumulators[lane]
            value, flush = rescaled(own, shift)
            with m.If(load):
                m.d.sync += scale.eq(Mux(unit, ONE, half.o))
            m.d.comb += [
                to_float.i.eq(self.i_partial_sums[lane]),
                half.i.eq(self.i_scales[lane]),
                multiplier.i_a.eq(to_float.o),
                multiplier.i_b.eq(scale),
                multiplier.i_exponent.eq(self.i_exponent),
                adder.i_a.eq(multiplier.o),
                adder.i_b.eq(addend),
                adder.i_subtract.eq(0),
                self.o[lane].eq(adder.o),
            ]
            m.d.sync += addend.eq(
                Mux(
                    self.i_use_vector_memory,
                    self.i_vector_word[lane],
                    Mux(self.i_use_accumulator & ~flush, value, 0),
                )
            )
        return m
