# SPDX-License-Identifier: Apache-2.0
"""The engine that keeps the weight buffer filled."""

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from weft_arch.config import BLOCK, Configuration
from weft_arch.isa import Opcode, Resident, StreamKV, StreamWeights, WeightFormat
from weft_arch.registers import Fault
from weft_rtl.control.decode import arguments
from weft_rtl.dma.arithmetic import times
from weft_rtl.dma.dma_reader import DMAReader
from weft_rtl.dma.ports import Transfer, read_client_signature
from weft_rtl.dma.resident_request import ResidentRequest
from weft_rtl.dma.stream_segment import BeatTagger, RoomKeeper, StreamSegment
from weft_rtl.interfaces import engine_signature
from weft_rtl.memory.resident_memory import resident_signature
from weft_rtl.memory.weight_buffer import freed_at_once, scale_tile_depth, weight_beat

__all__ = ["StreamUnit"]


class StreamUnit(wiring.Component):
    """Runs STREAM_WEIGHTS and STREAM_KV: reads tiles into the weight buffer.

    An instruction becomes segments (`StreamSegment`): one for STREAM_WEIGHTS, the key and value
    parts of every kv block for STREAM_KV. A segment goes to three parts that work at their own
    pace: `DMAReader` makes its bursts, `RoomKeeper` grants these when the weight buffer has room
    for whole tiles, and `BeatTagger` tells what the beats are when they arrive. Up to 18
    instructions may be in work at once, so the stream has no gap between instructions of a few
    tiles or more: requests of one are made while the data of those before it is on its way.

    ``done`` comes 2 cycles after an instruction's last beat arrived, when it is in the buffer.
    An instruction without tiles or positions is done when those before it are. A STREAM_KV with
    ``k_blocks`` = 0 is a fault. Area (default preset): 590 LUT4, 185 CCU2C, 570 flip-flops.

    With resident memory, an instruction that keeps or replays tiles waits until all data before it
    is in the buffer, and the next one until it is finished: the order is that of the instructions,
    and a replay of n words keeps the unit for n + 9 cycles.

    Members
    -------
    engine : `engine_signature`
    read : read client (`read_client_signature`)
    o_beats : stream of `weight_beat`, Out
        To ``WeightBuffer.i_beats``, which is always ready.
    i_code_word_freed, i_scale_tile_freed : In(range(freed_at_once(config) + 1))
        From the weight buffer; see its credit rule.
    resident : `resident_signature`, only with resident memory
        To the weight buffer.
    o_wait_space : Out(1)
        A burst waits because the weight buffer has no room.
    o_beat : Out(1)
        A beat was received.
    """

    engine: Any
    read: Any
    o_beats: stream.Interface
    i_code_word_freed: Signal
    i_scale_tile_freed: Signal
    o_wait_space: Signal
    o_beat: Signal
    resident: Any

    def __init__(self, config: Configuration) -> None:
        self._config = config
        freed = range(freed_at_once(config) + 1)
        super().__init__(
            {
                "engine": Out(engine_signature()),
                "read": Out(read_client_signature(config)),
                "o_beats": Out(stream.Signature(weight_beat(config))),
                "i_code_word_freed": In(freed),
                "i_scale_tile_freed": In(freed),
                "o_wait_space": Out(1),
                "o_beat": Out(1),
                **({"resident": Out(resident_signature(config))} if config.resident_bytes else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        room = m.submodules.room = RoomKeeper(config)
        tagger = m.submodules.tagger = BeatTagger(config)
        reader = m.submodules.reader = DMAReader(
            config,
            initial_beats=0,
            room_beats=(config.weight_buffer_bytes // config.beat_bytes)
            + scale_tile_depth(config) * config.scale_beats,
            max_grant=room.max_grant,
        )
        connect(m, reader.o, wiring.flipped(self.read.burst))
        connect(m, tagger.o, wiring.flipped(self.o_beats))
        m.d.comb += [
            tagger.i_valid.eq(self.read.valid),
            tagger.i_data.eq(self.read.data),
            room.i_code_word_freed.eq(self.i_code_word_freed),
            room.i_scale_tile_freed.eq(self.i_scale_tile_freed),
            reader.i_granted.eq(room.o_granted),
            self.o_wait_space.eq(reader.o_waiting),
            self.o_beat.eq(self.o_beats.valid),
        ]
        offer_room = Signal()
        segment, transfer, offer, free = self._segment_register(m, reader, room, tagger, offer_room)
        drained = free & tagger.o_idle
        resident: ResidentRequest | None = None
        if config.resident_bytes:
            resident = ResidentRequest(config, self.resident, offer_room, drained)
            m.d.comb += self.o_wait_space.eq(reader.o_waiting | self.resident.waiting)
            with m.If(resident.replaying):
                m.d.comb += [
                    reader.i_granted.eq(0),
                    self.resident.granted.eq(room.o_granted.any()),
                ]
        self._requester(m, segment, transfer, offer, free, drained, tagger.o_done, resident)
        return m

    def _segment_register(
        self, m: Module, reader: DMAReader, room: RoomKeeper, tagger: BeatTagger, offer_room: Signal
    ) -> tuple[data.View, data.View, Signal, Signal]:
        """The segment on its way into the three parts; each takes it when it can. With
        ``offer_room`` only the keeper of the room gets it."""
        segment: Any = Signal(StreamSegment, reset_less=True)
        transfer: Any = Signal(Transfer, reset_less=True)
        offer = Signal()
        tag_pending, room_pending, read_pending = Signal(), Signal(), Signal()
        free = Signal()
        m.d.comb += [
            free.eq(~(tag_pending | room_pending | read_pending)),
            tagger.i_segments.valid.eq(tag_pending),
            tagger.i_segments.payload.eq(segment),
            room.i.valid.eq(room_pending),
            room.i.payload.eq(segment),
            # After the tagger has it, so that it knows what arrives.
            reader.i.valid.eq(read_pending & ~tag_pending),
            reader.i.payload.eq(transfer),
        ]
        with m.If(tagger.i_segments.ready):
            m.d.sync += tag_pending.eq(0)
        with m.If(room.i.ready):
            m.d.sync += room_pending.eq(0)
        with m.If(reader.i.ready & ~tag_pending):
            m.d.sync += read_pending.eq(0)
        with m.If(offer):
            m.d.sync += [tag_pending.eq(1), room_pending.eq(1), read_pending.eq(1)]
        if self._config.resident_bytes:
            with m.If(offer_room):
                m.d.sync += room_pending.eq(1)
        return segment, transfer, offer, free

    def _requester(
        self,
        m: Module,
        segment: data.View,
        transfer: data.View,
        offer: Signal,
        free: Value,
        drained: Value,
        finished: Value,
        resident: ResidentRequest | None,
    ) -> None:
        """Instructions to segments."""
        config, engine = self._config, self.engine
        beat_bytes, scale_beats = config.beat_bytes, config.scale_beats
        beat_bits, block_bits = beat_bytes.bit_length() - 1, BLOCK.bit_length() - 1
        instruction = engine.instruction
        is_kv = Signal(reset_less=True)
        half_codes = Signal(reset_less=True)
        address = Signal(32, reset_less=True)
        count = Signal(24, reset_less=True)
        k_blocks = Signal(4, reset_less=True)
        key_blocks = Signal(5, reset_less=True)  # twice as many where keys are wide
        key_beats = Signal(range(BLOCK * (1 + 34 * 30) // beat_bytes + 1), reset_less=True)
        block_bytes = Signal(range(BLOCK * (1 + 34 * 30 + 32 * 15) + 1), reset_less=True)
        value_address = Signal(32, reset_less=True)
        keys_left = Signal(20, reset_less=True)
        values_left = Signal(20, reset_less=True)
        first = Signal(reset_less=True)
        next_is_value = Signal(reset_less=True)
        nothing = Signal()

        accepted = instruction.valid & instruction.ready
        in_work = Signal(range(2 * BeatTagger.DEPTH))
        m.d.comb += [
            engine.done.eq(finished | nothing),
            engine.busy.eq(in_work.any()),
        ]
        m.d.sync += [in_work.eq(in_work + accepted - engine.done), engine.fault.valid.eq(0)]

        whole = [
            segment.eq(0),
            segment.tiles.eq(count),
            segment.has_scales.eq(1),
            segment.half_codes.eq(half_codes),
            segment.last.eq(1),
            transfer.address.eq(address),
            # A W8 tile is 17 times its scales, a 4-bit tile 9 times.
            transfer.beats.eq(times(count + Mux(half_codes, count << 3, count << 4), scale_beats)),
        ]

        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += instruction.ready.eq(1)
                payload = instruction.payload
                of_kv = arguments(StreamKV, payload.arguments)
                m.d.sync += [
                    is_kv.eq(payload.opcode == Opcode.STREAM_KV),
                    half_codes.eq(
                        arguments(StreamWeights, payload.arguments).format == WeightFormat.W4
                    ),
                    address.eq(payload.address),
                    count.eq(payload.count),
                    k_blocks.eq(of_kv.k_blocks),
                    key_blocks.eq(Mux(of_kv.wide_keys, of_kv.k_blocks << 1, of_kv.k_blocks)),
                ]
                if resident is not None:
                    resident.capture(m, payload)
                with m.If(instruction.valid):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                blocks = (count + BLOCK - 1) >> 5
                m.d.sync += [
                    key_beats.eq((1 + times(key_blocks, 34)) << (block_bits - beat_bits)),
                    block_bytes.eq((1 + times(key_blocks, 34) + times(k_blocks, 32)) << block_bits),
                    keys_left.eq(blocks),
                    values_left.eq(blocks),
                    first.eq(1),
                    next_is_value.eq(0),
                ]
                with m.If(is_kv & (k_blocks == 0)):
                    m.d.sync += [
                        engine.fault.valid.eq(1),
                        engine.fault.cause.eq(Fault.ILLEGAL_OPERAND),
                        engine.fault.address.eq(Opcode.STREAM_KV),
                    ]
                    m.next = "FAULT"
                if resident is not None:
                    with m.Elif(resident.is_beyond(count, half_codes)):
                        m.d.sync += [
                            engine.fault.valid.eq(1),
                            engine.fault.cause.eq(Fault.ILLEGAL_OPERAND),
                            engine.fault.address.eq(Opcode.STREAM_WEIGHTS),
                        ]
                        m.next = "FAULT"
                with m.Elif(count == 0):
                    m.next = "DRAIN"
                if resident is not None:
                    with m.Elif(resident.mode != Resident.NONE):
                        m.next = "RESIDENT"
                with m.Elif(is_kv):
                    m.next = "PLACE_VALUES"
                with m.Else():
                    m.next = "WEIGHTS"
            with m.State("WEIGHTS"):
                m.d.comb += offer.eq(free)
                with m.If(free):
                    m.d.sync += whole
                    m.next = "IDLE"
            with m.State("PLACE_VALUES"):
                m.d.sync += value_address.eq(address + (key_beats << beat_bits))
                m.next = "KV"
            with m.State("KV"):
                final = values_left == 1
                m.d.comb += offer.eq(free)
                with m.If(free):
                    m.d.sync += [
                        first.eq(0),
                        segment.eq(0),
                        segment.tiles.eq(
                            times(
                                Mux(next_is_value, k_blocks, key_blocks),
                                BLOCK // config.array_cols,
                            )
                        ),
                        segment.has_header.eq(~next_is_value),
                        segment.has_scales.eq(~next_is_value),
                        segment.last.eq(next_is_value & final),
                    ]
                    with m.If(next_is_value):
                        m.d.sync += [
                            transfer.address.eq(value_address),
                            transfer.beats.eq(times(k_blocks, BLOCK * BLOCK // beat_bytes)),
                            value_address.eq(value_address + block_bytes),
                            values_left.eq(values_left - 1),
                            next_is_value.eq(keys_left == 0),
                        ]
                        with m.If(final):
                            m.next = "IDLE"
                    with m.Else():
                        m.d.sync += [
                            transfer.address.eq(address),
                            transfer.beats.eq(key_beats),
                            address.eq(address + block_bytes),
                            keys_left.eq(keys_left - 1),
                            # K0, K1, V0, K2, V1, ...
                            next_is_value.eq(~first | (keys_left == 1)),
                        ]
            with m.State("DRAIN"), m.If(drained):
                m.d.comb += nothing.eq(1)
                m.next = "IDLE"
            if resident is not None:
                resident.states(m, whole, segment, offer, nothing)
            with m.State("FAULT"):
                pass
