# SPDX-License-Identifier: Apache-2.0
"""From the scores of a kv block to its probabilities, row after row."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.attention.exponential import Exponential
from weft_rtl.attention.flags import delay
from weft_rtl.attention.probability_quantizer import ProbabilityQuantizer
from weft_rtl.attention.running_maximum import RunningMaximum
from weft_rtl.attention.running_sum import RunningSum
from weft_rtl.attention.score_buffer import MAXIMUM, masked_scores, probability_lanes
from weft_rtl.floating.formats import pipeline
from weft_rtl.interfaces import SoftmaxJob, activation_write, row_scalar_write, strobe_signature

__all__ = ["ProbabilityPipeline"]


class ProbabilityPipeline(wiring.Component):
    """Works through the rows of one job: running maximum, probabilities, running sum, blocks.

    A row takes 32 / `probability_lanes` cycles.

    Members
    -------
    i_start : In(1)
        Begin with ``i_job``, which is valid from the cycle before and until ``o_finished`` and the
        last block. Only when the job before is through.
    i_job : In(SoftmaxJob)
    o_part, i_value_exponents : Out, In(ArrayLayout(signed(8), probability_lanes))
        Reads a part of the exponents of the job's values, at once.
    o_maximum_address, i_maximum, o_score_address, i_scores :
        Read ports of `ScoreBuffer`.
    o_rescale : Out(strobe of {address {parity, row}, shift})
    o_block : Out(strobe of activation_write)
        Not registered.
    o_is_last : Out(1)
        The block at ``o_block`` is the job's last.
    o_is_enough : Out(1)
        A reader of a row per cycle may begin after it; see `ProbabilityQuantizer`.
    o_row_scalar : Out(strobe of row_scalar_write)
        Not registered.
    o_finished : Out(1)
        Pulse: running sums and row scalars are written.

    From ``i_start`` to the first block are about 27 cycles, those of a row, and
    log2(`probability_lanes`).
    """

    i_start: Signal
    i_job: data.View
    o_part: Signal
    i_value_exponents: data.View
    o_maximum_address: Signal
    i_maximum: Signal
    o_score_address: Signal
    i_scores: data.View
    o_rescale: wiring.PureInterface
    o_block: wiring.PureInterface
    o_is_last: Signal
    o_is_enough: Signal
    o_row_scalar: wiring.PureInterface
    o_finished: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        self._lanes = probability_lanes(config)
        self._parts = BLOCK // self._lanes
        rows = 2 * config.max_rows
        rescale = data.StructLayout({"address": range(rows), "shift": 8})
        super().__init__(
            {
                "i_start": In(1),
                "i_job": In(SoftmaxJob),
                "o_part": Out(range(self._parts)),
                "i_value_exponents": In(data.ArrayLayout(signed(8), self._lanes)),
                "o_maximum_address": Out(range(rows)),
                "i_maximum": In(MAXIMUM),
                "o_score_address": Out(range(rows * self._parts)),
                "i_scores": In(masked_scores(self._lanes)),
                "o_rescale": Out(strobe_signature(rescale)),
                "o_block": Out(strobe_signature(activation_write(config))),
                "o_is_last": Out(1),
                "o_is_enough": Out(1),
                "o_row_scalar": Out(strobe_signature(row_scalar_write())),
                "o_finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        job, parts = self.i_job, self._parts

        # 0: which row, which part of it
        active = Signal()
        row = Signal(range(self._config.max_rows), reset_less=True)
        part = Signal(range(parts))
        last_row = Signal.like(job.rows, reset_less=True)
        m.d.sync += last_row.eq(job.rows - 1)
        is_last = part == parts - 1
        with m.If(self.i_start):
            m.d.sync += [active.eq(1), row.eq(0)]
        with m.If(active):
            m.d.sync += part.eq(part + 1)
            with m.If(is_last):
                m.d.sync += [row.eq(row + 1), active.eq(row != last_row)]

        # 0 to 8: maximum
        maximum = RunningMaximum(self._config.max_rows)
        m.submodules.running_maximum = maximum
        m.d.comb += [
            self.o_maximum_address.eq(Cat(row, job.parity)),
            maximum.i_valid.eq(active & ~part.any()),
            maximum.i_row.eq(row),
            maximum.i_block_maximum.eq(self.i_maximum),
            maximum.i_first.eq(job.first),
            self.o_rescale.valid.eq(maximum.o_valid),
            self.o_rescale.payload.address.eq(Cat(maximum.o_row, job.parity)),
            self.o_rescale.payload.shift.eq(maximum.o_rescale),
        ]

        # Scores meet the maximum at 8.
        scores_cycle = RunningMaximum.LATENCY - Exponential.MAXIMUM_CYCLE
        early = pipeline(m, Cat(part, row), scores_cycle - 3, "position")
        m.d.comb += self.o_score_address.eq(Cat(early, job.parity))
        m.submodules.exponential = exponential = Exponential(self._lanes)
        exponents_cycle = scores_cycle + Exponential.EXPONENT_CYCLE
        m.d.comb += self.o_part.eq(pipeline(m, part, exponents_cycle - 1, "part"))
        value_exponents = pipeline(m, self.i_value_exponents.as_value(), 1, "value_exponents")
        m.d.comb += [
            exponential.i_scores.eq(self.i_scores),
            exponential.i_maximum.eq(maximum.o_maximum),
            exponential.i_value_exponents.eq(value_exponents),
        ]

        # Probabilities with their flags, for the sum and for the blocks
        cycle = scores_cycle + Exponential.LATENCY
        valid = delay(m, active, cycle, "valid")
        first_part = pipeline(m, ~part.any(), cycle, "first_part")
        last_part = delay(m, active & is_last, cycle, "last_part")
        running_sum = RunningSum(self._lanes, self._config.max_rows)
        quantizer = ProbabilityQuantizer(self._config)
        m.submodules.running_sum = running_sum
        m.submodules.quantizer = quantizer
        for consumer in (running_sum, quantizer):
            m.d.comb += [
                consumer.i_start.eq(self.i_start),
                consumer.i_valid.eq(valid),
                consumer.i_first_word.eq(first_part),
                consumer.i_last_word.eq(last_part),
                consumer.i_last_row.eq(last_row),
            ]
        rescale_delay = cycle + running_sum.rescale_cycle - RunningMaximum.LATENCY
        m.d.comb += [
            running_sum.i_fixed.eq(exponential.o_fixed),
            running_sum.i_rescale.eq(pipeline(m, maximum.o_rescale, rescale_delay, "rescale")),
            running_sum.i_first.eq(job.first),
            running_sum.i_final.eq(job.final),
            running_sum.i_row_scalar.eq(job.row_scalar),
            quantizer.i_floats.eq(exponential.o_floats),
            quantizer.i_base.eq(job.probabilities),
        ]
        wiring.connect(m, running_sum.o_row_scalar, wiring.flipped(self.o_row_scalar))
        wiring.connect(m, quantizer.o, wiring.flipped(self.o_block))
        m.d.comb += [
            self.o_is_last.eq(quantizer.o_last),
            self.o_is_enough.eq(quantizer.o_enough),
            self.o_finished.eq(running_sum.o_done),
        ]
        return m
