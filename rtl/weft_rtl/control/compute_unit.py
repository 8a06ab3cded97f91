# SPDX-License-Identifier: Apache-2.0
"""The engine that multiplies: matrix products, attention and the list of the largest logits."""

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch import isa
from weft_arch.config import BLOCK, Configuration
from weft_arch.registers import Fault
from weft_rtl.array.array_engine import ArrayEngine
from weft_rtl.attention.attention_controller import AttentionController
from weft_rtl.attention.softmax_unit import SoftmaxUnit
from weft_rtl.control.decode import arguments
from weft_rtl.control.operand_check import POSITION_BITS, OperandCheck
from weft_rtl.control.retirement import Retirement
from weft_rtl.head.top_k import TopKUnit
from weft_rtl.interfaces import (
    FLOAT,
    PassInitial,
    ResolvedInstruction,
    TileSource,
    activation_read_signature,
    activation_write,
    engine_signature,
    row_scalar_write,
    strobe_signature,
    vector_read_signature,
    vector_write,
)

__all__ = ["ComputeUnit"]


class ComputeUnit(wiring.Component):
    """Runs MATMUL, ATTEND and CODEBOOK. ::

        instruction -> check -> pass of MATMUL ----------> ArrayEngine -> vector memory
                         |----> AttentionController --^     |  ^   |----> TopKUnit
                         |              | jobs          scores probabilities
                         |----> codebook +------------> SoftmaxUnit

    A MATMUL or ATTEND is accepted while those before it are in work, so that the array has no gap
    between them. CODEBOOK waits until all are done. ``done`` follows an instruction's last result
    when that can be read: in vector memory, in the row scalars, in the top-k list.

    Operands are checked (`OperandCheck`); a bad one is the fault ILLEGAL_OPERAND with the opcode,
    after which nothing is accepted until reset.

    Members
    -------
    engine : `engine_signature`
    i_codes, i_scales : streams from the weight buffer, In
    activation : reader of the activation buffer
    activation_write : Out(strobe of activation_write)
        Probabilities; the array reads them as they come, so nothing may hold them up.
    vector_read : reader of the vector memory, never held off
    o_vector_write : strobe of vector_write
    o_row_scalar : strobe of row_scalar_write
    i_read_index, o_value, o_index : the top-k list; an entry comes a cycle after its index
    o_mac : Out(1)
        A row is on its way into the array.
    o_wait_weights : Out(1)
        No row is, because the weights have not come yet.
    """

    engine: wiring.PureInterface
    i_codes: stream.Interface
    i_scales: stream.Interface
    activation: wiring.PureInterface
    activation_write: wiring.PureInterface
    vector_read: wiring.PureInterface
    o_vector_write: wiring.PureInterface
    o_row_scalar: wiring.PureInterface
    i_read_index: Signal
    o_value: Signal
    o_index: Signal
    o_mac: Signal
    o_wait_weights: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "engine": Out(engine_signature()),
                "i_codes": In(stream.Signature(unsigned(8 * BLOCK))),
                "i_scales": In(stream.Signature(unsigned(16 * config.array_cols))),
                "activation": Out(activation_read_signature(config)),
                "activation_write": Out(strobe_signature(activation_write(config))),
                "vector_read": Out(vector_read_signature(config)),
                "o_vector_write": Out(strobe_signature(vector_write(config))),
                "o_row_scalar": Out(strobe_signature(row_scalar_write())),
                "i_read_index": In(range(config.top_k_entries)),
                "o_value": Out(FLOAT),
                "o_index": Out(32),
                "o_mac": Out(1),
                "o_wait_weights": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.array = array = ArrayEngine(config)
        m.submodules.softmax = softmax = SoftmaxUnit(config)
        m.submodules.top_k = top_k = TopKUnit(config)
        m.submodules.attention = attention = AttentionController(config)

        connect(m, flipped(self.i_codes), array.i_codes)
        connect(m, flipped(self.i_scales), array.i_scales)
        connect(m, array.activation, flipped(self.activation))
        connect(m, array.vector_read, flipped(self.vector_read))
        connect(m, array.o_vector_write, flipped(self.o_vector_write))
        connect(m, array.o_scores, softmax.i_scores)
        connect(m, array.o_value_exponents, softmax.i_value_exponents)
        connect(m, array.rescale, softmax.rescale)
        connect(m, array.o_top_k, top_k.i)
        connect(m, attention.o_job, softmax.i_job)
        connect(m, softmax.o_activation_write, flipped(self.activation_write))
        connect(m, softmax.o_row_scalar, flipped(self.o_row_scalar))
        m.d.comb += [
            attention.i_probabilities_ready.eq(softmax.o_probabilities_ready),
            top_k.i_read_index.eq(self.i_read_index),
            self.o_value.eq(top_k.o_value),
            self.o_index.eq(top_k.o_index),
            self.o_mac.eq(array.o_mac),
            self.o_wait_weights.eq(array.o_wait_weights),
        ]

        # One pass waits for the array while the next one is made.
        passes = array.i_pass
        room = Signal()
        m.d.comb += room.eq(~passes.valid | passes.ready)
        with m.If(passes.ready):
            m.d.sync += passes.valid.eq(0)
        attending = Signal()
        with m.If(attending):
            m.d.comb += attention.o_pass.ready.eq(room)
            with m.If(attention.o_pass.valid & room):
                m.d.sync += [passes.valid.eq(1), passes.payload.eq(attention.o_pass.payload)]

        m.submodules.retirement = retirement = Retirement()
        m.d.comb += [
            retirement.i_pass_done.eq(array.o_pass_done),
            retirement.i_final_done.eq(softmax.o_final_done),
            retirement.i_top_k_busy.eq(top_k.o_busy),
        ]
        self._decode(m, array, attention, retirement, attending, room)
        return m

    def _decode(
        self,
        m: Module,
        array: ArrayEngine,
        attention: AttentionController,
        retirement: Retirement,
        attending: Signal,
        room: Signal,
    ) -> None:
        """Take an instruction, check it, start it."""
        engine, passes = self.engine, array.i_pass
        instruction = Signal(ResolvedInstruction, reset_less=True)
        matmul = arguments(isa.Matmul, instruction.arguments)
        codebook = arguments(isa.Codebook, instruction.arguments)
        entries = Signal(data.ArrayLayout(signed(8), 16))
        m.submodules.check = check = OperandCheck(self._config)
        m.d.comb += [array.i_codebook.eq(entries), check.i.eq(instruction)]
        self._command(m, instruction, attention.i.payload)
        started = retirement.i_started
        drained, codebook_set = Signal(), Signal()
        m.d.comb += drained.eq(retirement.o_empty & ~passes.valid & array.o_idle)

        with m.FSM(name="state") as state:
            with m.State("IDLE"):
                m.d.comb += engine.instruction.ready.eq(1)
                with m.If(engine.instruction.valid):
                    m.d.sync += instruction.eq(engine.instruction.payload)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "CHECK_2"
            with m.State("CHECK_2"):
                m.next = "START"
            with m.State("START"):
                with m.If(check.o_bad):
                    m.next = "FAULT"
                with m.Elif(instruction.opcode == isa.Opcode.CODEBOOK):
                    m.d.comb += codebook_set.eq(drained)
                    with m.If(drained):
                        m.d.sync += entries.eq(Cat(codebook.entries_low, codebook.entries_high))
                        m.next = "IDLE"
                with m.Elif(retirement.o_full):
                    pass
                with m.Elif(instruction.opcode == isa.Opcode.ATTEND):
                    m.d.comb += [
                        attention.i.valid.eq(1),
                        started.valid.eq(attention.i.ready),
                        started.payload.attend.eq(1),
                    ]
                    with m.If(attention.i.ready):
                        m.next = "ATTEND"
                with m.Else():
                    m.d.comb += [
                        started.valid.eq(room),
                        started.payload.top_k.eq(matmul.to_top_k),
                    ]
                    with m.If(room):
                        m.d.sync += passes.valid.eq(1)
                        self._matmul_pass(m, instruction, matmul, passes.payload)
                        m.next = "IDLE"
            with m.State("ATTEND"):
                # All of its passes are handed out before anything else may follow.
                m.d.comb += attending.eq(1)
                with m.If(attention.i.ready):
                    m.next = "IDLE"
            with m.State("FAULT"):
                pass
        reported = Signal()
        m.d.sync += [
            engine.done.eq(retirement.o_done | codebook_set),
            reported.eq(state.ongoing("FAULT")),
            engine.fault.valid.eq(state.ongoing("FAULT") & ~reported),
            engine.fault.cause.eq(Fault.ILLEGAL_OPERAND),
            engine.fault.address.eq(instruction.opcode),
        ]
        m.d.comb += engine.busy.eq(~state.ongoing("IDLE") | ~retirement.o_empty | engine.done)

    def _matmul_pass(
        self, m: Module, instruction: data.View, matmul: data.View, array_pass: data.View
    ) -> None:
        """The only pass of a MATMUL."""
        m.d.sync += [
            array_pass.eq(0),
            array_pass.activation_base.eq(instruction.address),
            array_pass.activation_stride.eq(matmul.activation_stride),
            array_pass.rows.eq(instruction.count),
            array_pass.k_blocks.eq(matmul.k_blocks),
            array_pass.n_tiles.eq(matmul.n_tiles),
            array_pass.source.eq(
                Mux(matmul.format == isa.WeightFormat.W4, TileSource.W4, TileSource.W8)
            ),
            array_pass.initial.eq(
                Mux(
                    matmul.init == isa.InitMode.VECTOR_MEMORY,
                    PassInitial.VECTOR_MEMORY,
                    PassInitial.ZERO,
                )
            ),
            array_pass.initial_address.eq(matmul.initial),
            array_pass.initial_stride.eq(matmul.initial_stride),
            array_pass.accumulator_stride.eq(1),
            array_pass.to_vector_memory.eq(matmul.to_vector_memory),
            array_pass.to_top_k.eq(matmul.to_top_k),
            array_pass.clear_top_k.eq(matmul.clear_top_k),
            array_pass.destination.eq(matmul.destination),
            array_pass.destination_stride.eq(matmul.destination_stride),
            array_pass.top_k_base.eq(matmul.top_k_base),
            array_pass.top_k_limit.eq(matmul.top_k_limit),
            array_pass.last.eq(1),
        ]

    def _command(self, m: Module, instruction: data.View, command: data.View) -> None:
        """An ATTEND for the controller."""
        attend = arguments(isa.Attend, instruction.arguments)
        position, keys = instruction.aux_a, instruction.aux_b[:POSITION_BITS]
        # Ready one cycle after the instruction.
        first_limit = Signal.like(command.first_limit, reset_less=True)
        kv_blocks = Signal.like(command.kv_blocks, reset_less=True)
        m.d.sync += [
            first_limit.eq(Mux(attend.causal, position[:POSITION_BITS] + 1, keys)),
            kv_blocks.eq((keys + BLOCK - 1) >> 5),
        ]
        m.d.comb += [
            command.activation_base.eq(instruction.address),
            command.rows.eq(instruction.count),
            command.kv_blocks.eq(kv_blocks),
            command.first_limit.eq(first_limit),
        ]
        for name in (
            "activation_stride",
            "k_blocks",
            "causal",
            "rows_per_position",
            "probabilities",
            "destination",
            "destination_stride",
            "row_scalar",
            "wide_keys",
        ):
            m.d.comb += command[name].eq(attend[name])
