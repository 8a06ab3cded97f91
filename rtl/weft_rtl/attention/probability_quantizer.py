# SPDX-License-Identifier: Apache-2.0
"""Probabilities to quantised blocks."""

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.blocks import MIN_EXPONENT
from weft_arch.config import BLOCK, Configuration
from weft_rtl.attention.flags import delay
from weft_rtl.attention.score_buffer import probability_lanes
from weft_rtl.floating.formats import F24, FLOAT, pipeline
from weft_rtl.floating.quantizer import Quantizer, block_exponent
from weft_rtl.interfaces import (
    ACTIVATION_ADDRESS,
    ROW,
    activation_write,
    strobe_signature,
)

__all__ = ["ProbabilityQuantizer"]


class ProbabilityQuantizer(wiring.Component):
    """Quantises each row's 32 values as one block: `weft_arch.blocks.quantize`.

    The values wait in a small memory while the largest exponent is found. One word per cycle;
    the block comes 32/lanes + log2(lanes) + 3 cycles after the row's last word.

    Members
    -------
    i_start : In(1)
        The next word is of row 0.
    i_valid, i_first_word, i_last_word : In(1)
        About the word at ``i_floats``.
    i_floats : In(ArrayLayout(F24, lanes))
        Values, not negative.
    i_base : In(ACTIVATION_ADDRESS)
        Activation block of row 0.
    i_last_row : In(ROW)
        Rows of the job less one.
    o : Out(strobe of activation_write)
        Not registered; at most one in 32/lanes cycles.
    o_last : Out(1)
        The block at ``o`` is of the last row.
    o_enough : Out(1)
        The rows after that of the block at ``o`` take no more cycles than the job has rows: a
        reader of a row per cycle may begin.

    Area (8 lanes): 350 LUT4, 80 CCU2C, 23 LUT RAMs.
    """

    i_start: Signal
    i_valid: Signal
    i_first_word: Signal
    i_last_word: Signal
    i_floats: data.View
    i_base: Signal
    i_last_row: Signal
    o: wiring.PureInterface
    o_last: Signal
    o_enough: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        self._lanes = probability_lanes(config)
        super().__init__(
            {
                "i_start": In(1),
                "i_valid": In(1),
                "i_first_word": In(1),
                "i_last_word": In(1),
                "i_floats": In(data.ArrayLayout(FLOAT, self._lanes)),
                "i_base": In(ACTIVATION_ADDRESS),
                "i_last_row": In(ROW),
                "o": Out(strobe_signature(activation_write(config))),
                "o_last": Out(1),
                "o_enough": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._lanes
        words = BLOCK // lanes
        bits = self._config.activation_bits
        tree = (lanes - 1).bit_length()

        # Largest exponent: over the lanes, then over the words, then as the block's.
        word_largest = self._largest(m)
        largest = Signal(8, reset_less=True)
        first_word = pipeline(m, self.i_first_word, tree, "first_word")
        m.d.sync += largest.eq(Mux(first_word | (word_largest > largest), word_largest, largest))
        exponent = Signal(signed(8), reset_less=True)
        with m.If(delay(m, self.i_last_word, tree + 1, "found")):
            m.d.sync += exponent.eq(block_exponent(largest, bits, MIN_EXPONENT))

        # The row's first word leaves the delay memory when the exponent is there.
        wait = words + tree + 1
        values = self._delayed(m, wait)
        codes = []
        for lane in range(lanes):
            quantizer = Quantizer(bits)
            m.submodules[f"quantizer_{lane}"] = quantizer
            m.d.comb += [
                quantizer.i.eq(values[lane]),
                quantizer.i_exponent.eq(exponent),
            ]
            codes.append(quantizer.o)
        word = Cat(*codes)
        latency = wait + Quantizer.LATENCY
        collected = Signal(len(word) * (words - 1), reset_less=True)
        m.d.sync += collected.eq(Cat(collected, word)[len(word) :])
        complete = delay(m, self.i_valid & self.i_last_word, latency, "complete")

        row = Signal(range(self._config.max_rows))
        enough_row = Signal.like(self.i_last_row, reset_less=True)
        rows = self.i_last_row + 1
        m.d.sync += enough_row.eq(self.i_last_row - (rows >> (words.bit_length() - 1)))
        with m.If(self.i_start):
            m.d.sync += row.eq(0)
        with m.Elif(complete):
            m.d.sync += row.eq(row + 1)
        m.d.comb += [
            self.o.valid.eq(complete),
            self.o.payload.address.eq(self.i_base + row),
            self.o.payload.block.codes.eq(Cat(collected, word)),
            self.o.payload.block.exponent.eq(
                pipeline(m, exponent, Quantizer.LATENCY, "block_exponent")
            ),
            self.o_last.eq(row == self.i_last_row),
            self.o_enough.eq(row == enough_row),
        ]
        return m

    def _largest(self, m: Module) -> Value:
        """The largest exponent field of the lanes, log2(lanes) cycles later."""
        level: list[Value] = [F24(value).exponent for value in self.i_floats]
        while len(level) > 1:
            step = len(level) // 2
            larger = []
            for k in range(step):
                result = Signal(8, name=f"larger_{step}_{k}", reset_less=True)
                a, b = level[k], level[k + step]
                m.d.sync += result.eq(Mux(a > b, a, b))
                larger.append(result)
            level = larger
        return level[0]

    def _delayed(self, m: Module, cycles: int) -> list[Value]:
        """The lanes' values ``cycles`` later, through a memory; without the sign, which is 0."""
        lanes, bits = self._lanes, FLOAT.width - 1
        depth = max(16, 1 << (cycles - 1).bit_length())
        m.submodules.delay = memory = Memory(shape=unsigned(bits * lanes), depth=depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        here = Signal(range(depth))
        output = Signal(bits * lanes, reset_less=True)
        m.d.comb += [
            write.en.eq(1),
            write.addr.eq(here),
            write.data.eq(Cat(value[:bits] for value in self.i_floats)),
            read.addr.eq(here - (cycles - 1)),
        ]
        m.d.sync += [here.eq(here + 1), output.eq(read.data)]
        return [output[bits * k : bits * (k + 1)] for k in range(lanes)]
