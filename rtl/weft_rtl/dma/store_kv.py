# SPDX-License-Identifier: Apache-2.0
"""STORE_KV: quantised keys and values into the KV cache."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_arch.isa import Opcode
from weft_arch.isa import StoreKV as StoreKVInstruction
from weft_arch.layouts import KVLayout
from weft_arch.registers import Fault
from weft_rtl.control.decode import arguments
from weft_rtl.dma.arithmetic import part_of, times
from weft_rtl.dma.ports import Transfer, write_beat
from weft_rtl.dma.value_transposer import ValueTransposer
from weft_rtl.interfaces import FaultReport, ResolvedInstruction, quantized_group

__all__ = ["StoreKV"]


class StoreKV(wiring.Component):
    """Runs STORE_KV up to the handing over of its data.

    The places are those of `weft_arch.layouts.KVLayout`. A key group becomes its scale
    (`weft_arch.layouts.key_scale_bits`) and its codes. The values of positions that share a beat
    are written together: `ValueTransposer` gives a beat per channel, at a stride of 32 bytes, and
    one of exponents per slot.

    A key group takes 7 + 32 / beat_bytes cycles; a value group 8 cycles, or, if that is more, the
    2 cycles that each beat's write takes in the memory port. The first one of an instruction waits
    for a multiplication of one cycle per significant bit of the kv block's index.

    Members
    -------
    i : stream of ResolvedInstruction, In
        Taken when the one before it is handed over.
    i_groups : stream of `quantized_group`, In
        A key group is taken when its last byte is handed over, a value group by the transposer.
    o_command : stream of Transfer, Out
    o_data : stream of `write_beat`, Out
    o_nothing : Out(1)
        The instruction has no rows, so there is no command with ``last``.
    fault : Out(FaultReport)
    """

    i: stream.Interface
    i_groups: stream.Interface
    o_command: stream.Interface
    o_data: stream.Interface
    o_nothing: Signal
    fault: Any

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(ResolvedInstruction)),
                "i_groups": In(stream.Signature(quantized_group())),
                "o_command": Out(stream.Signature(Transfer)),
                "o_data": Out(stream.Signature(write_beat(config))),
                "o_nothing": Out(1),
                "fault": Out(FaultReport),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cols, beat_bytes = self._config.array_cols, self._config.beat_bytes
        beat_bits = (beat_bytes - 1).bit_length()
        cols_bits = cols.bit_length() - 1
        code_beats = BLOCK // beat_bytes
        tile_bytes = self._config.tile_bytes(8)
        # Byte counts of the layout are linear in the blocks of keys and of values.
        one, two = KVLayout(self._config, 1), KVLayout(self._config, 2)
        key_slope, value_slope = two.key_bytes - one.key_bytes, two.value_bytes - one.value_bytes
        largest = KVLayout(self._config, 15, wide_keys=True)
        payload = self.i.payload
        fields = arguments(StoreKVInstruction, payload.arguments)

        values = Signal(reset_less=True)
        k_blocks = Signal(4, reset_less=True)
        key_blocks = Signal(5, reset_less=True)  # twice as many where keys are wide
        slots = Signal(8, reset_less=True)
        slot_bytes = Signal(32, reset_less=True)
        rows_left = Signal(24, reset_less=True)
        place = Signal(5, reset_less=True)  # of the position in its kv block
        block_index = Signal(27, reset_less=True)
        further_bits = Signal(reset_less=True)  # above its lowest one
        multiplicand = Signal(32, reset_less=True)
        block_bytes = Signal(range(largest.block_bytes + 1), reset_less=True)
        row_base = Signal(32, reset_less=True)
        slot_base = Signal(32, reset_less=True)
        slots_left = Signal(8, reset_less=True)
        groups_left = Signal(5, reset_less=True)
        tile_row = Signal(8, reset_less=True)
        key_bytes = Signal(range(largest.key_bytes + 1), reset_less=True)
        offset = Signal(range(largest.key_bytes + BLOCK), reset_less=True)
        pointer = Signal(32, reset_less=True)
        code = Signal(5)  # index of the beat's first byte
        taken = Signal()  # an instruction, in the cycle before

        column = place[:cols_bits]
        group = self.i_groups.payload
        command, beat = self.o_command, self.o_data
        free = (~command.valid | command.ready) & (~beat.valid | beat.ready)
        transfer: Any = Signal(Transfer, reset_less=True)
        bytes_: Any = Signal(write_beat(self._config), reset_less=True)
        m.d.comb += [command.payload.eq(transfer), beat.payload.eq(bytes_)]
        with m.If(command.ready):
            m.d.sync += command.valid.eq(0)
        with m.If(beat.ready):
            m.d.sync += beat.valid.eq(0)

        # One adder for all addresses, one multiplexer for all data.
        send_command, send_beat, send_codes = Signal(), Signal(), Signal()
        within = Signal(range(BLOCK * cols + 2 * cols))
        step = Signal.like(offset, reset_less=False)
        target = Signal(32)
        m.submodules.transposer = transposer = ValueTransposer(self._config)
        value: Any = transposer.o.payload

        # These change states before they are asked for, so they may be a cycle late.
        last_row, last_slot = Signal(reset_less=True), Signal(reset_less=True)
        final_group = Signal(reset_less=True)
        next_place = Signal(6, reset_less=True)
        block_end = Signal(reset_less=True)  # ``next_place`` is in the next kv block
        m.d.sync += [
            last_row.eq(rows_left == 1),
            last_slot.eq(slots_left == 1),
            final_group.eq(groups_left == 1),
        ]
        codes = group.codes.as_value()
        code_beat = part_of(codes, code[beat_bits:], 8 * beat_bytes)
        # Exponents are at least -14; the field of a float16 ends at 31.
        biased = group.exponent + 15
        scale = Cat(Const(0, 10), Mux(biased > 31, 31, biased)[:5], Const(0, 1))

        m.d.comb += target.eq(pointer + within)
        with m.If(send_command):
            m.d.sync += [
                command.valid.eq(1),
                transfer.address.eq(Cat(Const(0, beat_bits), target[beat_bits:])),
                transfer.beats.eq(Mux(send_codes, code_beats, 1)),
            ]
        with m.If(send_beat):
            m.d.sync += [
                beat.valid.eq(1),
                bytes_.data.eq(
                    Mux(
                        values,
                        value.data,
                        Mux(send_codes, code_beat, scale.replicate(beat_bytes // 2)),
                    )
                ),
            ]

        start, take_key = Signal(), Signal()
        m.d.sync += start.eq(0)
        m.d.comb += [
            transposer.i_start.eq(start & values),
            transposer.i_rows.eq(rows_left),
            transposer.i_place.eq(place),
            transposer.i_slots.eq(slots),
            transposer.i_k_blocks.eq(k_blocks),
            transposer.i_groups.valid.eq(self.i_groups.valid),
            transposer.i_groups.payload.eq(group),
            self.i_groups.ready.eq(Mux(values, transposer.i_groups.ready, take_key)),
        ]
        pair_strobe = Const(0b11, beat_bytes) << Cat(Const(0, 1), column)[:beat_bits]
        aligned = Cat(Const(0, beat_bits), place[beat_bits:])
        # A batch of values begins in the next beat.
        column_end = values & transposer.o_gathers
        following = Signal.like(next_place)
        m.d.comb += following.eq(Mux(column_end, aligned + beat_bytes, place + 1))
        m.d.sync += [next_place.eq(following), block_end.eq(~following[:5].any())]
        m.d.sync += [self.fault.valid.eq(0), self.o_nothing.eq(0), pointer.eq(pointer + step)]
        with m.FSM(name="state"):
            with m.State("IDLE"):
                # What was handed over last is still in the registers.
                m.d.comb += self.i.ready.eq(~(command.valid | beat.valid | taken))
                with m.If(taken):
                    m.d.sync += taken.eq(0)
                    m.next = "DECIDE"
                with m.Elif(self.i.valid & self.i.ready):
                    m.d.sync += taken.eq(1)
                with m.If(~taken):
                    m.d.sync += [
                        values.eq(fields.values),
                        k_blocks.eq(fields.k_blocks),
                        key_blocks.eq(Mux(fields.wide_keys, fields.k_blocks << 1, fields.k_blocks)),
                        slots.eq(fields.slots),
                        slot_bytes.eq(fields.slot_bytes),
                        rows_left.eq(payload.count),
                        place.eq(payload.aux_a[:5]),
                        block_index.eq(payload.aux_a[5:]),
                        row_base.eq(payload.address),
                    ]
            with m.State("DECIDE"):
                size = times(key_blocks, key_slope) + times(k_blocks, value_slope) + BLOCK
                m.d.sync += [
                    block_bytes.eq(size),
                    multiplicand.eq(size),
                    key_bytes.eq(times(key_blocks, key_slope) + BLOCK),
                    code.eq(0),
                    further_bits.eq(block_index[1:].any()),
                ]
                illegal = (k_blocks == 0) | (slots == 0)
                with m.If(illegal):
                    m.d.sync += [
                        self.fault.cause.eq(Fault.ILLEGAL_OPERAND),
                        self.fault.address.eq(Opcode.STORE_KV),
                    ]
                with m.Else():
                    m.d.sync += [
                        self.fault.cause.eq(Fault.UNALIGNED_ADDRESS),
                        self.fault.address.eq(row_base),
                    ]
                with m.If(illegal | row_base[:beat_bits].any() | slot_bytes[:beat_bits].any()):
                    m.d.sync += self.fault.valid.eq(1)
                    m.next = "FAULT"
                with m.Elif(rows_left == 0):
                    m.d.sync += self.o_nothing.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += start.eq(1)
                    m.next = "LOCATE"
            with m.State("LOCATE"):
                m.d.sync += [
                    block_index.eq(block_index >> 1),
                    multiplicand.eq(multiplicand << 1),
                    further_bits.eq(block_index[2:].any()),
                ]
                with m.If(block_index[0]):
                    m.d.sync += row_base.eq(row_base + multiplicand)
                with m.If(~further_bits):
                    m.next = "ROW"
            with m.State("ROW"):
                high = place[cols_bits:]
                rows = [Mux(high[bit], key_blocks << bit, 0) for bit in range(len(high))]
                m.d.sync += [
                    multiplicand.eq(block_bytes),
                    tile_row.eq(sum(rows, start=Const(0))),
                    slot_base.eq(row_base),
                    slots_left.eq(slots),
                ]
                m.next = "PLACE"
            with m.State("PLACE"):
                m.d.sync += offset.eq(
                    Mux(values, key_bytes + aligned, times(tile_row, tile_bytes) + BLOCK)
                )
                m.next = "SLOT"
            with m.State("SLOT"):
                m.d.sync += [pointer.eq(slot_base), groups_left.eq(key_blocks)]
                m.next = "OFFSET"
            with m.State("OFFSET"):
                m.d.comb += step.eq(offset)
                with m.If(values):
                    m.next = "VALUES"
                with m.Else():
                    m.next = "SCALE"
            with m.State("SCALE"), m.If(free & self.i_groups.valid):
                m.d.comb += [send_command.eq(1), send_beat.eq(1), within.eq(column << 1)]
                m.d.sync += [bytes_.strobe.eq(pair_strobe), transfer.last.eq(0)]
                m.next = "CODES"
            with m.State("CODES"), m.If(free):
                m.d.comb += [
                    send_codes.eq(1),
                    send_beat.eq(1),
                    send_command.eq(code == 0),
                    within.eq((column << 5) + 2 * cols),
                ]
                m.d.sync += [
                    bytes_.strobe.eq((1 << beat_bytes) - 1),
                    transfer.last.eq(last_row & last_slot & final_group),
                    code.eq(code + beat_bytes),
                ]
                with m.If(code == BLOCK - beat_bytes):
                    m.d.comb += [take_key.eq(1), step.eq(tile_bytes)]
                    m.d.sync += groups_left.eq(groups_left - 1)
                    with m.If(final_group):
                        m.next = "NEXT"
                    with m.Else():
                        m.next = "SCALE"
            with m.State("VALUES"), m.If(free & transposer.o.valid):
                with m.If(value.exponents):
                    m.d.sync += pointer.eq(slot_base)
                    m.next = "EXPONENTS"
                with m.Else():
                    m.d.comb += [
                        send_command.eq(1),
                        send_beat.eq(1),
                        transposer.o.ready.eq(1),
                        step.eq(BLOCK),
                    ]
                    m.d.sync += [bytes_.strobe.eq(value.strobe), transfer.last.eq(0)]
            with m.State("EXPONENTS"):
                m.d.comb += [
                    send_command.eq(1),
                    send_beat.eq(1),
                    within.eq(aligned),
                    transposer.o.ready.eq(1),
                ]
                m.d.sync += [bytes_.strobe.eq(value.strobe), transfer.last.eq(value.final)]
                m.next = "NEXT"
                with m.If(value.final):
                    m.next = "IDLE"
            with m.State("NEXT"):
                m.d.sync += [
                    slots_left.eq(slots_left - 1),
                    slot_base.eq(slot_base + slot_bytes),
                ]
                m.next = "SLOT"
                with m.If(last_slot):
                    m.d.sync += [rows_left.eq(rows_left - 1), place.eq(next_place)]
                    with m.If(block_end):
                        m.d.sync += row_base.eq(row_base + multiplicand)
                    m.next = "ROW"
                    with m.If(~values & last_row):
                        m.next = "IDLE"
            with m.State("FAULT"):
                pass
        return m
