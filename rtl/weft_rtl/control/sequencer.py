# SPDX-License-Identifier: Apache-2.0
"""Runs the program: resolves its instructions and hands them to the engines' queues."""

from amaranth import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import isa
from weft_arch.config import Configuration
from weft_arch.registers import EngineState, Fault
from weft_rtl.control.decode import COMMON_LAYOUT, INSTRUCTION_BITS, LegalityCheck, arguments
from weft_rtl.control.instruction_queues import QueuedInstruction
from weft_rtl.control.loop_stack import INDEX_BITS, LoopStack
from weft_rtl.control.scalar_unit import ScalarUnit
from weft_rtl.interfaces import FaultReport

__all__ = ["Sequencer"]

_OPERANDS = data.StructLayout({"address": 32, "count": 24, "aux_a": 32, "aux_b": 32})


class Sequencer(wiring.Component):
    """Instruction memory, program counter, loops and scalar arithmetic.

    Members
    -------
    i_start : run from instruction 0; only while idle.
    i_enable : begin instructions. Without it, the machine stops between two of them.
    i_write, i_write_index, i_write_instruction : from the fetch unit, indexes in ascending order.
    i_fetching : instructions are still to come. Must be up in the cycle after ``i_start``.
    o : stream of QueuedInstruction
    i_engines_idle : all queues are empty and all engines idle.
    o_index_a, i_value_a, o_index_b, i_value_b, o_write, o_write_index, o_write_value : the ports
        of `ScalarFile`.
    o_halted : pulse: HALT is complete.
    fault : ILLEGAL_INSTRUCTION, LOOP_OVERFLOW. The sequencer then stays where it is until reset.
    o_program_counter : instruction in work.
    o_state : EngineState.

    A fetched instruction takes 3 cycles (READ, RESOLVE, EXECUTE), SCALAR 4 and more, an instruction
    after a skipped loop or one that has to be fetched first 2 more. Loop ends cost nothing. About
    1,000 LUTs, 8 DP16KD.

    Illegal are, beside what `LegalityCheck` finds: running past the last instruction, and a loop
    that ends before it begins, or not before the loop around it.
    """

    i_start: Signal
    i_enable: Signal
    i_write: Signal
    i_write_index: Signal
    i_write_instruction: Signal
    i_fetching: Signal
    o: stream.Interface
    i_engines_idle: Signal
    o_index_a: Signal
    i_value_a: Signal
    o_index_b: Signal
    i_value_b: Signal
    o_write: Signal
    o_write_index: Signal
    o_write_value: Signal
    o_halted: Signal
    fault: data.View
    o_program_counter: Signal
    o_state: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_start": In(1),
                "i_enable": In(1),
                "i_write": In(1),
                "i_write_index": In(range(config.instruction_words)),
                "i_write_instruction": In(INSTRUCTION_BITS),
                "i_fetching": In(1),
                "o": Out(stream.Signature(QueuedInstruction)),
                "i_engines_idle": In(1),
                "o_index_a": Out(4),
                "i_value_a": In(32),
                "o_index_b": Out(4),
                "i_value_b": In(32),
                "o_write": Out(1),
                "o_write_index": Out(4),
                "o_write_value": Out(32),
                "o_halted": Out(1),
                "fault": Out(FaultReport),
                "o_program_counter": Out(INDEX_BITS + 1),
                "o_state": Out(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.program = program = memory.Memory(
            shape=unsigned(INSTRUCTION_BITS),
            depth=self._config.instruction_words,
            init=[],
            attrs={"no_rw_check": 1},
        )
        m.submodules.loops = loops = LoopStack()
        m.submodules.scalar = scalar = ScalarUnit()
        m.submodules.legality = legality = LegalityCheck(resident=self._config.resident_bytes > 0)
        write, read = program.write_port(), program.read_port()

        index_shape = INDEX_BITS + 1
        counter = Signal(index_shape)
        after = Signal(index_shape)  # counter + 1
        following = Signal(index_shape)  # the next instruction unless this one jumps
        prefetched = Signal()  # the memory's output is the following instruction
        loaded = Signal(index_shape)
        at_end = Signal()  # the innermost loop ends after this instruction
        word = Signal(COMMON_LAYOUT, reset_less=True)
        own = word.as_value()[isa.ARGUMENT_BASE :]
        engine = word.opcode[3:]
        m.d.comb += [
            write.en.eq(self.i_write),
            write.addr.eq(self.i_write_index),
            write.data.eq(self.i_write_instruction),
            legality.i_instruction.eq(word),
            self.o_program_counter.eq(counter),
        ]
        with m.If(self.i_start):
            m.d.sync += loaded.eq(0)
        with m.Elif(self.i_write):
            m.d.sync += loaded.eq(self.i_write_index + 1)

        # Operands.
        value_a, value_b = Signal(32, reset_less=True), Signal(32, reset_less=True)
        queued = self.o.payload
        own_scalar, own_loop = arguments(isa.Scalar, own), arguments(isa.Loop, own)
        m.d.comb += [
            scalar.i_operation.eq(own_scalar.operation),
            scalar.i_x.eq(value_a),
            scalar.i_y.eq(value_b),
            scalar.i_immediate.eq(word.address),
            self.o_write_index.eq(own_scalar.destination),
            self.o_write_value.eq(scalar.o_value),
            loops.i_first.eq(after),
            loops.i_end.eq(own_loop.body_end),
            loops.i_count.eq(queued.instruction.count),
            loops.i_clear.eq(self.i_start),
        ]
        resolved = Signal(_OPERANDS, reset_less=True)
        m.d.comb += [
            queued.instruction.opcode.eq(word.opcode),
            queued.instruction.address.eq(resolved.address),
            queued.instruction.count.eq(resolved.count),
            queued.instruction.aux_a.eq(resolved.aux_a),
            queued.instruction.aux_b.eq(resolved.aux_b),
            queued.instruction.arguments.eq(own),
            queued.wait_a.eq(word.wait_a),
            queued.wait_b.eq(word.wait_b),
            queued.signal_a.eq(word.signal_a),
            queued.signal_b.eq(word.signal_b),
        ]

        complete = Signal()  # the instruction in EXECUTE is finished and does not jump
        # What EXECUTE has to know, from the cycle before.
        goes_out, is_scalar, is_loop, is_fence = Signal(), Signal(), Signal(), Signal()
        loop_is_wrong, loop_is_skipped, loops_are_full = Signal(), Signal(), Signal()
        loop_first = Signal(index_shape, reset_less=True)
        loop_is_last = Signal()
        m.d.sync += [
            goes_out.eq(engine != isa.Engine.SEQUENCER),
            is_scalar.eq(word.opcode == isa.Opcode.SCALAR),
            is_loop.eq(word.opcode == isa.Opcode.LOOP),
            is_fence.eq(word.opcode == isa.Opcode.FENCE),
            loops_are_full.eq(loops.o_full),
            self.fault.valid.eq(0),
            self.fault.cause.eq(Fault.ILLEGAL_INSTRUCTION),
        ]
        m.d.comb += self.fault.address.eq(counter)

        with m.FSM(name="state") as fsm:
            m.d.comb += self.o_state.eq(
                Mux(
                    fsm.ongoing("IDLE") | fsm.ongoing("STOPPED"), EngineState.IDLE, EngineState.BUSY
                )
            )
            with m.State("IDLE"), m.If(self.i_start):
                m.d.sync += counter.eq(0)
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += read.addr.eq(counter)
                with m.If(counter < loaded), m.If(self.i_enable):
                    m.next = "FETCHED"
                with m.Elif(~self.i_fetching):
                    m.d.sync += self.fault.valid.eq(1)
                    m.next = "STOPPED"
            with m.State("FETCHED"):
                m.d.comb += read.en.eq(0)
                m.d.sync += word.eq(read.data)
                m.next = "READ"
            with m.State("READ"):
                m.d.comb += [self.o_index_a.eq(word.address_reg), self.o_index_b.eq(word.count_reg)]
                m.d.sync += [
                    value_a.eq(self.i_value_a),
                    value_b.eq(self.i_value_b),
                    after.eq(counter + 1),
                    at_end.eq(loops.o_inside & (counter + 1 == loops.o_end)),
                    loop_first.eq(loops.o_first),
                    loop_is_last.eq(loops.o_last),
                ]
                with m.If(self.i_enable):
                    m.next = "RESOLVE"
            with m.State("RESOLVE"):
                again = at_end & ~loop_is_last
                next_index = Mux(again, loop_first, after)
                m.d.comb += [
                    self.o_index_a.eq(word.aux_a_reg),
                    self.o_index_b.eq(word.aux_b_reg),
                    read.addr.eq(next_index),
                    scalar.i_start.eq(1),
                ]
                m.d.sync += [
                    following.eq(next_index),
                    loop_is_wrong.eq(
                        (own_loop.body_end < after)
                        | (loops.o_inside & (own_loop.body_end >= loops.o_end))
                    ),
                    loop_is_skipped.eq(
                        _is_zero(word.count, value_b[: len(word.count)])
                        | (own_loop.body_end == after)
                    ),
                    prefetched.eq(again | (after < loaded)),
                    resolved.address.eq(word.address + value_a),
                    resolved.count.eq(word.count + value_b),
                    resolved.aux_a.eq(self.i_value_a),
                    resolved.aux_b.eq(self.i_value_b),
                ]
                m.next = "EXECUTE"
            with m.State("EXECUTE"):
                m.d.comb += read.en.eq(0)
                with m.If(legality.o_illegal):
                    m.d.sync += self.fault.valid.eq(1)
                    m.next = "STOPPED"
                with m.Elif(goes_out):
                    m.d.comb += [self.o.valid.eq(1), complete.eq(self.o.ready)]
                with m.Elif(is_scalar):
                    m.d.comb += [self.o_write.eq(scalar.o_done), complete.eq(scalar.o_done)]
                with m.Elif(is_loop):
                    with m.If(loop_is_wrong):
                        m.d.sync += self.fault.valid.eq(1)
                        m.next = "STOPPED"
                    with m.Elif(loop_is_skipped):
                        m.d.sync += counter.eq(own_loop.body_end)
                        m.next = "FETCH"
                    with m.Elif(loops_are_full):
                        m.d.sync += [
                            self.fault.valid.eq(1),
                            self.fault.cause.eq(Fault.LOOP_OVERFLOW),
                        ]
                        m.next = "STOPPED"
                    with m.Else():
                        m.d.comb += [complete.eq(1), loops.i_push.eq(1)]
                with m.Elif(self.i_engines_idle):
                    with m.If(is_fence):
                        m.d.comb += complete.eq(1)
                    with m.Elif(~self.i_fetching):
                        m.d.comb += self.o_halted.eq(1)
                        m.next = "IDLE"
                with m.If(complete):
                    m.d.comb += loops.i_step.eq(at_end)
                    m.d.sync += [counter.eq(following), word.eq(read.data)]
                    m.next = "READ"
                    with m.If(~prefetched):
                        m.next = "FETCH"
            with m.State("STOPPED"):
                pass
        return m


def _is_zero(a: Value, b: Value) -> Value:
    """Whether a + b is 0 modulo 2**width, without carries: each bit of the sum is 0 only if a carry
    comes exactly where the bits differ, and one comes from below where any of the two was 1."""
    return ((a ^ b) ^ ((a | b) << 1)[: len(a)]) == 0
