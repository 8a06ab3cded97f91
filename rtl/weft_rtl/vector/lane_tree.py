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
    i_multiplier_free : In(1)
        No other operand begins in this cycle.
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
    i_multiplier_free: Signal
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
                "i_multiplier_free": In(1),
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
        add_pair, add_offset = Signal(), Signal()
        with m.If(self.i_take):
            m.d.sync += [
                queue.eq(Cat(self.i_sums[lane] for lane in order)),
                pairs_left.eq(lanes // 2),
            ]
        with m.Elif(add_pair):
            m.d.sync += [queue.eq(queue[2 * FLOAT.width :]), pairs_left.eq(pairs_left - 1)]

        # A result waits for the next one of its level, which is its partner.
        adds: list[Value] = [add_pair]  # of each level
        halves: list[Value] = []
        for level in range(1, levels):
            half = Signal(FLOAT, name=f"half_{level}", reset_less=True)
            has_half = Signal(name=f"has_half_{level}")
            comes = delay(m, adds[-1], FloatAdder.LATENCY, f"result_{level}")
            with m.If(comes):
                m.d.sync += [half.eq(adder.o), has_half.eq(~has_half)]
            adds.append(comes & has_half)
            halves.append(half & adds[-1].replicate(FLOAT.width))
        add_results = Cat(adds[1:]).any()

        # The sum waits for the multiplier, and for the adder again.
        has_sum, has_scaled = Signal(), Signal()
        scaled = Signal(FLOAT, reset_less=True)
        with m.If(delay(m, adds[-1], FloatAdder.LATENCY, "sum")):
            m.d.sync += [has_sum.eq(1), self.o_sum.eq(adder.o)]
        with m.Elif(self.o_scale):
            m.d.sync += has_sum.eq(0)
        with m.If(delay(m, self.o_scale, FloatMultiplier.LATENCY, "scaled")):
            m.d.sync += [has_scaled.eq(1), scaled.eq(self.i_scaled)]
        with m.Elif(add_offset):
            m.d.sync += has_scaled.eq(0)

        total = delay(m, add_offset, FloatAdder.LATENCY, "total")
        half = reduce(or_, halves)
        m.d.comb += [
            add_offset.eq(~add_results & has_scaled),
            add_pair.eq(~add_results & ~add_offset & pairs_left.any()),
            adder.i_a.eq(Mux(add_pair, queue[: FLOAT.width], Mux(add_offset, scaled, half))),
            adder.i_b.eq(
                Mux(
                    add_pair,
                    queue[FLOAT.width : 2 * FLOAT.width],
                    Mux(add_offset, self.i_offset, adder.o),
                )
            ),
            self.o_free.eq(~pairs_left.any()),
            self.o_scale.eq(has_sum & self.i_multiplier_free),
            self.o_total_valid.eq(total),
            self.o_total.eq(adder.o),
            self.o_finish.eq(delay(m, total, FloatReciprocal.LATENCY, "finish")),
        ]
        return m
