# SPDX-License-Identifier: Apache-2.0
"""The running sum of each query row's probabilities."""

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.attention import SUM_FRACTION_BITS
from weft_arch.config import BLOCK
from weft_rtl.attention.exponential import P_FIXED
from weft_rtl.attention.flags import delay
from weft_rtl.floating.adder import FloatAdder
from weft_rtl.floating.formats import F24, FLOAT, pipeline
from weft_rtl.floating.integer_to_float import IntegerToFloat
from weft_rtl.floating.reciprocal import FloatReciprocal
from weft_rtl.interfaces import ROW, row_scalar_write, strobe_signature
from weft_rtl.memory.block_memory import block_memory, block_read

__all__ = ["RunningSum"]


class RunningSum(wiring.Component):
    """sum = sum * 2**-rescale + F24(sum of the block's 32 probabilities), row after row.

    The sum of a block is an exact integer. One word per cycle; a row is finished 13 + log2(lanes)
    cycles after its last word. The same row may come again only after ``o_done``.

    Members
    -------
    i_start : In(1)
        The next word is of row 0.
    i_valid, i_first_word, i_last_word : In(1)
        About the word at ``i_fixed``.
    i_fixed : In(ArrayLayout(25, lanes))
        Probabilities with 24 fraction bits.
    i_rescale : In(8)
        Of the row, `RESCALE_CYCLE` cycles after its last word.
    i_first : In(1)
        No history: the sum starts from 0.
    i_final : In(1)
        Send the reciprocals.
    i_row_scalar : In(8)
        Row scalar of row 0.
    i_last_row : In(ROW)
        Rows of the job less one.
    o_row_scalar : Out(strobe of row_scalar_write)
        reciprocal(sum) of each row when ``i_final``.
    o_done : Out(1)
        Pulse: the last row is finished.

    Area (4 lanes): about 1,000 LUT4, 1 block RAM and a small memory as distributed RAM.
    """

    i_start: Signal
    i_valid: Signal
    i_first_word: Signal
    i_last_word: Signal
    i_fixed: data.View
    i_rescale: Signal
    i_first: Signal
    i_final: Signal
    i_row_scalar: Signal
    i_last_row: Signal
    o_row_scalar: wiring.PureInterface
    o_done: Signal

    def __init__(self, lanes: int, max_rows: int) -> None:
        self._max_rows = max_rows
        self._tree = (lanes - 1).bit_length()
        self.rescale_cycle = self._tree + 3
        super().__init__(
            {
                "i_start": In(1),
                "i_valid": In(1),
                "i_first_word": In(1),
                "i_last_word": In(1),
                "i_fixed": In(data.ArrayLayout(P_FIXED, lanes)),
                "i_rescale": In(8),
                "i_first": In(1),
                "i_final": In(1),
                "i_row_scalar": In(8),
                "i_last_row": In(ROW),
                "o_row_scalar": Out(strobe_signature(row_scalar_write())),
                "o_done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tree = self._tree

        # Block sum: over the lanes, then over the words.
        word_sum = self._sum_lanes(m)
        block_sum = Signal(P_FIXED + (BLOCK - 1).bit_length(), reset_less=True)
        first_word = pipeline(m, self.i_first_word, tree, "first_word")
        m.d.sync += block_sum.eq(word_sum + Mux(first_word, 0, block_sum))
        m.submodules.to_float = to_float = IntegerToFloat(
            unsigned(len(block_sum)), -SUM_FRACTION_BITS
        )
        m.d.comb += to_float.i.eq(block_sum)
        summed = delay(m, self.i_valid & self.i_last_word, tree + 1, "summed")

        # Rows are in order, so counters name them.
        read_row = self._count(m, summed, "read_row")
        m.submodules.sums = memory = block_memory(FLOAT, self._max_rows)
        write = memory.write_port()
        old = block_read(m, memory, read_row, "old")

        # Old sum times 2**-rescale: exact, or flushed to 0.
        scaled = Signal(FLOAT, reset_less=True)
        exponent = Signal(9)
        m.d.comb += exponent.eq(F24(old).exponent - self.i_rescale)
        keeps = ~exponent[8] & exponent.any() & ~self.i_first
        m.d.sync += scaled.eq(Mux(keeps, Cat(F24(old).fraction, exponent[:8]), 0))

        m.submodules.adder = adder = FloatAdder()
        m.d.comb += [
            adder.i_a.eq(scaled),
            adder.i_b.eq(pipeline(m, to_float.o, 1, "block_sum_float")),
        ]
        added = delay(m, summed, 3 + FloatAdder.LATENCY, "added")
        write_row = self._count(m, added, "write_row")
        m.d.comb += [write.en.eq(added), write.addr.eq(write_row), write.data.eq(adder.o)]

        m.submodules.reciprocal = reciprocal = FloatReciprocal()
        m.d.comb += reciprocal.i.eq(adder.o)
        finished = delay(m, added, FloatReciprocal.LATENCY, "finished")
        row = self._count(m, finished, "row")
        m.d.comb += [
            self.o_row_scalar.valid.eq(finished & self.i_final),
            self.o_row_scalar.payload.value.eq(reciprocal.o),
            self.o_row_scalar.payload.address.eq(self.i_row_scalar + row),
            self.o_done.eq(finished & (row == self.i_last_row)),
        ]
        return m

    def _sum_lanes(self, m: Module) -> Value:
        """The sum over the lanes, log2(lanes) cycles later."""
        level: list[Value] = list(self.i_fixed)
        while len(level) > 1:
            step = len(level) // 2
            sums = []
            for k in range(step):
                result = Signal(len(level[0]) + 1, name=f"sum_{step}_{k}", reset_less=True)
                m.d.sync += result.eq(level[k] + level[k + step])
                sums.append(result)
            level = sums
        return level[0]

    def _count(self, m: Module, event: Value, name: str) -> Signal:
        """How many rows have passed a stage."""
        count = Signal(range(self._max_rows), name=name)
        with m.If(self.i_start):
            m.d.sync += count.eq(0)
        with m.Elif(event):
            m.d.sync += count.eq(count + 1)
        return count
