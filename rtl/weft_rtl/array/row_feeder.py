# SPDX-License-Identifier: Apache-2.0
"""Tiles to rows."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.array.tile import TileFeed
from weft_rtl.interfaces import ACTIVATION_ADDRESS, ROW, TILE_SPACING

__all__ = ["SETTLE_CYCLES", "RowFeeder"]

SETTLE_CYCLES = 10
"""Cycles from the last row of a pass to the first row of one that starts from words of vector
memory, so that it sees what the former wrote."""


class RowFeeder(wiring.Component):
    """Requests the activation rows of one tile after the other, one per cycle.

    A tile starts in the cycle after the last row of the one before it, but not earlier than
    TILE_SPACING cycles after that one's start. Its first row is requested one cycle after ``i``
    was taken.

    Members
    -------
    i : stream of TileFeed, In
    o_valid, o_address : Out(1), Out(ACTIVATION_ADDRESS)
        Request of a row.
    o_first : Out(1)
        The row is the first of its tile.
    o_busy : Out(1)
        A row is being requested, or a tile could not start yet for TILE_SPACING.
    """

    i: stream.Interface
    o_valid: Signal
    o_address: Signal
    o_first: Signal
    o_busy: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(TileFeed)),
                "o_valid": Out(1),
                "o_address": Out(ACTIVATION_ADDRESS),
                "o_first": Out(1),
                "o_busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tile = self.i.payload
        rows_left = Signal(ROW)  # after the one being requested
        stride = Signal(10, reset_less=True)
        last_row = Signal(init=1)  # rows_left is 0
        # Cycles until a tile may start: ones that run out.
        spacing = Signal(TILE_SPACING - 1)
        settling = Signal(range(SETTLE_CYCLES))  # the same for one that needs settled results
        settles = Signal()  # settling is not 0
        free = Signal()
        m.d.comb += [
            free.eq((~self.o_valid | last_row) & ~spacing[0]),
            self.i.ready.eq(free & ~(tile.settle & (self.o_valid | settles))),
            self.o_busy.eq(self.o_valid | spacing[0]),
        ]
        m.d.sync += spacing.eq(spacing >> 1)
        with m.If(self.o_valid):
            m.d.sync += [settling.eq(SETTLE_CYCLES - 2), settles.eq(1)]
        with m.Elif(settles):
            m.d.sync += [settling.eq(settling - 1), settles.eq(settling != 1)]
        with m.If(self.o_valid):
            m.d.sync += [
                self.o_first.eq(0),
                self.o_address.eq(self.o_address + stride),
                rows_left.eq(rows_left - 1),
                last_row.eq(rows_left == 1),
            ]
            with m.If(last_row):
                m.d.sync += [self.o_valid.eq(0), rows_left.eq(0), last_row.eq(1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.o_valid.eq(1),
                self.o_first.eq(1),
                self.o_address.eq(tile.address),
                stride.eq(tile.stride),
                rows_left.eq(tile.rows - 1),
                last_row.eq(tile.rows == 1),
                spacing.eq(~0),
            ]
        return m
