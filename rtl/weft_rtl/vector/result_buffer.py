# SPDX-License-Identifier: Apache-2.0
"""Takes the results of the lanes to where they go, quantised if asked for."""

from itertools import pairwise
from typing import Any

from amaranth import Cat, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from weft_arch.blocks import KEY_BITS, LOW_PLANE_BITS
from weft_arch.config import BLOCK, Configuration
from weft_rtl.floating.quantizer import Quantizer, low_plane_exponent
from weft_rtl.interfaces import (
    activation_block,
    activation_write,
    float_word,
    quantized_group,
    vector_write,
)
from weft_rtl.vector.address_walker import AddressWalker
from weft_rtl.vector.group_exponents import GroupExponents
from weft_rtl.vector.job import VectorJob

__all__ = ["ResultBuffer"]


class ResultBuffer(wiring.Component):
    """A ring of words that absorbs waiting destinations, and holds a group until its exponent is
    known.

    ::

        i -> ring -> word register ------------------------------> o_write
              |           '-> quantisers -> 32 codes -> block ---> o_activation_write, o_groups
              '-> group exponents -'

    One word per cycle in and out; groups follow each other without a bubble. A word is at `o_write`
    3 cycles after it came; a block is at its output 8 cycles after the group's last word came, and
    one more for each of its words but the first. The groups of wide keys are read twice, for the
    high and for the low plane, one after the other.

    Area: about 150 LUT4 per lane, 700 besides, and block RAM for 64 words.

    Parameters
    ----------
    capacity : int
        Words in the ring, a power of two, at least 64. The user must not send more than were taken.

    Members
    -------
    i_start : In(1)
        Begin a job.
    i_job : In(VectorJob)
        From `i_start` on; the first word comes 4 cycles later at the earliest.
    i_valid : In(1), i : In(float_word)
        A word of results.
    o_taken : Out(1)
        A word left the ring.
    o_idle : Out(1)
        Nothing was in the ring and behind it a cycle ago.
    o_write, o_activation_write, o_groups : Out(stream)
        The destinations.
    """

    i_start: Signal
    i_job: Any
    i_valid: Signal
    i: data.View
    o_taken: Signal
    o_idle: Signal
    o_write: stream.Interface
    o_activation_write: stream.Interface
    o_groups: stream.Interface

    def __init__(self, config: Configuration, capacity: int) -> None:
        self._config = config
        self._capacity = capacity
        super().__init__(
            {
                "i_start": In(1),
                "i_job": In(VectorJob),
                "i_valid": In(1),
                "i": In(float_word(config)),
                "o_taken": Out(1),
                "o_idle": Out(1),
                "o_write": Out(stream.Signature(vector_write(config))),
                "o_activation_write": Out(stream.Signature(activation_write(config))),
                "o_groups": Out(stream.Signature(quantized_group())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Ring, readout, quantisers, destinations."""
        m = Module()
        config, job = self._config, self.i_job
        word_layout = float_word(config)
        m.submodules.exponents = exponents = GroupExponents(config, self._capacity)
        m.d.comb += [
            exponents.i_start.eq(self.i_start),
            exponents.i_job.eq(job),
            exponents.i_valid.eq(self.i_valid),
            exponents.i.eq(self.i),
        ]

        # Ring
        m.submodules.ring = ring = memory.Memory(
            shape=word_layout.size, depth=self._capacity, init=[], attrs={"ram_style": "block"}
        )
        write_port, read_port = ring.write_port(), ring.read_port()
        head = Signal(ceil_log2(self._capacity))
        tail = Signal.like(head)
        filled = Signal(range(self._capacity + 1))
        has_words = Signal()  # ``filled`` is not 0
        pop, taken = Signal(), Signal()
        m.d.comb += [
            write_port.addr.eq(tail),
            write_port.data.eq(self.i.as_value()),
            write_port.en.eq(self.i_valid),
            read_port.addr.eq(head),
            self.o_taken.eq(taken),
        ]
        m.d.sync += [tail.eq(tail + self.i_valid), head.eq(head + pop)]
        with m.If(self.i_valid & ~taken):
            m.d.sync += [filled.eq(filled + 1), has_words.eq(1)]
        with m.Elif(~self.i_valid & taken):
            m.d.sync += [filled.eq(filled - 1), has_words.eq(filled[1:].any())]

        # Readout: a word when there is one, or the positions of a group, some of them zeros.
        # Everything from here to the block register waits when it cannot move on.
        # The words of a wide key stay in the ring until they are read for the second time.
        advance = Signal()
        reading = Signal()
        low = Signal()  # for the low plane
        again = Signal()  # the words are read again
        group_head = Signal.like(head, reset_less=True)
        position = Signal(6)
        exponent = Signal(signed(8))
        # Of the position, and what they are of a group's first one.
        last_position, inside = Signal(reset_less=True), Signal(reset_less=True)
        only_position, first_inside = Signal(reset_less=True), Signal(reset_less=True)
        per_block = config.words_per_block
        stage = data.StructLayout(
            {"valid": 1, "inside": 1, "block_end": 1, "low": 1, "exponent": signed(8)}
        )
        stages = [Signal(stage, name=f"stage_{k}") for k in range(5)]
        # The positions before the last one, before the first word inside, of the last one inside
        before_last = Signal.like(position, reset_less=True)
        before_inside = Signal.like(position, reset_less=True)
        end_inside = Signal.like(position, reset_less=True)
        m.d.sync += [
            only_position.eq(job.group_words == 1),
            first_inside.eq(job.group_offset == 0),
            before_last.eq(job.group_words - 2),
            before_inside.eq(job.group_offset - 1),
            end_inside.eq(job.group_offset + job.group_length - 1),
        ]
        m.d.comb += [
            again.eq(job.wide_keys & ~low),
            exponents.o.ready.eq(job.quantize & (~reading | (advance & last_position & ~again))),
            pop.eq(advance & Mux(job.quantize, reading & inside, has_words)),
            taken.eq(pop & ~again),
            read_port.en.eq(advance),
            stages[0].valid.eq(Mux(job.quantize, reading, has_words)),
            stages[0].inside.eq(inside),
            stages[0].block_end.eq(
                job.quantize & reading & (position % per_block == per_block - 1)
            ),
            stages[0].low.eq(low),
            stages[0].exponent.eq(exponent),
        ]
        with m.If(exponents.o.valid & exponents.o.ready):
            m.d.sync += [
                reading.eq(1),
                position.eq(0),
                last_position.eq(only_position),
                inside.eq(first_inside),
                low.eq(0),
                exponent.eq(exponents.o.payload),
                group_head.eq(head + pop),
            ]
        with m.Elif(reading & advance):
            m.d.sync += [
                position.eq(position + 1),
                last_position.eq(position == before_last),
                inside.eq((inside | (position == before_inside)) & (position != end_inside)),
            ]
            with m.If(last_position):
                m.d.sync += [reading.eq(again), low.eq(again)]
                with m.If(again):
                    m.d.sync += [
                        position.eq(0),
                        last_position.eq(only_position),
                        inside.eq(first_inside),
                        head.eq(group_head),
                        exponent.eq(low_plane_exponent(exponent, config.activation_bits)),
                    ]
        word = Signal(word_layout, reset_less=True)
        to_memory = Signal()  # what is in ``word``
        with m.If(advance):
            m.d.sync += to_memory.eq(stages[1].valid & ~job.quantize)
            m.d.sync += [later.eq(earlier) for earlier, later in pairwise(stages)]
            # words for the vector memory end here
            m.d.sync += stages[3].valid.eq(stages[2].valid & job.quantize)
            m.d.sync += word.eq(read_port.data)

        # Quantised: words of codes are collected to a block of 32
        codes = []
        for lane in range(config.lanes):
            quantizer = EnableInserter(advance)(Quantizer(config.activation_bits, with_narrow=True))
            m.submodules[f"quantizer_{lane}"] = quantizer
            m.d.comb += [
                quantizer.i.eq(word[lane]),
                quantizer.i_exponent.eq(stages[2].exponent),
                quantizer.i_narrow.eq(job.to_groups),
                quantizer.i_wide.eq(job.wide_keys),
                quantizer.i_low.eq(stages[2].low),
            ]
            codes.append(
                quantizer.o.as_unsigned() & stages[4].inside.replicate(config.activation_bits)
            )
        word_codes = Cat(*codes)
        earlier_codes = Signal((per_block - 1) * len(word_codes), reset_less=True)
        block = Signal(activation_block(config), reset_less=True)
        block_valid = Signal()
        block_ready = Mux(job.to_groups, self.o_groups.ready, self.o_activation_write.ready)
        complete = stages[4].block_end
        # what `low_plane_exponent` leaves
        below = LOW_PLANE_BITS - (config.activation_bits - KEY_BITS)
        collected = Cat(earlier_codes, word_codes)
        with m.If(block_ready):
            m.d.sync += block_valid.eq(0)
        with m.If(advance & stages[4].valid):
            m.d.sync += earlier_codes.eq(collected[len(word_codes) :])
        with m.If(advance & complete):
            m.d.sync += [
                block.codes.as_value().eq(collected),
                block.exponent.eq(stages[4].exponent - Mux(stages[4].low, below, 0)),
                block_valid.eq(1),
            ]

        # Destinations
        m.submodules.walk_d = walk_d = AddressWalker()
        words_left = Signal(10)
        inner_left = Signal(7)
        m.d.comb += [
            self.o_write.valid.eq(to_memory),
            self.o_write.payload.address.eq(walk_d.o),
            self.o_write.payload.data.eq(word),
            self.o_activation_write.valid.eq(block_valid & ~job.to_groups),
            self.o_activation_write.payload.address.eq(walk_d.o),
            self.o_activation_write.payload.block.eq(block),
            self.o_groups.valid.eq(block_valid & job.to_groups),
            self.o_groups.payload.exponent.eq(block.exponent),
            *(self.o_groups.payload.codes[k].eq(block.codes[k]) for k in range(BLOCK)),
            # A block waits until the one before it has been taken, which is no cycle's loss where
            # nothing holds that up: a block is two words or more.
            advance.eq(~((to_memory & ~self.o_write.ready) | (complete & block_valid))),
        ]
        # Whoever waits for this asks for everything else, too.
        m.d.sync += self.o_idle.eq(
            ~(has_words | reading | block_valid | Cat(s.valid for s in stages[1:]).any())
        )
        # one word, or all words of a group, are done
        done_words = Signal(6, reset_less=True)
        # What the counters say, and what they will after one more step
        inner_end, last_inner = Signal(reset_less=True), Signal(reset_less=True)
        fills = job.quantize & job.fill
        step = walk_d.i_next
        m.d.sync += [
            done_words.eq(Mux(job.quantize, job.group_words, 1)),
            inner_end.eq(
                fills
                | Mux(
                    step,
                    Mux(inner_end, job.words == done_words, words_left == (done_words << 1)),
                    words_left == done_words,
                )
            ),
            last_inner.eq(
                Mux(
                    step & inner_end,
                    Mux(last_inner, job.inner == 1, inner_left == 2),
                    inner_left == 1,
                )
            ),
        ]
        m.d.comb += [
            walk_d.i_start.eq(self.i_start),
            walk_d.i_base.eq(job.d),
            walk_d.i_next.eq(
                Mux(job.quantize, block_valid & block_ready, to_memory & self.o_write.ready)
            ),
            walk_d.i_next_inner.eq(inner_end & ~last_inner),
            walk_d.i_next_outer.eq(inner_end & last_inner),
            walk_d.i_inner.eq(job.d_inner),
            walk_d.i_outer.eq(job.d_outer),
        ]
        with m.If(self.i_start):
            m.d.sync += [
                words_left.eq(job.words),
                inner_left.eq(job.inner),
            ]
        with m.Elif(walk_d.i_next):
            m.d.sync += words_left.eq(words_left - done_words)
            with m.If(inner_end):
                m.d.sync += [
                    words_left.eq(job.words),
                    inner_left.eq(Mux(last_inner, job.inner, inner_left - 1)),
                ]
        return m
