# SPDX-License-Identifier: Apache-2.0
"""The parts of the weight stream: reserving room for a segment, and telling its beats apart.

A segment is contiguous memory of one kind: a 32-byte header if it has one, then tiles, each scales
if it has them, then codes.
"""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.memory.weight_buffer import (
    code_word_depth,
    freed_at_once,
    scale_tile_depth,
    weight_beat,
)

__all__ = ["BeatTagger", "RoomKeeper", "StreamSegment"]


class StreamSegment(data.Struct):
    """What the bytes of one transfer of the stream are."""

    tiles: 24
    """at least 1"""
    has_header: 1
    has_scales: 1
    half_codes: 1
    """4-bit codes: half as many code beats"""
    last: 1
    """the instruction's last segment"""


class RoomKeeper(wiring.Component):
    """Reserves places of the weight buffer for segments, tile by tile, ahead of their bursts.

    Members
    -------
    i : stream of StreamSegment, In
    i_code_word_freed, i_scale_tile_freed : In(range(freed_at_once(config) + 1))
        The weight buffer's credit returns.
    o_granted : Out(range(...))
        Beats reserved in this cycle, a tile's or a header's.

    One tile per cycle.
    """

    i: stream.Interface
    i_code_word_freed: Signal
    i_scale_tile_freed: Signal
    o_granted: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        self.max_grant = config.tile_bytes(8) // config.beat_bytes
        freed = range(freed_at_once(config) + 1)
        super().__init__(
            {
                "i": In(stream.Signature(StreamSegment)),
                "i_code_word_freed": In(freed),
                "i_scale_tile_freed": In(freed),
                "o_granted": Out(range(self.max_grant + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cols, beat_bytes = self._config.array_cols, self._config.beat_bytes
        scale_beats = self._config.scale_beats
        code_beats = BLOCK * cols // beat_bytes
        code_depth, scale_depth = code_word_depth(self._config), scale_tile_depth(self._config)
        code_room = Signal(range(code_depth + 1), init=code_depth)
        scale_room = Signal(range(scale_depth + 1), init=scale_depth)

        active = Signal()
        segment: Any = Signal(StreamSegment, reset_less=True)
        m.d.comb += self.i.ready.eq(~active)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [active.eq(1), segment.eq(self.i.payload)]

        # A tile takes array_cols code words, or half of it: powers of two, so that its room is
        # there if any upper bit of the counter is set.
        cols_bits = cols.bit_length() - 1
        enough_codes = Mux(
            segment.half_codes, code_room[cols_bits - 1 :].any(), code_room[cols_bits:].any()
        )
        reserve_header = Signal()
        reserve_tile = Signal()
        code_words = Signal(range(cols + 1))
        m.d.comb += [
            reserve_header.eq(active & segment.has_header & code_room.any()),
            reserve_tile.eq(
                active
                & ~segment.has_header
                & enough_codes
                & (~segment.has_scales | scale_room.any())
            ),
        ]
        grant = Signal.like(self.o_granted)
        with m.If(reserve_header):
            m.d.comb += [code_words.eq(1), grant.eq(BLOCK // beat_bytes)]
            m.d.sync += segment.has_header.eq(0)
        with m.If(reserve_tile):
            m.d.comb += [
                code_words.eq(Mux(segment.half_codes, cols // 2, cols)),
                grant.eq(
                    Mux(segment.half_codes, code_beats // 2, code_beats)
                    + Mux(segment.has_scales, scale_beats, 0)
                ),
            ]
            m.d.sync += segment.tiles.eq(segment.tiles - 1)
            with m.If(segment.tiles == 1):
                m.d.sync += active.eq(0)
        m.d.sync += [
            self.o_granted.eq(grant),
            code_room.eq(code_room + self.i_code_word_freed - code_words),
            scale_room.eq(
                scale_room + self.i_scale_tile_freed - (reserve_tile & segment.has_scales)
            ),
        ]
        return m


class BeatTagger(wiring.Component):
    """Tells scale beats from code beats as they arrive.

    Members
    -------
    i_segments : stream of StreamSegment, In
        In the order of the requests, each before its first beat arrives.
    i_valid, i_data : In(1), In(8 * beat_bytes)
        Beats from memory.
    o : stream of `weight_beat`, Out
        One cycle later; always taken.
    o_done : Out(1)
        The last beat of a segment with ``last`` has been handed on, in the cycle before.
    o_idle : Out(1)
        No segment is waiting for beats, and no ``o_done`` is on its way.
    """

    i_segments: stream.Interface
    i_valid: Signal
    i_data: Signal
    o: stream.Interface
    o_done: Signal
    o_idle: Signal

    DEPTH = 16

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_segments": In(stream.Signature(StreamSegment)),
                "i_valid": In(1),
                "i_data": In(8 * config.beat_bytes),
                "o": Out(stream.Signature(weight_beat(config))),
                "o_done": Out(1),
                "o_idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        scale_beats = config.scale_beats
        header_beats = BLOCK // config.beat_bytes
        code_beats = BLOCK * config.array_cols // config.beat_bytes
        shape = StreamSegment.as_shape()
        queue = m.submodules.queue = SyncFIFO(width=shape.size, depth=self.DEPTH)
        m.d.comb += [
            queue.w_en.eq(self.i_segments.valid),
            queue.w_data.eq(self.i_segments.payload),
            self.i_segments.ready.eq(queue.w_rdy),
        ]
        upcoming: Any = data.View(shape, queue.r_data)

        class Phase(enum.Enum, shape=2):
            HEADER = 0
            SCALES = 1
            CODES = 2

        # ``left`` counts the beats of the phase after this one.
        active = Signal()
        segment: Any = Signal(StreamSegment, reset_less=True)
        phase: Any = Signal(Phase)
        left = Signal(range(code_beats), reset_less=True)
        final_beat = Signal(reset_less=True)
        final_tile = Signal(reset_less=True)

        def enter(next_phase: Phase, half_codes: Signal) -> list:
            beats = {Phase.HEADER: header_beats, Phase.SCALES: scale_beats}.get(next_phase)
            if beats is None:
                count = Mux(half_codes, code_beats // 2 - 1, code_beats - 1)
                final = 0
            else:
                count, final = beats - 1, int(beats == 1)
            return [phase.eq(next_phase), left.eq(count), final_beat.eq(final)]

        def enter_tile(m: Module, has_scales: Signal, half_codes: Signal) -> None:
            with m.If(has_scales):
                m.d.sync += enter(Phase.SCALES, half_codes)
            with m.Else():
                m.d.sync += enter(Phase.CODES, half_codes)

        valid = self.i_valid
        done = Signal()
        finished = Signal()
        load = Signal()
        m.d.comb += [
            finished.eq(valid & final_beat & final_tile & (phase == Phase.CODES)),
            load.eq(finished | ~active),
            queue.r_en.eq(load),
            self.o_idle.eq(~active & ~queue.r_rdy & ~done & ~self.o_done),
        ]
        m.d.sync += self.o_done.eq(0)
        with m.If(valid):
            m.d.sync += [left.eq(left - 1), final_beat.eq(left == 1)]
            with m.If(final_beat):
                with m.If(phase == Phase.SCALES):
                    m.d.sync += enter(Phase.CODES, segment.half_codes)
                with m.Else():
                    enter_tile(m, segment.has_scales, segment.half_codes)
                with m.If(phase == Phase.CODES):
                    m.d.sync += [
                        segment.tiles.eq(segment.tiles - 1),
                        final_tile.eq(segment.tiles == 2),
                    ]
        with m.If(load):
            m.d.sync += [
                active.eq(queue.r_rdy),
                segment.eq(upcoming),
                final_tile.eq(upcoming.tiles == 1),
            ]
            with m.If(upcoming.has_header):
                m.d.sync += enter(Phase.HEADER, upcoming.half_codes)
            with m.Else():
                enter_tile(m, upcoming.has_scales, upcoming.half_codes)

        m.d.sync += [self.o.valid.eq(valid), done.eq(finished & segment.last)]
        m.d.sync += self.o_done.eq(done)
        payload: Any = Signal(weight_beat(config), reset_less=True)
        m.d.comb += self.o.payload.eq(payload)
        with m.If(valid):
            m.d.sync += [payload.data.eq(self.i_data), payload.is_scale.eq(phase == Phase.SCALES)]
        return m
