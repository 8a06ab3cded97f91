# SPDX-License-Identifier: Apache-2.0
"""Passes to tiles."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.array.tile import Tile
from weft_rtl.interfaces import ArrayPass, PassInitial, TileSource

__all__ = ["TileSequencer"]


_UNCHANGED = (
    "rows",
    "initial",
    "initial_address",
    "initial_stride",
    "accumulator_stride",
    "destination",
    "destination_stride",
    "to_vector_memory",
    "to_accumulator",
    "to_scores",
    "to_top_k",
    "top_k_limit",
    "parity",
)
"""Fields of a pass that its tiles have, too."""


class TileSequencer(wiring.Component):
    """Walks through the tiles of one pass after the other; all addresses are running sums.

    Members
    -------
    i : stream of ArrayPass, In
        Taken when the last tile of the pass before is.
    o : stream of Tile, Out
        For n in n_tiles, for k in k_blocks; one per cycle.
    o_busy : Out(1)
        A pass is in work.

    Area: about 660 LUT4, 210 flip-flops.
    """

    i: stream.Interface
    o: stream.Interface
    o_busy: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(ArrayPass)),
                "o": Out(stream.Signature(Tile)),
                "o_busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current = Signal(ArrayPass, reset_less=True)
        k_left = Signal(10, reset_less=True)  # tiles after this one in the row of tiles
        n_left = Signal(16, reset_less=True)
        first_k = Signal(reset_less=True)
        first_tile = Signal(reset_less=True)
        feed_address = Signal.like(current.activation_base, reset_less=True)
        last_k = Signal(reset_less=True)  # k_left is 0
        last_n = Signal(reset_less=True)  # n_left is 0
        last_tile = last_k & last_n

        tile = self.o.payload
        m.d.comb += [
            self.o.valid.eq(self.o_busy),
            tile.source.eq(current.source),
            tile.has_header.eq(current.has_header & first_tile),
            tile.feed.address.eq(feed_address),
            tile.feed.stride.eq(current.activation_stride),
            tile.feed.rows.eq(current.rows),
            tile.feed.settle.eq(first_tile & (current.initial == PassInitial.VECTOR_MEMORY)),
            tile.results.scaled.eq(current.source != TileSource.VALUES),
            tile.results.first_k.eq(first_k),
            tile.results.last_k.eq(last_k),
            tile.results.accumulator_address.eq(current.accumulator_base),
            tile.results.clear_top_k.eq(current.clear_top_k),
            tile.results.top_k_index.eq(current.top_k_base),
            tile.results.pass_end.eq(last_tile & current.last),
        ]
        for name in _UNCHANGED:
            m.d.comb += tile.results[name].eq(current[name])
        score_word = Signal(3, reset_less=True)
        m.d.comb += tile.results.score_word.eq(score_word)

        taken = self.o.valid & self.o.ready
        m.d.comb += self.i.ready.eq(~self.o_busy | (taken & last_tile))
        with m.If(taken):
            m.d.sync += [
                first_tile.eq(0),
                first_k.eq(last_k),
                k_left.eq(k_left - 1),
                last_k.eq(k_left == 1),
                # Of two tiles for one block, the first leaves an odd number behind it.
                feed_address.eq(feed_address + ~(current.activation_twice & k_left[0])),
            ]
            with m.If(last_k):
                # What belongs to the output channels moves on to the next ones.
                m.d.sync += [
                    k_left.eq(current.k_blocks - 1),
                    last_k.eq(current.k_blocks == 1),
                    n_left.eq(n_left - 1),
                    last_n.eq(n_left == 1),
                    feed_address.eq(current.activation_base),
                    current.initial_address.eq(current.initial_address + 1),
                    current.destination.eq(current.destination + 1),
                    current.accumulator_base.eq(
                        current.accumulator_base + current.accumulator_per_tile
                    ),
                    current.top_k_base.eq(current.top_k_base + self._config.array_cols),
                    current.clear_top_k.eq(0),
                    score_word.eq(score_word + 1),
                ]
            with m.If(last_tile):
                m.d.sync += self.o_busy.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.o_busy.eq(1),
                current.eq(self.i.payload),
                k_left.eq(self.i.payload.k_blocks - 1),
                last_k.eq(self.i.payload.k_blocks == 1),
                n_left.eq(self.i.payload.n_tiles - 1),
                last_n.eq(self.i.payload.n_tiles == 1),
                first_k.eq(1),
                first_tile.eq(1),
                feed_address.eq(self.i.payload.activation_base),
                score_word.eq(0),
            ]
        return m
