# SPDX-License-Identifier: Apache-2.0
"""The end of a reduction: the sum over the lanes, scaled, with its offset."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.attention.flags import delay
from weft_rtl.floating.adder import FloatAdder
from weft_rtl.floating.formats import FLOAT
from weft_rtl.floating.multiplier import FloatMultiplier
from weft_rtl.floating.reciprocal import FloatReciprocal

__all__ = ["LaneTree"]


class LaneTree(wiring.Component):
    """Adds the lanes' sums pairwise, lane k and lane k + lanes / 2 first, with one adder, while the
    lanes work on the next reduction.

    ::

        sums of the lanes -> queue of pairs ---.
        result -> half of a pair, and a result -+-> adder -> result, ..., sum, ..., total
        sum -> (multiplier) -> scaled, offset --'

    The sum is scaled by a multiplier of the lanes when no operand needs that, so between the
    operands of two reductions there must be a pause.

    From `i_take` to `o_total_valid`: 25 cycles for 8 lanes (4: 19, 16: 35) if the multiplier is
    free, and FloatReciprocal.LATENCY more to `o_finish`. Area (8 lanes): about 800 LUT4.

    Members
    -------
    i_take : In(1), i_sums : In(ArrayLayout(24, lanes))
        Sums of a reduction.
    i_offset : In(24)
        Steady.
    o_free : Out(1)
        All pairs of the sums before are being added: further ones may be taken.
    i_multiplier_free_next : In(1)
        No other operand begins in the next cycle.
    o_scale_next : Out(1)
        `o_scale` a cycle before.
    o_scale : Out(1), o_sum : Out(24)
        A sum to be scaled begins in this cycle.
    i_scaled : In(24)
        It, FloatMultiplier.LATENCY cycles later.
    o_total_valid : Out(1), o_total : Out(24)
        The reduction's sum, scaled and with the offset.
    o_finish : Out(1)
        FloatReciprocal.LATENCY cycles after `o_total_valid`.
    """

    i_take: Signal
    i_sums: data.View
    i_offset: Signal
    o_free: Signal
    i_multiplier_free_next: Signal
    o_scale_next: Signal
    o_scale: Signal
    o_sum: Signal
    i_scaled: Signal
    o_total_valid: Signal
    o_total: Signal
    o_finish: Signal

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        super().__init__(
            {
                "i_take": In(1),
                "i_sums": In(data.ArrayLayout(FLOAT, lanes)),
                "i_offset": In(FLOAT),
                "o_free": Out(1),
                "i_multiplier_free_next": In(1),
                "o_scale_next": Out(1),
                "o_scale": Out(1),
                "o_sum": Out(FLOAT),
                "i_scaled": In(FLOAT),
                "o_total_valid": Out(1),
                "o_total": Out(FLOAT),
                "o_finish": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Queue, halves of pairs, and what the adder does: results first, new pairs last."""
        m = Module()
        lanes = self._lanes
        levels = lanes.bit_length() - 1
        m.submodules.adder = adder = FloatAdder()

        # Pairs of the first level, so ordered that their results pair up as they come.
        order = [0]
        while len(order) < lanes:
            step = lanes // (2 * len(order))
            order = [*order, *(lane + step for lane in order)]
        queue = Signal(lanes * FLOAT.width, reset_less=True)
        pairs_left = Signal(range(lanes // 2 + 1))
        # What the adder does next is decided a cycle before.
        add_pair, add_offset = Signal(), Signal()
        pairs_next = Signal()
        with m.If(self.i_take):
            m.d.sync += [
                queue.eq(Cat(self.i_sums[lane] for lane in order)),
                pairs_left.eq(lanes // 2),
            ]
            m.d.comb += pairs_next.eq(1)
        with m.Elif(add_pair):
            m.d.sync += [queue.eq(queue[2 * FLOAT.width :]), pairs_left.eq(pairs_left - 1)]
            m.d.comb += pairs_next.eq(pairs_left != 1)
        with m.Else():
            m.d.comb += pairs_next.eq(pairs_left.any())

        # A result waits for the next one of its level, which is its partner.
        newest: Value = add_pair  # additions of the level before
        halves: list[Value] = []
        adds_next: list[Value] = []
        for level in range(1, levels):
            half = Signal(FLOAT, name=f"half_{level}", reset_less=True)
            has_half = Signal(name=f"has_half_{level}")
            adds = Signal(name=f"adds_{level}")
            soon = delay(m, newest, FloatAdder.LATENCY - 1, f"result_{level}")
            comes = delay(m, soon, 1, f"result_now_{level}")
            with m.If(comes):
                m.d.sync += [half.eq(adder.o), has_half.eq(~has_half)]
            adds_next.append(soon & (has_half ^ comes))
            m.d.sync += adds.eq(adds_next[-1])
            halves.append(half & adds.replicate(FLOAT.width))
            newest = adds

        # The sum waits for the multiplier, and for the adder again.
        has_sum, has_scaled = Signal(), Signal()
        sum_next, scaled_next = Signal(), Signal()
        scaled = Signal(FLOAT, reset_less=True)
        sum_comes = delay(m, newest, FloatAdder.LATENCY, "sum")
        scaled_comes = delay(m, self.o_scale, FloatMultiplier.LATENCY, "scaled")
        with m.If(sum_comes):
            m.d.sync += self.o_sum.eq(adder.o)
        with m.If(scaled_comes):
            m.d.sync += scaled.eq(self.i_scaled)
        add_results = Cat(adds_next).any()
        m.d.comb += [
            sum_next.eq(sum_comes | (has_sum & ~self.o_scale)),
            scaled_next.eq(scaled_comes | (has_scaled & ~add_offset)),
            self.o_scale_next.eq(sum_next & self.i_multiplier_free_next),
        ]
        m.d.sync += [
            has_sum.eq(sum_next),
            has_scaled.eq(scaled_next),
            self.o_scale.eq(self.o_scale_next),
            add_offset.eq(~add_results & scaled_next),
            add_pair.eq(~add_results & ~scaled_next & pairs_next),
        ]

        total = delay(m, add_offset, FloatAdder.LATENCY, "total")
        half = reduce(or_, halves)
        m.d.comb += [
            adder.i_a.eq(Mux(add_pair, queue[: FLOAT.width], Mux(add_offset, scaled, half))),
            adder.i_b.eq(
                Mux(
                    add_pair,
                    queue[FLOAT.width : 2 * FLOAT.width],
                    Mux(add_offset, self.i_offset, adder.o),
                )
            ),
            self.o_free.eq(~pairs_left.any()),
            self.o_total_valid.eq(total),
            self.o_total.eq(adder.o),
            self.o_finish.eq(delay(m, total, FloatReciprocal.LATENCY, "finish")),
        ]
        return m
