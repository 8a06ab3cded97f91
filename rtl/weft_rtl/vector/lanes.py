# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the vector unit: in each lane one multiplier, one adder, one gate."""

from typing import Any

from amaranth import Cat, Const, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.floating.adder import FloatAdder
from weft_rtl.floating.formats import FLOAT, pipeline
from weft_rtl.floating.multiplier import FloatMultiplier
from weft_rtl.interfaces import float_word
from weft_rtl.vector.gate_unit import GateUnit
from weft_rtl.vector.job import VectorJob
from weft_rtl.vector.lane_tree import LaneTree
from weft_rtl.vector.operand_reader import OperandTag
from weft_rtl.vector.reduction_sequencer import ReductionSequencer

__all__ = ["VectorLanes"]

_ONE = 0x3F8000


def _choose(*pairs: tuple[Value, Value]) -> Value:
    """The value whose condition is up (at most one is), else 0; two pairs are one LUT4 per bit."""
    result: Value = Const(0, FLOAT)
    for condition, value in pairs:
        result = result | (value & condition.replicate(len(value)))
    return result


class VectorLanes(wiring.Component):
    """Computes words from operands as they arrive; nothing in here can wait.

    ::

        x = a, swap(a), scalar, gate(a)   y = data, a     (multiplier, 3 cycles)
        product -> result                                 COPY, MUL, ACTIVATE
        product -> held; held +- product -> result        ADD, SUB, ROPE: two products per word
        product + scalar -> result                        ADD, SUB with a scalar
        product + sum of a round ago -> ... -> total      REDUCE (`ReductionSequencer`, `LaneTree`)

    From the data of a word's last operand to the result: 3 cycles with one product, 7 with an
    addition, 10 or 11 for ACTIVATE. One job at a time.

    Area: about 1,000 LUT4 and 1 multiplier per lane.

    Parameters
    ----------
    activate_cycles : int
        Cycles per word of ACTIVATE, 1 or 2.

    Members
    -------
    i_job : In(VectorJob)
    i_tag_next : In(OperandTag)
        `i_tag` a cycle before.
    i_tag : In(OperandTag), i_data : In(float_word)
        An operand.
    i_row_scalar : In(24)
        The row scalar of the operand's word.
    o_valid : Out(1), o : Out(float_word)
        A word of results.
    o_total_valid : Out(1), o_total : Out(24)
        A reduction's sum, scaled and with the offset.
    o_finish : Out(1)
        The function of the last total, FloatReciprocal.LATENCY cycles later, is there.
    o_resume : Out(1)
        The next reduction may be requested.
    """

    i_job: Any
    i_tag_next: Any
    i_tag: Any
    i_data: data.View
    i_row_scalar: Signal
    o_valid: Signal
    o: data.View
    o_total_valid: Signal
    o_total: Signal
    o_finish: Signal
    o_resume: Signal

    def __init__(self, config: Configuration, activate_cycles: int) -> None:
        self._config = config
        self._activate_cycles = activate_cycles
        word = float_word(config)
        super().__init__(
            {
                "i_job": In(VectorJob),
                "i_tag_next": In(OperandTag),
                "i_tag": In(OperandTag),
                "i_data": In(word),
                "i_row_scalar": In(FLOAT),
                "o_valid": Out(1),
                "o": Out(word),
                "o_total_valid": Out(1),
                "o_total": Out(FLOAT),
                "o_finish": Out(1),
                "o_resume": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Control beside the multipliers, then the lanes."""
        m = Module()
        lanes = self._config.lanes
        job, tag = self.i_job, self.i_tag
        m.submodules.gate = gate = GateUnit(lanes, self._activate_cycles)
        m.submodules.reduction = reduction = ReductionSequencer(lanes)
        m.submodules.lane_tree = lane_tree = LaneTree(lanes)
        tree = reduction.o
        m.d.comb += [
            gate.i_valid.eq(tag.valid),
            gate.i.eq(self.i_data),
            gate.i_activation.eq(job.activation),
        ]

        # Which products begin now
        first, second, third = (tag.valid & (tag.operand == k) for k in range(3))
        held_begins = Signal()
        added_begins = Signal()
        single_begins = Signal()
        gate_begins = pipeline_with_reset(m, job.activate & first, gate.latency, "gate_valid")
        m.d.comb += [
            held_begins.eq(job.two_products & Mux(job.rope, second, first)),
            added_begins.eq(job.two_products & Mux(job.rope, third, second)),
            single_begins.eq(~job.two_products & ~job.activate & Mux(job.pair, second, first)),
        ]
        delay = FloatMultiplier.LATENCY
        is_held = pipeline_with_reset(m, held_begins, delay, "held")
        is_added = pipeline_with_reset(
            m, added_begins | (single_begins & job.add_scalar), delay, "added"
        )
        is_word = pipeline_with_reset(m, single_begins & job.reduce, delay, "word")
        is_last = pipeline(m, tag.last, delay, "last")
        is_result = pipeline_with_reset(
            m, gate_begins | (single_begins & ~job.add_scalar & ~job.reduce), delay, "result"
        )
        is_sum = pipeline_with_reset(m, is_added, FloatAdder.LATENCY, "sum")
        m.d.comb += [
            reduction.i_word.eq(is_word),
            reduction.i_last.eq(is_last),
            reduction.i_free.eq(lane_tree.o_free),
            lane_tree.i_take.eq(tree.take),
            lane_tree.i_offset.eq(job.offset),
            lane_tree.i_multiplier_free_next.eq(~self.i_tag_next.valid),
            self.o_valid.eq(is_result | is_sum),
            self.o_total_valid.eq(lane_tree.o_total_valid),
            self.o_total.eq(lane_tree.o_total),
            self.o_finish.eq(lane_tree.o_finish),
            self.o_resume.eq(reduction.o_resume),
        ]

        # Choices go to every bit of every lane, so they are registers.
        x_held, x_swapped, x_data = Signal(), Signal(), Signal()
        x_factor, use_one = Signal(), Signal()

        # Scalars, the same for all lanes
        scalar = Mux(job.row_scalar, self.i_row_scalar, job.scalar)
        factor = Signal(FLOAT)
        addend = Signal(FLOAT)
        late_scalar = pipeline(m, scalar, delay, "late_scalar")
        m.d.comb += [
            factor.eq(Mux(use_one, _ONE, scalar)),
            addend.eq(late_scalar ^ (job.subtract << 23)),
        ]

        # Operand choices
        third_next = self.i_tag_next.operand[1]
        scale_next = lane_tree.o_scale_next
        m.d.sync += [
            x_held.eq(job.pair | (job.rope & ~third_next)),
            x_swapped.eq(job.rope & third_next),
            x_data.eq(job.square & ~scale_next),
            x_factor.eq(~(job.pair | job.rope | job.activate | (job.square & ~scale_next))),
            use_one.eq(job.by_one & ~scale_next),
        ]
        step = Signal()
        m.d.comb += step.eq(~job.reduce | tree.step)

        operand_a = Signal(float_word(self._config), reset_less=True)
        with m.If(first):
            m.d.sync += operand_a.eq(self.i_data)
        held = Signal(float_word(self._config), reset_less=True)
        sums = [Signal(FLOAT, name=f"sum_{lane}") for lane in range(lanes)]
        products = [Signal(FLOAT, name=f"product_{lane}") for lane in range(lanes)]
        for lane in range(lanes):
            m.submodules[f"multiplier_{lane}"] = multiplier = FloatMultiplier()
            m.submodules[f"adder_{lane}"] = adder = EnableInserter(step)(FloatAdder())

            y = Mux(job.activate, gate.o_x[lane], self.i_data[lane])
            if lane == 0:
                y = Mux(lane_tree.o_scale, lane_tree.o_sum, y)
            m.d.comb += [
                multiplier.i_a.eq(
                    _choose(
                        (x_held, operand_a[lane]),
                        (x_swapped, operand_a[lane ^ 1]),
                        (x_data, self.i_data[lane]),
                        (x_factor, factor),
                        (job.activate, gate.o_gate[lane]),
                    )
                ),
                multiplier.i_b.eq(y),
                products[lane].eq(multiplier.o),
            ]

            # the sums of the steps before
            delays = [
                Signal(FLOAT, name=f"sum_{lane}_delay_{k}", reset_less=True) for k in range(4)
            ]
            phases = BLOCK // lanes
            with m.If(step & job.reduce):
                m.d.sync += delays[0].eq(sums[lane])
                m.d.sync += [delays[k].eq(delays[k - 1]) for k in range(1, 4)]
            with m.If(is_held):
                m.d.sync += held[lane].eq(products[lane])
            choices = [
                (job.two_products, held[lane]),
                (job.add_scalar, addend),
                (tree.a_oldest, delays[3] if phases == 8 else sums[lane]),
                (tree.a_2, delays[1]),
            ]
            if phases > 2:
                choices.append((tree.a_1, delays[0]))
            m.d.comb += [
                adder.i_a.eq(_choose(*choices)),
                adder.i_b.eq(_choose((tree.b_product, products[lane]), (tree.b_sum, sums[lane]))),
                adder.i_subtract.eq(job.subtract & job.two_products),
                sums[lane].eq(adder.o),
                self.o[lane].eq(Mux(is_sum, sums[lane], products[lane])),
                lane_tree.i_sums[lane].eq(sums[lane]),
            ]
        m.d.comb += lane_tree.i_scaled.eq(products[0])
        return m


def pipeline_with_reset(m: Module, value: Value, cycles: int, name: str) -> Value:
    """A flag delayed by ``cycles`` registers, 0 after a reset."""
    stages = Signal(cycles, name=name)
    m.d.sync += stages.eq(Cat(value, stages[:-1]))
    return stages[-1]
