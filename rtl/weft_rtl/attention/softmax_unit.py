# SPDX-License-Identifier: Apache-2.0
"""Online softmax between the two matrix products of attention."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.attention.probability_pipeline import ProbabilityPipeline
from weft_rtl.attention.score_buffer import ScoreBuffer, probability_lanes
from weft_rtl.attention.value_exponents import ValueExponents
from weft_rtl.interfaces import (
    SoftmaxJob,
    activation_write,
    rescale_read_signature,
    row_scalar_write,
    score_word,
    strobe_signature,
)
from weft_rtl.memory.block_memory import block_memory, block_read

__all__ = ["SoftmaxUnit"]


class SoftmaxUnit(wiring.Component):
    """Turns the scores of a kv block into quantised probabilities: `weft_arch.attention`.

        scores -> ScoreBuffer (two halves) -> ProbabilityPipeline -> activation buffer
                                                    |-> rescale memory, row scalars

    The scores of one job are taken while the probabilities of the job before are worked out; the
    two use different halves (``parity``), so a job's scores must not come before the probabilities
    of the job two before it are done, or, for the ``first`` job of an instruction, before those of
    all jobs before. A job's scores may come from the second cycle after its transfer on.

    Members
    -------
    i_job : In(stream of SoftmaxJob)
    i_scores : In(strobe of score_word)
        The job's words: for word in 0.., for row in 0..; always accepted.
    i_value_exponents : In(stream of ArrayLayout(signed(8), 32))
        One per job, of its 32 keys' values.
    o_activation_write : Out(strobe of activation_write)
        The blocks of probabilities, row by row; always accepted, because their readers count on it.
    o_probabilities_ready : Out(1)
        Pulse per job: so many blocks are written that who reads a row per cycle, from the second
        cycle after it on, finds them all.
    rescale : In(rescale_read_signature)
        By how many powers of two a row's output shrinks before this block is added.
    o_row_scalar : Out(strobe of row_scalar_write)
        reciprocal(sum) of every row of a ``final`` job.
    o_final_done : Out(1)
        Pulse: a ``final`` job is complete, its row scalars are written.
    o_idle : Out(1)
        No job is in work.

    Scores: one word per cycle. Probabilities: a row in 32 / `probability_lanes` cycles (8 and 16
    lanes: 4). From the last score to the first block: about 43 cycles and those of a row.

    Area (8 lanes): about 4,700 LUT4, 840 CCU2C and 17 block RAMs.
    """

    i_job: stream.Interface
    i_scores: wiring.PureInterface
    i_value_exponents: stream.Interface
    o_activation_write: wiring.PureInterface
    rescale: wiring.PureInterface
    o_row_scalar: wiring.PureInterface
    o_probabilities_ready: Signal
    o_final_done: Signal
    o_idle: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_job": In(stream.Signature(SoftmaxJob)),
                "i_scores": In(strobe_signature(score_word(config))),
                "i_value_exponents": In(stream.Signature(data.ArrayLayout(signed(8), BLOCK))),
                "o_activation_write": Out(strobe_signature(activation_write(config))),
                "rescale": In(rescale_read_signature()),
                "o_row_scalar": Out(strobe_signature(row_scalar_write())),
                "o_probabilities_ready": Out(1),
                "o_final_done": Out(1),
                "o_idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.score_buffer = scores = ScoreBuffer(config)
        m.submodules.pipeline = pipeline = ProbabilityPipeline(config)

        # Jobs: two of which the scores are awaited or complete, one giving probabilities
        jobs = Signal(data.ArrayLayout(SoftmaxJob, 2), reset_less=True)
        leaving = Signal(SoftmaxJob, reset_less=True)
        newest, oldest = Signal(), Signal()
        waiting, complete = Signal(range(3)), Signal(range(3))
        giving, blocks_left, sums_left = Signal(), Signal(), Signal()
        accepted, passes, start = Signal(), Signal(), Signal()
        m.submodules.value_exponents = exponents = ValueExponents(probability_lanes(config))
        wiring.connect(m, wiring.flipped(self.i_value_exponents), exponents.i)
        m.d.comb += [
            self.i_job.ready.eq(waiting != 2),
            accepted.eq(self.i_job.valid & self.i_job.ready),
            passes.eq((complete != 0) & exponents.o_available & ~giving),
            scores.i_job.valid.eq(accepted),
            scores.i_job.payload.eq(self.i_job.payload),
            pipeline.i_start.eq(start),
            pipeline.i_job.eq(leaving),
            exponents.i_part.eq(pipeline.o_part),
            pipeline.i_value_exponents.eq(exponents.o),
        ]
        m.d.sync += [
            waiting.eq(waiting + accepted - passes),
            complete.eq(complete + scores.o_done - passes),
            start.eq(passes),
        ]
        with m.If(accepted):
            m.d.sync += [jobs[newest].eq(self.i_job.payload), newest.eq(~newest)]
        with m.If(passes):
            m.d.sync += [
                leaving.eq(jobs[oldest]),
                oldest.eq(~oldest),
                giving.eq(1),
                blocks_left.eq(1),
                sums_left.eq(1),
            ]
        wiring.connect(m, wiring.flipped(self.i_scores), scores.i_scores)
        m.d.comb += [
            scores.i_maximum_address.eq(pipeline.o_maximum_address),
            pipeline.i_maximum.eq(scores.o_maximum),
            scores.i_score_address.eq(pipeline.o_score_address),
            pipeline.i_scores.eq(scores.o_scores),
        ]

        # Results
        last, enough = Signal(), Signal()
        write = self.o_activation_write
        m.d.sync += [
            write.valid.eq(pipeline.o_block.valid),
            write.payload.eq(pipeline.o_block.payload),
            last.eq(pipeline.o_is_last),
            enough.eq(pipeline.o_is_enough),
            self.o_row_scalar.valid.eq(pipeline.o_row_scalar.valid),
            self.o_row_scalar.payload.eq(pipeline.o_row_scalar.payload),
        ]
        m.d.comb += self.o_probabilities_ready.eq(write.valid & enough)
        with m.If(write.valid & last):
            m.d.sync += blocks_left.eq(0)
        with m.If(pipeline.o_finished):
            m.d.sync += sums_left.eq(0)
        finished = giving & ~blocks_left & ~sums_left
        with m.If(finished):
            m.d.sync += giving.eq(0)
        m.d.comb += [
            self.o_final_done.eq(finished & leaving.final),
            self.o_idle.eq((waiting == 0) & ~giving),
            exponents.i_release.eq(finished),
        ]

        # By how much the rows shrink
        m.submodules.rescale_memory = memory = block_memory(8, 2 * config.max_rows)
        write_port = memory.write_port()
        row_bits = (config.max_rows - 1).bit_length()
        m.d.comb += [
            write_port.en.eq(pipeline.o_rescale.valid),
            write_port.addr.eq(pipeline.o_rescale.payload.address),
            write_port.data.eq(pipeline.o_rescale.payload.shift),
            self.rescale.data.eq(
                block_read(
                    m, memory, Cat(self.rescale.row[:row_bits], self.rescale.parity), "shift"
                )
            ),
        ]
        return m
