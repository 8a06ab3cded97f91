# SPDX-License-Identifier: Apache-2.0
"""ATTEND as a sequence of array passes and softmax jobs."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.interfaces import (
    ACTIVATION_ADDRESS,
    ROW,
    VECTOR_ADDRESS,
    ArrayPass,
    PassInitial,
    SoftmaxJob,
    TileSource,
)

__all__ = ["AttendCommand", "AttentionController"]


class AttendCommand(data.Struct):
    """An ATTEND with checked operands."""

    activation_base: ACTIVATION_ADDRESS
    activation_stride: 10
    rows: ROW
    kv_blocks: 19
    k_blocks: 4
    first_limit: 24
    """keys that row 0 sees"""
    causal: 1
    rows_per_position: 6
    probabilities: ACTIVATION_ADDRESS
    destination: VECTOR_ADDRESS
    destination_stride: 12
    row_scalar: 8
    wide_keys: 1


class AttentionController(wiring.Component):
    """For B kv blocks: S(0), S(1), PV(0), S(2), PV(1), ... S(B-1), PV(B-2), PV(B-1).

    S(b) sends the scores of block b to the softmax unit, which is given its job first; PV(b)
    multiplies the probabilities with the values and waits until so many of these are written that
    it does not overtake the rest. So the array works on another block while the softmax unit works
    on this one. Odd and even blocks use
    different halves of the score buffer, of the rescale memory and of the probabilities.

    Members
    -------
    i : In(stream of AttendCommand)
        Taken when all passes of the one before have been handed out.
    o_pass : Out(stream of ArrayPass)
    o_job : Out(stream of SoftmaxJob)
    i_probabilities_ready : In(1)
        Pulse per job: its probabilities may be read, a row per cycle.

    Area: 170 LUT4, 40 CCU2C.
    """

    i: stream.Interface
    o_pass: stream.Interface
    o_job: stream.Interface
    i_probabilities_ready: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(AttendCommand)),
                "o_pass": Out(stream.Signature(ArrayPass)),
                "o_job": Out(stream.Signature(SoftmaxJob)),
                "i_probabilities_ready": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        command = Signal(AttendCommand, reset_less=True)
        # Blocks whose scores, whose values are still to be handed out, and which comes next
        scores_left = Signal.like(command.kv_blocks, reset_less=True)
        values_left = Signal.like(command.kv_blocks, reset_less=True)
        score_block = Signal.like(command.kv_blocks, reset_less=True)
        value_parity = Signal(reset_less=True)
        first_value = Signal(reset_less=True)
        odd_probabilities = Signal(ACTIVATION_ADDRESS, reset_less=True)
        ready_blocks = Signal(range(3))
        value_taken = Signal()
        is_values = Signal()
        m.d.sync += ready_blocks.eq(ready_blocks + self.i_probabilities_ready - value_taken)

        score_parity = score_block[0]
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    command.eq(self.i.payload),
                    scores_left.eq(self.i.payload.kv_blocks),
                    values_left.eq(self.i.payload.kv_blocks),
                    score_block.eq(0),
                    value_parity.eq(0),
                    first_value.eq(1),
                    odd_probabilities.eq(self.i.payload.probabilities + self.i.payload.rows),
                ]
                with m.If(self.i.valid):
                    m.next = "JOB"
            with m.State("JOB"):
                m.d.comb += self.o_job.valid.eq(1)
                with m.If(self.o_job.ready):
                    m.next = "SCORES"
            with m.State("SCORES"):
                m.d.comb += self.o_pass.valid.eq(1)
                with m.If(self.o_pass.ready):
                    m.d.sync += [
                        scores_left.eq(scores_left - 1),
                        score_block.eq(score_block + 1),
                    ]
                    with m.If((score_block == 0) & (scores_left != 1)):
                        m.next = "JOB"
                    with m.Else():
                        m.next = "VALUES"
            with m.State("VALUES"):
                m.d.comb += [is_values.eq(1), self.o_pass.valid.eq(ready_blocks != 0)]
                with m.If(self.o_pass.valid & self.o_pass.ready):
                    m.d.comb += value_taken.eq(1)
                    m.d.sync += [
                        values_left.eq(values_left - 1),
                        value_parity.eq(~value_parity),
                        first_value.eq(0),
                    ]
                    with m.If(values_left == 1):
                        m.next = "IDLE"
                    with m.Elif(scores_left != 0):
                        m.next = "JOB"

        job = self.o_job.payload
        m.d.comb += [
            job.rows.eq(command.rows),
            job.first.eq(score_block == 0),
            job.final.eq(scores_left == 1),
            job.parity.eq(score_parity),
            job.key_base.eq(score_block * BLOCK),
            job.first_limit.eq(command.first_limit),
            job.causal.eq(command.causal),
            job.rows_per_position.eq(command.rows_per_position),
            job.probabilities.eq(Mux(score_parity, odd_probabilities, command.probabilities)),
            job.row_scalar.eq(command.row_scalar),
        ]
        self._passes(m, command, is_values, score_parity, value_parity, first_value, values_left)
        with m.If(is_values):
            m.d.comb += self.o_pass.payload.activation_base.eq(
                Mux(value_parity, odd_probabilities, command.probabilities)
            )
        return m

    def _passes(
        self,
        m: Module,
        command: data.View,
        is_values: Signal,
        score_parity: Signal,
        value_parity: Signal,
        first_value: Signal,
        values_left: Signal,
    ) -> None:
        """The payload of ``o_pass``; what does not matter to a pass is left as for the other."""
        array_pass = self.o_pass.payload
        words = self._config.words_per_block
        last = values_left == 1
        m.d.comb += [
            array_pass.rows.eq(command.rows),
            array_pass.destination.eq(command.destination),
            array_pass.destination_stride.eq(command.destination_stride),
            array_pass.to_scores.eq(~is_values),
            array_pass.has_header.eq(~is_values),
            array_pass.to_vector_memory.eq(is_values & last),
            array_pass.to_accumulator.eq(is_values & ~last),
            array_pass.last.eq(is_values & last),
            array_pass.accumulator_per_tile.eq(is_values),
        ]
        with m.If(is_values):
            m.d.comb += [
                array_pass.activation_stride.eq(1),
                array_pass.k_blocks.eq(1),
                array_pass.n_tiles.eq(command.k_blocks * words),
                array_pass.source.eq(TileSource.VALUES),
                array_pass.initial.eq(Mux(first_value, PassInitial.ZERO, PassInitial.ACCUMULATOR)),
                array_pass.accumulator_base.eq(command.rows),
                array_pass.accumulator_stride.eq(command.k_blocks * words),
                array_pass.parity.eq(value_parity),
            ]
        with m.Else():
            m.d.comb += [
                array_pass.activation_base.eq(command.activation_base),
                array_pass.activation_stride.eq(command.activation_stride),
                array_pass.activation_twice.eq(command.wide_keys),
                array_pass.k_blocks.eq(
                    Mux(command.wide_keys, command.k_blocks << 1, command.k_blocks)
                ),
                array_pass.n_tiles.eq(words),
                array_pass.source.eq(TileSource.W8),
                array_pass.initial.eq(PassInitial.ZERO),
                array_pass.accumulator_stride.eq(1),
                array_pass.parity.eq(score_parity),
            ]
