# SPDX-License-Identifier: Apache-2.0
"""The engine of VECTOR and REDUCE."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch import isa
from weft_arch.config import Configuration
from weft_arch.registers import Fault
from weft_rtl.interfaces import (
    activation_write,
    engine_signature,
    quantized_group,
    row_scalar_write,
    strobe_signature,
    vector_read_signature,
    vector_write,
)
from weft_rtl.ready_buffer import ReadyBuffer
from weft_rtl.vector.job import VectorJob, decode_job
from weft_rtl.vector.lanes import VectorLanes
from weft_rtl.vector.operand_reader import OperandReader
from weft_rtl.vector.reduce_destination import ReduceDestination
from weft_rtl.vector.result_buffer import ResultBuffer
from weft_rtl.vector.row_scalars import RowScalars

__all__ = ["VectorUnit"]

_CAPACITY = 64
"""Words on their way, at least a group of 63."""


class VectorUnit(wiring.Component):
    """Runs VECTOR and REDUCE, one instruction after the other, on words of ``lanes`` floats.

    ::

        vector memory -> OperandReader -> VectorLanes -> ResultBuffer -> vector memory, blocks,
                          row scalars -'       |                         store unit
                               '- ReduceDestination

    Throughput: a word per cycle with one vector memory operand (ACTIVATE: per ``activate_cycles``),
    per two cycles with two, per three for ROPE; a group of a quantising destination takes at least
    ``group_words`` cycles, one of wide keys twice as many. An instruction is taken when the one
    before has finished, in that cycle, and starts in the next one.

    Cycles from the transfer of an instruction to ``done`` when nothing waits, with n requests to
    the vector memory: n + 11 with one product per word (COPY, MUL), n + 15 with an addition, n + 18
    for ACTIVATE with one cycle per word, 2n + 18 with two; quantised, n + 17 + words of a block
    less one (and the same for an addition or ACTIVATE). REDUCE, when the words fill rounds of 32
    values: n + 11 for each reduction but the last, n + 49 for that (8 lanes; 4: n + 15, n + 47).

    Area (8 lanes, ``activate_cycles`` 2): about 10,000 LUT4 (carry chains counted), 8 MULT18X18D,
    15 block RAMs; with ``activate_cycles`` 1, 2,000 LUT4 and 6 block RAMs more.

    Parameters
    ----------
    activate_cycles : int
        Cycles per word of ACTIVATE, 1 or 2.

    Members
    -------
    engine : Out(engine_signature)
        Operands out of range are reported as ILLEGAL_OPERAND with the opcode; nothing is done for
        that instruction, and none is accepted until a reset.
    read : Out(vector_read_signature)
        Operands.
    o_write : Out(stream of vector_write), o_activation_write : Out(stream of activation_write)
        Results.
    o_groups : Out(stream of quantized_group)
        Keys and values for the store unit. The last one may still wait for it here when the
        instruction is done, as those before it do inside the store unit.
    i_row_scalar : In(strobe of row_scalar_write)
        Row scalars from the softmax unit.
    """

    engine: Any
    read: Any
    o_write: stream.Interface
    o_activation_write: stream.Interface
    o_groups: stream.Interface
    i_row_scalar: Any

    def __init__(self, config: Configuration, *, activate_cycles: int = 2) -> None:
        self._config = config
        self._activate_cycles = activate_cycles
        super().__init__(
            {
                "engine": Out(engine_signature()),
                "read": Out(vector_read_signature(config)),
                "o_write": Out(stream.Signature(vector_write(config))),
                "o_activation_write": Out(stream.Signature(activation_write(config))),
                "o_groups": Out(stream.Signature(quantized_group())),
                "i_row_scalar": In(strobe_signature(row_scalar_write())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Decode and completion; the rest is wiring."""
        m = Module()
        config, engine = self._config, self.engine
        m.submodules.reader = reader = OperandReader(config, _CAPACITY, self._activate_cycles)
        m.submodules.lanes = lanes = VectorLanes(config, self._activate_cycles)
        m.submodules.results = results = ResultBuffer(config, _CAPACITY)
        m.submodules.reduced = reduced = ReduceDestination()
        m.submodules.row_scalars = row_scalars = RowScalars()

        # Control
        decoded, illegal = decode_job(m, config, engine.instruction.payload)
        job: Any = Signal(VectorJob)
        running = Signal()
        halted = Signal()
        start = Signal()
        check = Signal()
        refused = Signal(reset_less=True)
        finish = Signal()
        fault = Signal()
        opcode = Mux(job.reduce, isa.Opcode.REDUCE, isa.Opcode.VECTOR)
        accept = engine.instruction.valid & engine.instruction.ready
        m.d.comb += [
            finish.eq(
                running
                & ~check
                & ~reader.o_active
                & reader.o_empty
                & results.o_idle
                & reduced.o_idle
            ),
            engine.instruction.ready.eq(~halted & (~running | finish)),
            engine.done.eq(finish),
            engine.busy.eq(running),
            start.eq(check & ~refused),
            engine.fault.valid.eq(fault),
            engine.fault.cause.eq(Fault.ILLEGAL_OPERAND),
            engine.fault.address.eq(opcode),
        ]
        # An instruction is decoded in the cycle of its transfer and starts in the next one.
        m.d.sync += [check.eq(accept), refused.eq(illegal)]
        with m.If(accept):
            m.d.sync += job.eq(decoded)
        wrong = (check & refused) | reader.o_fault
        m.d.sync += fault.eq(wrong)
        with m.If(accept):
            m.d.sync += running.eq(1)
        with m.Elif(finish | wrong):
            m.d.sync += running.eq(0)
        with m.If(wrong):
            m.d.sync += halted.eq(1)

        # Data
        for block in (reader, results, reduced):
            m.d.comb += [
                block.i_start.eq(start),
                block.i_job.eq(job),
            ]
        connect(m, reader.o_request, flipped(self.read.request))
        connect(m, row_scalars.i_softmax, flipped(self.i_row_scalar))
        connect(m, reduced.o, row_scalars.i_reduce)
        connect(m, results.o_write, flipped(self.o_write))
        connect(m, results.o_activation_write, flipped(self.o_activation_write))
        # The store unit's ready comes late, and the whole readout would wait for it.
        m.submodules.next_group = next_group = ReadyBuffer(quantized_group())
        connect(m, results.o_groups, next_group.i)
        connect(m, next_group.o, flipped(self.o_groups))
        m.d.comb += [
            row_scalars.i_read.eq(reader.o_scalar_read),
            row_scalars.i_address.eq(reader.o_scalar_address),
            reader.i_taken.eq(results.o_taken),
            reader.i_resume.eq(lanes.o_resume),
            lanes.i_job.eq(job),
            lanes.i_tag_next.eq(reader.o_tag_next),
            lanes.i_tag.eq(reader.o_tag),
            lanes.i_data.eq(self.read.data),
            lanes.i_row_scalar.eq(row_scalars.o),
            results.i_valid.eq(lanes.o_valid),
            results.i.eq(lanes.o),
            reduced.i_total_valid.eq(lanes.o_total_valid),
            reduced.i_total.eq(lanes.o_total),
            reduced.i_finish.eq(lanes.o_finish),
        ]
        return m
