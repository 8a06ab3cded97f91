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
        Begin the job; `i_decoded` is the job in this cycle, `i_job` from the next one on.
    i_refused : In(1)
        With `i_start`: read nothing after all.
    i_decoded, i_job : In(VectorJob)
    i_taken : In(1)
        A result left the unit's result buffer.
    i_resume : In(1)
        The next reduction may begin.
    o_request : Out(stream of addresses)
        To the vector memory; its data comes MEMORY_READ_LATENCY cycles after the transfer.
    o_scalar_address : Out(8), o_scalar_read : Out(1)
        Row scalar to read with the same latency.
    o_tag : Out(OperandTag)
        What the data is that arrives in this cycle.
    o_active : Out(1)
        There are requests to come.
    o_empty : Out(1)
        No result is on its way.
    o_fault : Out(1)
        The words do not make whole groups.
    """

    i_start: Signal
    i_refused: Signal
    i_decoded: Any
    i_job: Any
    i_taken: Signal
    i_resume: Signal
    o_request: stream.Interface
    o_scalar_address: Signal
    o_scalar_read: Signal
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
                "i_refused": In(1),
                "i_decoded": In(VectorJob),
                "i_job": In(VectorJob),
                "i_taken": In(1),
                "i_resume": In(1),
                "o_request": Out(stream.Signature(VECTOR_ADDRESS)),
                "o_scalar_address": Out(8),
                "o_scalar_read": Out(1),
                "o_tag": Out(OperandTag),
                "o_active": Out(1),
                "o_empty": Out(1),
                "o_fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Loop counters, two walkers, and the count of words on their way."""
        m = Module()
        job, decoded = self.i_job, self.i_decoded
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

        transfer = Signal()
        next_word = Signal()
        last_word = Signal()
        last_inner = Signal()
        last_outer = Signal()
        begins = Signal()
        m.d.comb += [
            self.o_request.valid.eq(active & ~waiting & ~gap & (operand.any() | ~outstanding[-1])),
            self.o_request.payload.eq(
                Mux(
                    operand.any(),
                    walk_b.o + Mux(operand[1], job.sine_offset, 0),
                    walk_a.o,
                )
            ),
            transfer.eq(self.o_request.valid & self.o_request.ready),
            next_word.eq(transfer & (operand == job.last_read)),
            begins.eq(transfer & ~operand.any() & ~job.reduce),
            last_word.eq(words_left == 1),
            last_inner.eq(inner_left == 1),
            last_outer.eq(outer_left == 1),
            self.o_active.eq(active),
            self.o_empty.eq(outstanding == 0),
            self.o_scalar_address.eq(walk_b.o),
            self.o_scalar_read.eq(transfer & job.row_scalar),
        ]
        for walker, base, outer, inner in (
            (walk_a, decoded.a, job.a_outer, job.a_inner),
            (walk_b, decoded.b, job.b_outer, job.b_inner),
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

        with m.If(self.i_start):
            m.d.sync += [
                active.eq(decoded.count.any() & ~self.i_refused),
                operand.eq(0),
                words_left.eq(decoded.words),
                inner_left.eq(decoded.inner),
                outer_left.eq(decoded.count),
                group_left.eq(decoded.group_length),
            ]
        with m.Elif(transfer):
            m.d.sync += operand.eq(operand + 1)
            with m.If(next_word):
                whole_group = group_left == 1
                m.d.sync += [
                    operand.eq(0),
                    words_left.eq(words_left - 1),
                    group_left.eq(Mux(whole_group, job.group_length, group_left - 1)),
                ]
                with m.If(last_word):
                    m.d.sync += [words_left.eq(job.words), inner_left.eq(inner_left - 1)]
                    m.d.comb += self.o_fault.eq(job.quantize & ~whole_group)
                    with m.If(job.reduce):
                        m.d.sync += waiting.eq(1)
                    with m.If(last_inner):
                        m.d.sync += [inner_left.eq(job.inner), outer_left.eq(outer_left - 1)]
                        with m.If(last_outer):
                            m.d.sync += active.eq(0)
                    with m.If(self.o_fault):
                        m.d.sync += active.eq(0)
        with m.If(self.i_resume):
            m.d.sync += waiting.eq(0)
        slow = job.reduce & (self._config.lanes == 16)
        slow |= job.activate & (self._activate_cycles == 2)
        m.d.sync += gap.eq(transfer & slow)
        with m.If(begins & ~self.i_taken):
            m.d.sync += outstanding.eq(outstanding + 1)
        with m.Elif(~begins & self.i_taken):
            m.d.sync += outstanding.eq(outstanding - 1)

        tag: Any = Signal(OperandTag, name="tag_0")
        m.d.comb += [
            tag.valid.eq(transfer),
            tag.operand.eq(operand),
            tag.last.eq(last_word),
        ]
        for k in range(MEMORY_READ_LATENCY):
            delayed = Signal(OperandTag, name=f"tag_{k + 1}")
            m.d.sync += delayed.eq(tag)
            tag = delayed
        m.d.comb += self.o_tag.eq(tag)
        return m
