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
        Begin a job; `i_decoded` is the job in this cycle, `i_job` from the next one on.
    i_decoded, i_job : In(VectorJob)
    i_valid : In(1), i : In(float_word)
        A word of results.
    o_taken : Out(1)
        A word left the ring.
    o_idle : Out(1)
        Nothing is behind the ring.
    o_write, o_activation_write, o_groups : Out(stream)
        The destinations.
    """

    i_start: Signal
    i_decoded: Any
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
                "i_decoded": In(VectorJob),
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
            m.d.sync += filled.eq(filled + 1)
        with m.Elif(~self.i_valid & taken):
            m.d.sync += filled.eq(filled - 1)

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
        last_position = Signal()
        inside = Signal()
        per_block = config.words_per_block
        stage = data.StructLayout(
            {"valid": 1, "inside": 1, "block_end": 1, "low": 1, "exponent": signed(8)}
        )
        stages = [Signal(stage, name=f"stage_{k}") for k in range(5)]
        m.d.comb += [
            last_position.eq(position + 1 == job.group_words),
            inside.eq(
                (position >= job.group_offset) & (position < job.group_offset + job.group_length)
            ),
            again.eq(job.wide_keys & ~low),
            exponents.o.ready.eq(job.quantize & (~reading | (advance & last_position & ~again))),
            pop.eq(advance & Mux(job.quantize, reading & inside, filled.any())),
            taken.eq(pop & ~again),
            read_port.en.eq(advance),
            stages[0].valid.eq(Mux(job.quantize, reading, filled.any())),
            stages[0].inside.eq(inside),
            stages[0].block_end.eq(position % per_block == per_block - 1),
            stages[0].low.eq(low),
            stages[0].exponent.eq(exponent),
        ]
        with m.If(exponents.o.valid & exponents.o.ready):
            m.d.sync += [
                reading.eq(1),
                position.eq(0),
                low.eq(0),
                exponent.eq(exponents.o.payload),
                group_head.eq(head + pop),
            ]
        with m.Elif(reading & advance):
            m.d.sync += position.eq(position + 1)
            with m.If(last_position):
                m.d.sync += [reading.eq(again), low.eq(again)]
                with m.If(again):
                    m.d.sync += [
                        position.eq(0),
                        head.eq(group_head),
                        exponent.eq(low_plane_exponent(exponent, config.activation_bits)),
                    ]
        word = Signal(word_layout, reset_less=True)
        with m.If(advance):
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
        complete = Signal()
        # what `low_plane_exponent` leaves
        below = LOW_PLANE_BITS - (config.activation_bits - KEY_BITS)
        collected = Cat(earlier_codes, word_codes)
        m.d.comb += complete.eq(job.quantize & stages[4].valid & stages[4].block_end)
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
        to_memory = stages[2].valid & ~job.quantize
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
            advance.eq(
                ~((to_memory & ~self.o_write.ready) | (complete & block_valid & ~block_ready))
            ),
            self.o_idle.eq(~(reading | block_valid | Cat(s.valid for s in stages[1:]).any())),
        ]
        # one word, or all words of a group, are done
        done_words = Mux(job.quantize, job.group_words, 1)
        inner_end = Signal()
        last_inner = inner_left == 1
        m.d.comb += [
            inner_end.eq((job.quantize & job.fill) | (words_left == done_words)),
            walk_d.i_start.eq(self.i_start),
            walk_d.i_base.eq(self.i_decoded.d),
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
                words_left.eq(self.i_decoded.words),
                inner_left.eq(self.i_decoded.inner),
            ]
        with m.Elif(walk_d.i_next):
            m.d.sync += words_left.eq(words_left - done_words)
            with m.If(inner_end):
                m.d.sync += [
                    words_left.eq(job.words),
                    inner_left.eq(Mux(last_inner, job.inner, inner_left - 1)),
                ]
        return m
