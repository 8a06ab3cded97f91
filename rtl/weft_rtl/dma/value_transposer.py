# SPDX-License-Identifier: Apache-2.0
"""Values of adjacent positions, gathered to beats: the KV cache keeps them channel by channel."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.dma.arithmetic import part_of
from weft_rtl.interfaces import quantized_group
from weft_rtl.memory.block_memory import block_memory, block_read

__all__ = ["RING_GROUPS", "ValueTransposer", "value_beat"]

RING_GROUPS = 64
"""Value groups that a lane's block RAM holds: 512 words of four codes."""
_WORD_CODES = 4
_WORDS = BLOCK // _WORD_CODES
_EXPONENT_PART = 4


def value_beat(config: Configuration) -> data.StructLayout:
    """A byte per position for ``beat_bytes`` positions: of one channel, or, ``exponents``, the
    exponents of a slot, which come after its channels. ``final``: the job's last beat."""
    return data.StructLayout(
        {
            "data": unsigned(8 * config.beat_bytes),
            "strobe": unsigned(config.beat_bytes),
            "exponents": 1,
            "final": 1,
        }
    )


class ValueTransposer(wiring.Component):
    """Takes value groups position by position, gives them channel by channel.

    ::

        for positions that share a beat:            # a batch
            for slot in slots:
                for channel in 32 * k_blocks: a beat of codes
                a beat of exponents

    There is a block RAM for each position of a beat, a ring of `RING_GROUPS` groups with all the
    positions of a batch in one place. Where a batch has more groups than the ring, a batch is one
    position, whose groups pass through the ring one after the other. A batch is filled while the
    one before it is given away.

    A group in 8 cycles, a beat per cycle with 3 cycles between batches; the first beat 3 cycles
    after the group of the batch's last position was taken. Area (8 bytes): about 600 LUT4 and 8
    block RAMs.

    Members
    -------
    i_start : In(1)
        Begin a job, when the last beat of the one before is taken.
    i_rows : In(24), i_place : In(5)
        With it: positions, at least 1, and the place of the first one in its kv block.
    i_slots : In(8), i_k_blocks : In(4)
        From then until the job's last beat: slots of a position and blocks of 32 channels of a
        slot, at least 1.
    i_groups : stream of `quantized_group`, In
        Taken while a job lacks some.
    o : stream of `value_beat`, Out
    o_gathers : Out(1)
        A batch is all positions of a beat, not one.
    """

    i_start: Signal
    i_rows: Signal
    i_place: Signal
    i_slots: Signal
    i_k_blocks: Signal
    i_groups: stream.Interface
    o: stream.Interface
    o_gathers: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        self._lane_bits = (config.beat_bytes - 1).bit_length()
        super().__init__(
            {
                "i_start": In(1),
                "i_rows": In(24),
                "i_place": In(5),
                "i_slots": In(8),
                "i_k_blocks": In(4),
                "i_groups": In(stream.Signature(quantized_group())),
                "o": Out(stream.Signature(value_beat(config))),
                "o_gathers": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        most_slots = Array([0, *(RING_GROUPS // k for k in range(1, 16))])
        m.d.sync += self.o_gathers.eq(self.i_slots <= most_slots[self.i_k_blocks])
        # Groups with a place, of which all positions are there; places for further ones.
        complete = Signal(range(RING_GROUPS + 1))
        free = Signal(range(RING_GROUPS + 1), init=RING_GROUPS)
        reserved, completed, read = Signal(), Signal(), Signal()
        m.d.sync += [
            complete.eq(complete + completed - read),
            free.eq(free + read - reserved),
        ]
        memories = [
            block_memory(unsigned(8 * _WORD_CODES + _EXPONENT_PART), RING_GROUPS * _WORDS)
            for _ in range(self._config.beat_bytes)
        ]
        for lane, memory in enumerate(memories):
            m.submodules[f"lane_{lane}"] = memory
        self._fill(m, memories, free.any(), reserved, completed)
        self._give(m, memories, complete.any(), read)
        return m

    def _fill(
        self, m: Module, memories: list[Any], free: Value, reserved: Signal, completed: Signal
    ) -> None:
        """Write the groups that come."""
        group = self.i_groups.payload
        loops = _Loops(m, self, self._config.beat_bytes, "fill")
        lane = Signal(self._lane_bits)
        entry = Signal(range(RING_GROUPS))
        first_entry = Signal.like(entry)  # of the batch
        first = Signal()  # position of the batch: its groups need places
        word = Signal(range(_WORDS))
        write, taken = Signal(), Signal()
        batch_end = Signal()
        m.d.comb += [
            write.eq(self.i_groups.valid & loops.active & (~first | free)),
            taken.eq(write & (word == _WORDS - 1)),
            self.i_groups.ready.eq(loops.active & (~first | free) & (word == _WORDS - 1)),
            batch_end.eq(~self.o_gathers | (lane == self._config.beat_bytes - 1) | loops.last_row),
            reserved.eq(taken & first),
            completed.eq(taken & batch_end),
            loops.next.eq(taken),
            loops.rows.eq(1),
            loops.last_batch.eq(loops.last_row),
        ]
        m.d.sync += word.eq(word + write)
        with m.If(self.i_start):
            m.d.sync += [lane.eq(self.i_place), first.eq(1)]
        with m.Elif(taken):
            m.d.sync += entry.eq(entry + 1)
            with m.If(loops.position_end):
                m.d.sync += [lane.eq(lane + 1), first.eq(batch_end)]
                with m.If(batch_end):
                    m.d.sync += first_entry.eq(entry + 1)
                with m.Else():
                    m.d.sync += entry.eq(first_entry)

        codes = part_of(group.codes.as_value(), word, 8 * _WORD_CODES)
        exponent = group.exponent.as_unsigned()
        part = Mux(word[0], exponent[_EXPONENT_PART:], exponent[:_EXPONENT_PART])
        for index, memory in enumerate(memories):
            port = memory.write_port()
            m.d.comb += [
                port.en.eq(write & (lane == index)),
                port.addr.eq(Cat(word, entry)),
                port.data.eq(Cat(codes, part)),
            ]

    def _give(self, m: Module, memories: list[Any], complete: Value, read: Signal) -> None:
        """Read words of all positions of a batch; give them channel by channel."""
        config, beat = self._config, self.o.payload
        loops = _Loops(m, self, config.beat_bytes, "give")
        address = Signal(range(RING_GROUPS * _WORDS))
        fetched, fetch, move = Signal(), Signal(), Signal()
        word = Signal(range(_WORDS))
        channel = Signal(range(_WORD_CODES))
        last_word = word == _WORDS - 1
        last_beat = Signal()  # of the word
        word_end, taken, batch_end = Signal(), Signal(), Signal()
        # The loops go on a cycle late; two more until what holds for a whole batch is there.
        settling = Signal(2)
        m.d.comb += [
            move.eq(fetched & Mux(self.o.valid, word_end & ~batch_end, ~settling.any())),
            # A word is several beats, so the next one need not be fetched while it moves on.
            fetch.eq(complete & ~fetched),
            read.eq(fetch & (address[: word.shape().width] == _WORDS - 1)),
            taken.eq(self.o.valid & self.o.ready),
            word_end.eq(taken & last_beat),
            batch_end.eq(word_end & last_word & loops.position_end),
            beat.final.eq(beat.exponents & loops.last_batch & loops.last_slot),
        ]
        m.d.sync += [
            address.eq(address + fetch),
            loops.next.eq(word_end & last_word),
            settling.eq(Cat(batch_end, settling[0])),
        ]
        with m.If(fetch):
            m.d.sync += fetched.eq(1)
        with m.Elif(move):
            m.d.sync += fetched.eq(0)
        with m.If(move):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(word_end):
            m.d.sync += self.o.valid.eq(0)
        with m.If(taken):
            # The exponents follow the last word of a slot.
            last_code = channel == _WORD_CODES - 1
            m.d.sync += [
                channel.eq(channel + 1),
                last_beat.eq(
                    last_code | ((channel == _WORD_CODES - 2) & ~(last_word & loops.last_k))
                ),
                beat.exponents.eq(last_code),
            ]
        with m.If(word_end):
            m.d.sync += [
                channel.eq(0),
                word.eq(word + 1),
                last_beat.eq(0),
                beat.exponents.eq(0),
            ]

        # Which positions of the beat: the batch's first one is at ``lane``.
        lane = Signal(self._lane_bits)
        room = Signal(range(config.beat_bytes + 1))
        in_batch = Signal(range(config.beat_bytes + 1))
        m.d.comb += [
            room.eq(Mux(self.o_gathers, config.beat_bytes - lane, 1)),
            loops.rows.eq(room),
        ]
        fits = loops.rows_left <= room
        m.d.sync += [
            loops.last_batch.eq(fits),
            in_batch.eq(Mux(fits, loops.rows_left, room)),
        ]
        with m.If(self.i_start):
            m.d.sync += lane.eq(self.i_place)
        with m.Elif(loops.next & loops.position_end):
            m.d.sync += lane.eq(Mux(self.o_gathers, 0, lane + 1))
        end = Signal(range(2 * config.beat_bytes))
        m.d.comb += end.eq(lane + in_batch)
        m.d.sync += beat.strobe.eq(
            Cat((lane <= index) & (end > index) for index in range(config.beat_bytes))
        )

        # The exponents' lower halves are in the words before those of the upper ones.
        upper, lower, columns = [], [], []
        for index, memory in enumerate(memories):
            output = block_read(m, memory, address, f"word_{index}", fetch, move)
            columns.append(output[: 8 * _WORD_CODES])
            upper.append(output[8 * _WORD_CODES :])
            lower.append(Signal(_EXPONENT_PART, name=f"lower_{index}", reset_less=True))
            with m.If(move):
                m.d.sync += lower[-1].eq(upper[-1])
        codes = Array(
            Cat(column[8 * k : 8 * k + 8] for column in columns) for k in range(_WORD_CODES)
        )
        exponents = Cat(Cat(low, high) for low, high in zip(lower, upper, strict=True))
        m.d.comb += beat.data.eq(Mux(beat.exponents, exponents, codes[channel]))


class _Loops:
    """Counts groups within slots, slots within positions, and the rows that are left."""

    def __init__(self, m: Module, job: ValueTransposer, lanes: int, name: str) -> None:
        self.rows_left = Signal(24, name=f"{name}_rows_left", reset_less=True)
        slots_left = Signal(8, name=f"{name}_slots_left", reset_less=True)
        k_left = Signal(4, name=f"{name}_k_left", reset_less=True)
        self.next = Signal(name=f"{name}_next")
        """a group is done"""
        self.rows = Signal(range(lanes + 1), name=f"{name}_rows")
        """rows that end with a position's last group"""
        self.active = Signal(name=f"{name}_active")
        self.last_row = Signal(name=f"{name}_last_row", reset_less=True)
        self.last_batch = Signal(name=f"{name}_last_batch")
        self.last_k = Signal(name=f"{name}_last_k", reset_less=True)
        self.last_slot = Signal(name=f"{name}_last_slot", reset_less=True)
        self.position_end = self.last_k & self.last_slot
        with m.If(job.i_start):
            m.d.sync += [
                self.active.eq(1),
                self.rows_left.eq(job.i_rows),
                self.last_row.eq(job.i_rows == 1),
                slots_left.eq(job.i_slots),
                self.last_slot.eq(job.i_slots == 1),
                k_left.eq(job.i_k_blocks),
                self.last_k.eq(job.i_k_blocks == 1),
            ]
        with m.Elif(self.next):
            m.d.sync += [k_left.eq(k_left - 1), self.last_k.eq(k_left == 2)]
            with m.If(self.last_k):
                m.d.sync += [
                    k_left.eq(job.i_k_blocks),
                    self.last_k.eq(job.i_k_blocks == 1),
                    slots_left.eq(slots_left - 1),
                    self.last_slot.eq(slots_left == 2),
                ]
            with m.If(self.position_end):
                m.d.sync += [
                    slots_left.eq(job.i_slots),
                    self.last_slot.eq(job.i_slots == 1),
                    self.rows_left.eq(self.rows_left - self.rows),
                    # Only where ``rows`` is 1; else nobody asks.
                    self.last_row.eq(self.rows_left == 2),
                    self.active.eq(~self.last_batch),
                ]
