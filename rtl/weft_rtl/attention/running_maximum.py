# SPDX-License-Identifier: Apache-2.0
"""The running maximum of each query row, and by how much it rises."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch.attention import MAX_RESCALE, NO_MAXIMUM, SCORE_BITS
from weft_arch.functions import SCORE_FRACTION_BITS
from weft_rtl.attention.exponential import RUNNING_MAX
from weft_rtl.attention.flags import delay
from weft_rtl.attention.score_buffer import MAXIMUM
from weft_rtl.floating.float_to_fixed import FloatToFixed
from weft_rtl.floating.formats import pipeline
from weft_rtl.memory.block_memory import block_memory, block_read

__all__ = ["RunningMaximum"]


class RunningMaximum(wiring.Component):
    """new = max(old, block maximum rounded up); rescale = min(new - old, 255), 0 for the first.

    One row in at least four cycles; the same row may come again `LATENCY` cycles later.

    Members
    -------
    i_valid : In(1)
        ``i_row`` is a row to work on.
    i_row : In(range(max_rows))
    i_block_maximum : In(MAXIMUM)
        Largest score of the row's block, `MAXIMUM_CYCLE` = 2 cycles later than the row.
    i_first : In(1)
        No history.
    o_maximum : Out(RUNNING_MAX)
        New maximum, `LATENCY` = 8 cycles after the row, until the next row's.
    o_rescale : Out(8)
        With ``o_maximum``.
    o_valid, o_row : Out
        One cycle with the first cycle of these.

    Area: about 400 LUT4 and its memory as distributed RAM.
    """

    LATENCY = 8
    MAXIMUM_CYCLE = 2

    i_valid: Signal
    i_row: Signal
    i_block_maximum: Signal
    i_first: Signal
    o_maximum: Signal
    o_rescale: Signal
    o_valid: Signal
    o_row: Signal

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        super().__init__(
            {
                "i_valid": In(1),
                "i_row": In(range(max_rows)),
                "i_block_maximum": In(MAXIMUM),
                "i_first": In(1),
                "o_maximum": Out(RUNNING_MAX),
                "o_rescale": Out(8),
                "o_valid": Out(1),
                "o_row": Out(range(max_rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # 2 to 3: back to a float. 3 to 5: to fixed point. 5 to 6: round up.
        sortable = self.i_block_maximum
        pattern = Signal(len(sortable), reset_less=True)
        m.submodules.to_fixed = to_fixed = FloatToFixed(SCORE_FRACTION_BITS, SCORE_BITS)
        m.d.comb += to_fixed.i.eq(pattern)
        m.d.sync += pattern.eq(Mux(sortable[-1], sortable ^ (1 << 23), ~sortable))
        nothing = pipeline(m, ~sortable.any(), 3, "nothing")
        whole = to_fixed.o[SCORE_FRACTION_BITS:].as_signed()
        block_max = Signal(RUNNING_MAX, reset_less=True)
        m.d.sync += block_max.eq(
            Mux(nothing, NO_MAXIMUM, whole + to_fixed.o[:SCORE_FRACTION_BITS].any())
        )

        # 3 to 6: the old one
        row_3 = pipeline(m, self.i_row, 3, "row")
        m.submodules.maxima = memory = block_memory(RUNNING_MAX, self._max_rows)
        write = memory.write_port()
        old = Signal(RUNNING_MAX, reset_less=True)
        stored = block_read(m, memory, row_3, "stored")
        m.d.sync += old.eq(Mux(self.i_first, NO_MAXIMUM, stored))

        # 6 to 7: difference
        rise = Signal(signed(RUNNING_MAX.width + 1), reset_less=True)
        has_history = pipeline(m, old != NO_MAXIMUM, 1, "has_history")
        block_max_7 = pipeline(m, block_max, 1, "block_max")
        old_7 = pipeline(m, old, 1, "old")
        m.d.sync += rise.eq(block_max - old)

        # 7 to 8: result
        valid = delay(m, self.i_valid, self.LATENCY - 1, "valid")
        row_7 = pipeline(m, row_3, self.LATENCY - 4, "row_late")
        rises = (rise > 0) & has_history
        with m.If(valid):
            m.d.sync += [
                self.o_maximum.eq(Mux(rise < 0, old_7, block_max_7)),
                self.o_rescale.eq(Mux(rises, Cat(rise[:8] | rise[8:-1].any().replicate(8)), 0)),
                self.o_row.eq(row_7),
            ]
        m.d.sync += self.o_valid.eq(valid)
        m.d.comb += [
            write.en.eq(self.o_valid),
            write.addr.eq(self.o_row),
            write.data.eq(self.o_maximum),
        ]
        assert (1 << len(self.o_rescale)) - 1 == MAX_RESCALE
        return m
