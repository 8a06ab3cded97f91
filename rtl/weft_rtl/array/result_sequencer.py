# SPDX-License-Identifier: Apache-2.0
"""Which tile and row the results that leave the array belong to."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.array.tile import ResultStep, TileResults
from weft_rtl.interfaces import ROW, VECTOR_ADDRESS, PassInitial, strobe_signature

__all__ = ["ResultSequencer"]


class ResultSequencer(wiring.Component):
    """Counts the rows of each tile and makes their addresses; 2 cycles.

    Members
    -------
    i_valid : In(1)
        A row of partial sums has left the array (cycle X of `ScaledAccumulator`).
    i_tiles : stream of TileResults, In
        Always there when a tile's first row comes; taken with it.
    o_first, o_scaled : Out(1)
        In cycle X: it is the first row of a tile; of one with scales.
    o_step : strobe of ResultStep
        In cycle X + 2.
    o_initial_address : Out(VECTOR_ADDRESS)
        With ``o_step``: word of vector memory for ``use_vector_memory``.
    o_top_k_index, o_top_k_limit, o_clear_top_k : Out
        For results with ``to_top_k``, from the cycle after ``o_step`` until the one of the next
        such step, which is TILE_SPACING cycles later.

    Area: about 150 LUT4, 240 flip-flops.
    """

    i_valid: Signal
    i_tiles: stream.Interface
    o_first: Signal
    o_scaled: Signal
    o_step: wiring.PureInterface
    o_initial_address: Signal
    o_top_k_index: Signal
    o_top_k_limit: Signal
    o_clear_top_k: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_valid": In(1),
                "i_tiles": In(stream.Signature(TileResults)),
                "o_first": Out(1),
                "o_scaled": Out(1),
                "o_step": Out(strobe_signature(ResultStep)),
                "o_initial_address": Out(VECTOR_ADDRESS),
                "o_top_k_index": Out(18),
                "o_top_k_limit": Out(18),
                "o_clear_top_k": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # X: rows of a tile
        head = self.i_tiles.payload
        rows_left = Signal(ROW)  # still to come after the last one seen
        tile = Signal(TileResults, reset_less=True)
        valid, first, last_row = Signal(), Signal(), Signal()
        m.d.comb += [
            self.o_first.eq(self.i_valid & (rows_left == 0)),
            self.o_scaled.eq(head.scaled),
            self.i_tiles.ready.eq(self.o_first),
        ]
        m.d.sync += valid.eq(self.i_valid)
        with m.If(self.i_valid):
            m.d.sync += [
                first.eq(self.o_first),
                rows_left.eq(rows_left - 1),
                last_row.eq(rows_left == 1),
            ]
        with m.If(self.o_first):
            m.d.sync += [
                tile.eq(head),
                rows_left.eq(head.rows - 1),
                last_row.eq(head.rows == 1),
            ]

        # X + 1: addresses
        step = self.o_step.payload
        m.d.sync += self.o_step.valid.eq(valid)
        from_vector_memory = tile.initial == PassInitial.VECTOR_MEMORY
        from_accumulator = tile.initial == PassInitial.ACCUMULATOR
        with m.If(valid):
            m.d.sync += [
                step.use_vector_memory.eq(tile.first_k & from_vector_memory),
                step.use_accumulator.eq(~tile.first_k | from_accumulator),
                step.rescale.eq(tile.first_k & from_accumulator),
                step.keep.eq(~tile.last_k | tile.to_accumulator),
                step.to_vector_memory.eq(tile.last_k & tile.to_vector_memory),
                step.to_scores.eq(tile.last_k & tile.to_scores),
                step.to_top_k.eq(tile.last_k & tile.to_top_k),
                step.score_word.eq(tile.score_word),
                step.parity.eq(tile.parity),
                step.tile_end.eq(last_row),
                step.pass_end.eq(last_row & tile.pass_end),
                step.accumulator_address.eq(step.accumulator_address + tile.accumulator_stride),
                step.destination.eq(step.destination + tile.destination_stride),
                step.row.eq(step.row + 1),
                self.o_initial_address.eq(self.o_initial_address + tile.initial_stride),
            ]
        with m.If(valid & first):
            m.d.sync += [
                step.accumulator_address.eq(tile.accumulator_address),
                step.destination.eq(tile.destination),
                step.row.eq(0),
                self.o_initial_address.eq(tile.initial_address),
            ]

        # X + 2: what belongs to the next result that goes to the top-k list
        with m.If(self.o_step.valid & step.to_top_k):
            m.d.sync += [
                self.o_top_k_index.eq(tile.top_k_index),
                self.o_top_k_limit.eq(tile.top_k_limit),
                self.o_clear_top_k.eq(tile.clear_top_k),
            ]
        return m
