# SPDX-License-Identifier: Apache-2.0
"""Turns LOAD into reads of rows, and of the row numbers when it gathers."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_arch.isa import Load, LoadFormat, Opcode
from weft_arch.registers import Fault
from weft_rtl.control.decode import arguments
from weft_rtl.dma.arithmetic import part_of, times
from weft_rtl.dma.ports import Transfer
from weft_rtl.interfaces import VECTOR_ADDRESS, FaultReport, ResolvedInstruction

__all__ = ["LoadPart", "LoadRows", "PartKind"]


class PartKind(enum.Enum, shape=2):
    """What a transfer of the load unit holds; the first three are the formats of rows."""

    F32 = LoadFormat.F32
    F16 = LoadFormat.F16
    Q8 = LoadFormat.Q8
    ROW_NUMBERS = 3


class LoadPart(data.Struct):
    """What to do with the beats of one transfer."""

    kind: PartKind
    last: 1
    """the instruction's last row"""
    words: 12
    """vector memory words of a row; beats of row numbers"""
    destination: VECTOR_ADDRESS


class LoadRows(wiring.Component):
    """Requests the rows of LOAD instructions, one after the other, as fast as they are taken.

    With ``gather``, the row numbers are read in chunks of ``CHUNK_BEATS`` beats before the rows
    that they name. A row's address takes one cycle per significant bit of its number, in which the
    rows before it are on their way.

    Members
    -------
    instruction : stream of ResolvedInstruction, In
    o_parts : stream of LoadPart, Out
        What each transfer is, before the transfer.
    o_transfers : stream of Transfer, Out
    i_numbers_write : In(1)
        A beat of row numbers has arrived, ``i_numbers``; ``i_numbers_done`` with the last one of
        a part.
    i_drained : In(1)
        All parts have been handled.
    o_nothing : Out(1)
        An instruction without rows is done.
    fault : Out(FaultReport)
    """

    CHUNK_BEATS = 16

    instruction: stream.Interface
    o_parts: stream.Interface
    o_transfers: stream.Interface
    i_numbers_write: Signal
    i_numbers: Signal
    i_numbers_done: Signal
    i_drained: Signal
    o_nothing: Signal
    fault: Any

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "instruction": In(stream.Signature(ResolvedInstruction)),
                "o_parts": Out(stream.Signature(LoadPart)),
                "o_transfers": Out(stream.Signature(Transfer)),
                "i_numbers_write": In(1),
                "i_numbers": In(8 * config.beat_bytes),
                "i_numbers_done": In(1),
                "i_drained": In(1),
                "o_nothing": Out(1),
                "fault": Out(FaultReport),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, beat_bytes = self._config.lanes, self._config.beat_bytes
        beat_bits = (beat_bytes - 1).bit_length()
        number_bits = beat_bits - 2  # of the place of a row number in its beat
        payload = self.instruction.payload
        fields = arguments(Load, payload.arguments)

        gather = Signal(reset_less=True)
        kind: Any = Signal(PartKind, reset_less=True)
        words = Signal(12, reset_less=True)
        row_address = Signal(32, reset_less=True)
        row_bytes = Signal(24, reset_less=True)
        rows_left = Signal(24, reset_less=True)
        destination = Signal(VECTOR_ADDRESS, reset_less=True)
        destination_stride = Signal(12, reset_less=True)
        row_beats = Signal(18, reset_less=True)
        numbers_address = Signal(32, reset_less=True)

        # Row numbers, a chunk of whole beats.
        m.submodules.numbers = numbers = Memory(
            shape=8 * beat_bytes, depth=self.CHUNK_BEATS, init=[]
        )
        write_port, read_port = numbers.write_port(), numbers.read_port(domain="comb")
        write_beat = Signal(range(self.CHUNK_BEATS))
        place = Signal(number_bits + write_beat.shape().width + 1, reset_less=True)
        chunk_beats = Signal(range(self.CHUNK_BEATS + 1), reset_less=True)
        m.d.comb += [
            write_port.en.eq(self.i_numbers_write),
            write_port.addr.eq(write_beat),
            write_port.data.eq(self.i_numbers),
            read_port.addr.eq(place[number_bits:]),
        ]
        with m.If(self.i_numbers_write):
            m.d.sync += write_beat.eq(Mux(self.i_numbers_done, 0, write_beat + 1))
        number = part_of(read_port.data, place[:number_bits], 32)

        # Address of a gathered row: shift and add.
        multiplier = Signal(32, reset_less=True)
        multiplicand = Signal(32, reset_less=True)
        target = Signal(32, reset_less=True)

        parts, transfers = self.o_parts, self.o_transfers
        part: Any = Signal(LoadPart, reset_less=True)
        transfer: Any = Signal(Transfer, reset_less=True)
        m.d.comb += [parts.payload.eq(part), transfers.payload.eq(transfer)]
        # The part first, then the transfer, so that it is known what arrives.
        transfer_waits = Signal()
        free = Signal()
        m.d.comb += [
            free.eq(~transfer_waits),
            transfers.valid.eq(transfer_waits & ~parts.valid),
        ]
        with m.If(parts.ready):
            m.d.sync += parts.valid.eq(0)
        with m.If(transfers.ready & ~parts.valid):
            m.d.sync += transfer_waits.eq(0)

        def send() -> list:
            return [parts.valid.eq(1), transfer_waits.eq(1)]

        def refuse(cause: Fault, address: object) -> list:
            return [
                self.fault.valid.eq(1),
                self.fault.cause.eq(cause),
                self.fault.address.eq(address),
            ]

        m.d.sync += self.fault.valid.eq(0)
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.instruction.ready.eq(1)
                m.d.sync += [
                    gather.eq(fields.gather),
                    kind.eq(fields.format),
                    words.eq(fields.words),
                    row_address.eq(payload.address),
                    row_bytes.eq(fields.row_bytes),
                    rows_left.eq(payload.count),
                    destination.eq(fields.destination),
                    destination_stride.eq(fields.destination_stride),
                    numbers_address.eq(payload.aux_a),
                ]
                with m.If(self.instruction.valid):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                # One byte of scales for every 16 values of Q8, in whole beats.
                values = times(words, lanes)
                scale_beats = (values + 16 * beat_bytes - 1) >> (4 + beat_bits)
                with m.Switch(kind):
                    with m.Case(PartKind.F32):
                        m.d.sync += row_beats.eq((values << 2) >> beat_bits)
                    with m.Case(PartKind.F16):
                        m.d.sync += row_beats.eq((values << 1) >> beat_bits)
                    with m.Default():
                        m.d.sync += row_beats.eq((values >> beat_bits) + scale_beats)
                broken_block = words[: (BLOCK // lanes).bit_length() - 1].any()
                illegal = (
                    (words == 0)
                    | (kind == PartKind.ROW_NUMBERS)
                    | ((kind == PartKind.Q8) & broken_block)
                )
                with m.If(illegal):
                    m.d.sync += refuse(Fault.ILLEGAL_OPERAND, Opcode.LOAD)
                    m.next = "FAULT"
                with m.Elif(rows_left == 0):
                    m.next = "DRAIN"
                with m.Elif(gather & numbers_address[:2].any()):
                    m.d.sync += refuse(Fault.UNALIGNED_ADDRESS, numbers_address)
                    m.next = "FAULT"
                with m.Elif(gather):
                    m.next = "CHUNK"
                with m.Else():
                    m.next = "ROW"
            with m.State("ROW"), m.If(free):
                m.d.sync += [
                    part.kind.eq(kind),
                    part.words.eq(words),
                    part.destination.eq(destination),
                    part.last.eq(rows_left == 1),
                    transfer.address.eq(row_address),
                    transfer.beats.eq(row_beats),
                    row_address.eq(row_address + row_bytes),
                    destination.eq(destination + destination_stride),
                    rows_left.eq(rows_left - 1),
                    *send(),
                ]
                with m.If(rows_left == 1):
                    m.next = "IDLE"
            with m.State("CHUNK"):
                # The numbers left, counted from the beginning of the first one's beat; of more
                # than a chunk, the exact number does not matter.
                chunk_bits = write_beat.shape().width + number_bits
                first = numbers_address[2:beat_bits]
                reach = rows_left[:chunk_bits] + first + ((1 << number_bits) - 1)
                beats = reach >> number_bits
                full = rows_left[chunk_bits:].any() | (beats > self.CHUNK_BEATS)
                m.d.sync += [chunk_beats.eq(Mux(full, self.CHUNK_BEATS, beats)), place.eq(first)]
                m.next = "NUMBERS"
            with m.State("NUMBERS"), m.If(free):
                aligned = Cat(Const(0, beat_bits), numbers_address[beat_bits:])
                m.d.sync += [
                    part.kind.eq(PartKind.ROW_NUMBERS),
                    part.words.eq(chunk_beats),
                    part.last.eq(0),
                    transfer.address.eq(aligned),
                    transfer.beats.eq(chunk_beats),
                    numbers_address.eq(aligned + (chunk_beats << beat_bits)),
                    *send(),
                ]
                m.next = "WAIT"
            with m.State("WAIT"), m.If(self.i_numbers_done):
                m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.d.sync += [
                    multiplier.eq(number),
                    multiplicand.eq(row_bytes),
                    target.eq(row_address),
                    place.eq(place + 1),
                ]
                m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += [multiplier.eq(multiplier >> 1), multiplicand.eq(multiplicand << 1)]
                with m.If(multiplier[0]):
                    m.d.sync += target.eq(target + multiplicand)
                with m.If(~multiplier[1:].any()):
                    m.next = "GATHERED"
            with m.State("GATHERED"), m.If(free):
                m.d.sync += [
                    part.kind.eq(kind),
                    part.words.eq(words),
                    part.destination.eq(destination),
                    part.last.eq(rows_left == 1),
                    transfer.address.eq(target),
                    transfer.beats.eq(row_beats),
                    destination.eq(destination + destination_stride),
                    rows_left.eq(rows_left - 1),
                    *send(),
                ]
                with m.If(rows_left == 1):
                    m.next = "IDLE"
                with m.Elif(place[number_bits:] == chunk_beats):
                    m.next = "CHUNK"
                with m.Else():
                    m.next = "LOOK_UP"
            with m.State("DRAIN"), m.If(self.i_drained & free):
                m.d.comb += self.o_nothing.eq(1)
                m.next = "IDLE"
            with m.State("FAULT"):
                pass
        return m
