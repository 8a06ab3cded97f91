# SPDX-License-Identifier: Apache-2.0
"""Reads the operands of a job from vector memory."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.interfaces import MEMORY_READ_LATENCY, VECTOR_ADDRESS
from weft_rtl.vector.address_walker import AddressWalker
from weft_rtl.vector.job import VectorJob

__all__ = ["OperandReader", "OperandTag"]


class OperandTag(data.Struct):
    """What the data of this cycle is."""

    valid: 1
    operand: 2
    """0: a; 1: b or c; 2: s"""
    last: 1
    """of the innermost loop"""


class OperandReader(wiring.Component):
    """Requests the words of operands in the order a, b (or a, c, s), word after word.

    One request per cycle. Two cycles after its transfer comes its data, marked by `o_tag`. It stops
    while ``capacity`` results are on their way, and between reductions until it may resume.

    Area: about 350 LUT4.

    Parameters
    ----------
    capacity : int
        Words that may be on their way, a power of two.
    activate_cycles : int
        Cycles per word of ACTIVATE, 1 or 2.

    Members
    -------
    i_start : In(1)
        Begin the job.
    i_job : In(VectorJob)
        From `i_start` on.
    i_taken : In(1)
        A result left the unit's result buffer.
    i_resume : In(1)
        The next reduction may begin.
    o_request : Out(stream of addresses)
        To the vector memory; its data comes MEMORY_READ_LATENCY cycles after the transfer.
    o_scalar_address : Out(8), o_scalar_read : Out(1)
        Row scalar to read with the same latency.
    o_tag_next, o_tag : Out(OperandTag)
        What the data is that arrives in the next cycle, and in this one.
    o_active : Out(1)
        There are requests to come.
    o_empty : Out(1)
        No result is on its way.
    o_fault : Out(1)
        The words do not make whole groups.
    """

    i_start: Signal
    i_job: Any
    i_taken: Signal
    i_resume: Signal
    o_request: stream.Interface
    o_scalar_address: Signal
    o_scalar_read: Signal
    o_tag_next: Any
    o_tag: Any
    o_active: Signal
    o_empty: Signal
    o_fault: Signal

    def __init__(self, config: Configuration, capacity: int, activate_cycles: int) -> None:
        self._config = config
        self._activate_cycles = activate_cycles
        self._capacity = capacity
        super().__init__(
            {
                "i_start": In(1),
                "i_job": In(VectorJob),
                "i_taken": In(1),
                "i_resume": In(1),
                "o_request": Out(stream.Signature(VECTOR_ADDRESS)),
                "o_scalar_address": Out(8),
                "o_scalar_read": Out(1),
                "o_tag_next": Out(OperandTag),
                "o_tag": Out(OperandTag),
                "o_active": Out(1),
                "o_empty": Out(1),
                "o_fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Loop counters, two walkers, and the count of words on their way."""
        m = Module()
        job = self.i_job
        m.submodules.walk_a = walk_a = AddressWalker()
        m.submodules.walk_b = walk_b = AddressWalker()

        active = Signal()
        waiting = Signal()  # for the reduction to finish
        gap = Signal()  # between words, where the lanes cannot take one per cycle
        operand = Signal(2)
        words_left = Signal(10)
        inner_left = Signal(7)
        outer_left = Signal(24)
        group_left = Signal(6)
        outstanding = Signal(range(self._capacity + 1))
        some_outstanding = Signal()
        sine_address = Signal(VECTOR_ADDRESS, reset_less=True)

        transfer = Signal()
        next_word = Signal()
        # The counters as they are asked for: registers, as what the memory grants comes late.
        last_operand = Signal(reset_less=True)
        last_word = Signal(reset_less=True)
        last_inner = Signal(reset_less=True)
        last_outer = Signal(reset_less=True)
        whole_group = Signal(reset_less=True)
        begins = Signal()
        m.d.comb += [
            self.o_request.valid.eq(active & ~waiting & ~gap & (operand.any() | ~outstanding[-1])),
            self.o_request.payload.eq(
                Mux(operand[1], sine_address, Mux(operand[0], walk_b.o, walk_a.o))
            ),
            transfer.eq(self.o_request.valid & self.o_request.ready),
            next_word.eq(transfer & last_operand),
            begins.eq(transfer & ~operand.any() & ~job.reduce),
            self.o_active.eq(active),
            self.o_empty.eq(~some_outstanding),
            self.o_scalar_address.eq(walk_b.o),
            self.o_scalar_read.eq(transfer & job.row_scalar),
        ]
        for walker, base, outer, inner in (
            (walk_a, job.a, job.a_outer, job.a_inner),
            (walk_b, job.b, job.b_outer, job.b_inner),
        ):
            m.d.comb += [
                walker.i_start.eq(self.i_start),
                walker.i_base.eq(base),
                walker.i_next.eq(next_word),
                walker.i_next_inner.eq(last_word & ~last_inner),
                walker.i_next_outer.eq(last_word & last_inner),
                walker.i_outer.eq(outer),
                walker.i_inner.eq(inner),
            ]
        m.d.comb += walk_b.i_hold_words.eq(job.row_scalar)

        loop_end = last_operand & last_word
        broken = loop_end & job.quantize & ~whole_group
        job_end = loop_end & last_inner & last_outer
        m.d.sync += [
            active.eq(
                Mux(self.i_start, job.count.any(), active & ~(transfer & (broken | job_end)))
            ),
            self.o_fault.eq(transfer & broken),
        ]
        # Of c, which is read before s
        m.d.sync += sine_address.eq(walk_b.o + job.sine_offset)
        single_read, single_word = job.last_read == 0, job.words == 1
        single_inner, single_group = job.inner == 1, job.group_length == 1
        with m.If(self.i_start):
            m.d.sync += [
                operand.eq(0),
                last_operand.eq(single_read),
                words_left.eq(job.words),
                last_word.eq(single_word),
                inner_left.eq(job.inner),
                last_inner.eq(single_inner),
                outer_left.eq(job.count),
                last_outer.eq(job.count == 1),
                group_left.eq(job.group_length),
                whole_group.eq(single_group),
            ]
        with m.Elif(transfer):
            m.d.sync += [operand.eq(operand + 1), last_operand.eq(operand + 1 == job.last_read)]
            with m.If(next_word):
                m.d.sync += [
                    operand.eq(0),
                    last_operand.eq(single_read),
                    words_left.eq(words_left - 1),
                    last_word.eq(words_left == 2),
                    group_left.eq(Mux(whole_group, job.group_length, group_left - 1)),
                    whole_group.eq(Mux(whole_group, single_group, group_left == 2)),
                ]
                with m.If(last_word):
                    m.d.sync += [
                        words_left.eq(job.words),
                        last_word.eq(single_word),
                        inner_left.eq(inner_left - 1),
                        last_inner.eq(inner_left == 2),
                    ]
                    with m.If(job.reduce):
                        m.d.sync += waiting.eq(1)
                    with m.If(last_inner):
                        m.d.sync += [
                            inner_left.eq(job.inner),
                            last_inner.eq(single_inner),
                            outer_left.eq(outer_left - 1),
                            last_outer.eq(outer_left == 2),
                        ]
        with m.If(self.i_resume):
            m.d.sync += waiting.eq(0)
        slow = job.reduce & (self._config.lanes == 16)
        slow |= job.activate & (self._activate_cycles == 2)
        m.d.sync += gap.eq(transfer & slow)
        with m.If(begins & ~self.i_taken):
            m.d.sync += [outstanding.eq(outstanding + 1), some_outstanding.eq(1)]
        with m.Elif(~begins & self.i_taken):
            m.d.sync += [
                outstanding.eq(outstanding - 1),
                some_outstanding.eq(outstanding[1:].any()),
            ]

        tag: Any = Signal(OperandTag, name="tag_0")
        m.d.comb += [
            tag.valid.eq(transfer),
            tag.operand.eq(operand),
            tag.last.eq(last_word),
        ]
        tags = [tag]
        for k in range(MEMORY_READ_LATENCY):
            delayed: Any = Signal(OperandTag, name=f"tag_{k + 1}")
            m.d.sync += delayed.eq(tags[-1])
            tags.append(delayed)
        m.d.comb += [self.o_tag_next.eq(tags[-2]), self.o_tag.eq(tags[-1])]
        return m
