# SPDX-License-Identifier: Apache-2.0
"""The end of a reduction: its function, and the row scalar it is written to."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.isa import ReducePost
from weft_rtl.floating.formats import FLOAT
from weft_rtl.floating.reciprocal import FloatReciprocal
from weft_rtl.interfaces import row_scalar_write
from weft_rtl.vector.address_walker import AddressWalker
from weft_rtl.vector.job import VectorJob

__all__ = ["ReduceDestination"]


class ReduceDestination(wiring.Component):
    """Takes the function of each total and sends it to its row scalar, FloatReciprocal.LATENCY + 1
    cycles later.

    Area: about 450 LUT4, 2 block RAMs.

    Members
    -------
    i_start : In(1)
        Begin a job.
    i_job : In(VectorJob)
        From `i_start` on.
    i_total_valid : In(1), i_total : In(24)
        A total.
    i_finish : In(1)
        FloatReciprocal.LATENCY cycles after `i_total_valid`.
    o : Out(stream of row_scalar_write)
        It must be taken before the next total is finished, at least 7 cycles later; the softmax
        unit, which comes first, writes a row scalar in four cycles.
    o_idle : Out(1)
        All of the job's totals are written; 1 if it is no REDUCE.
    """

    i_start: Signal
    i_job: Any
    i_total_valid: Signal
    i_total: Signal
    i_finish: Signal
    o: stream.Interface
    o_idle: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_start": In(1),
                "i_job": In(VectorJob),
                "i_total_valid": In(1),
                "i_total": In(FLOAT),
                "i_finish": In(1),
                "o": Out(stream.Signature(row_scalar_write())),
                "o_idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Function unit, walker, and the loops that are left."""
        m = Module()
        job = self.i_job
        m.submodules.function = function = FloatReciprocal(with_rsqrt=True)
        m.submodules.walk_d = walk_d = AddressWalker()
        total = Signal(FLOAT, reset_less=True)
        value = Signal(FLOAT, reset_less=True)
        waiting = Signal()
        with m.If(self.i_total_valid):
            m.d.sync += total.eq(self.i_total)
        with m.If(self.o.ready):
            m.d.sync += waiting.eq(0)
        with m.If(self.i_finish):
            m.d.sync += [
                value.eq(Mux(job.post == ReducePost.NONE, total, function.o)),
                waiting.eq(1),
            ]
        inner_left = Signal(7)
        outer_left = Signal(24)
        last_inner, some_left = Signal(), Signal()  # as the counters stand
        written = waiting & self.o.ready
        m.d.comb += [
            function.i.eq(self.i_total),
            function.i_rsqrt.eq(job.post == ReducePost.RSQRT),
            self.o.valid.eq(waiting),
            self.o.payload.address.eq(walk_d.o),
            self.o.payload.value.eq(value),
            self.o_idle.eq(~some_left),
            walk_d.i_start.eq(self.i_start),
            walk_d.i_base.eq(job.d),
            walk_d.i_next.eq(written),
            walk_d.i_next_inner.eq(~last_inner),
            walk_d.i_next_outer.eq(last_inner),
            walk_d.i_inner.eq(job.d_inner),
            walk_d.i_outer.eq(job.d_outer),
        ]
        with m.If(self.i_start):
            m.d.sync += [
                inner_left.eq(job.inner),
                last_inner.eq(job.inner == 1),
                outer_left.eq(job.count),
                some_left.eq(job.reduce & job.count.any()),
            ]
        with m.Elif(written):
            m.d.sync += [inner_left.eq(inner_left - 1), last_inner.eq(inner_left == 2)]
            with m.If(last_inner):
                m.d.sync += [
                    inner_left.eq(job.inner),
                    last_inner.eq(job.inner == 1),
                    outer_left.eq(outer_left - 1),
                    some_left.eq(outer_left != 1),
                ]
        return m
