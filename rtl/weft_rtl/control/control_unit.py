# SPDX-License-Identifier: Apache-2.0
"""Sequencer, queues, front ends and tokens, joined: everything between program and engines."""

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch.config import Configuration
from weft_arch.isa import ENGINES, Engine
from weft_arch.observed import ENGINE_BITS, engine_shift
from weft_arch.registers import EngineState
from weft_rtl.control.decode import INSTRUCTION_BITS
from weft_rtl.control.engine_front_end import EngineFrontEnd
from weft_rtl.control.instruction_queues import InstructionQueues
from weft_rtl.control.scalar_file import ScalarFile
from weft_rtl.control.sequencer import Sequencer
from weft_rtl.control.token_board import TokenBoard
from weft_rtl.interfaces import FaultReport, engine_signature

__all__ = ["ControlUnit"]


class ControlUnit(wiring.Component):
    """Runs a program on the engines.

    Members
    -------
    i_start : run the program; only while idle.
    i_stop : hand out no more instructions.
    i_write, i_write_index, i_write_instruction, i_fetching : see `Sequencer`.
    engine : array of `engine_signature` (flipped), in the order of ENGINES; ``fault`` is not looked
        at here.
    i_scalar_index, o_scalar_value, i_scalar_write, i_scalar_value : host port of `ScalarFile`.
    o_halted : pulse.
    fault : of sequencer and tokens.
    o_program_counter : for the register.
    o_engine : array of register words, one per `Engine`; see EngineState.
    o_busy, o_waits : one bit per engine of ENGINES: its state.
    o_observed : the engines' part of the word of `weft_arch.observed`.
    """

    i_start: Signal
    i_stop: Signal
    i_write: Signal
    i_write_index: Signal
    i_write_instruction: Signal
    i_fetching: Signal
    engine: list[Any]
    i_scalar_index: Signal
    o_scalar_value: Signal
    i_scalar_write: Signal
    i_scalar_value: Signal
    o_halted: Signal
    fault: data.View
    o_program_counter: Signal
    o_engine: list[Signal]
    o_busy: Signal
    o_waits: Signal
    o_observed: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_start": In(1),
                "i_stop": In(1),
                "i_write": In(1),
                "i_write_index": In(range(config.instruction_words)),
                "i_write_instruction": In(INSTRUCTION_BITS),
                "i_fetching": In(1),
                "engine": In(engine_signature()).array(len(ENGINES)),
                "i_scalar_index": In(4),
                "o_scalar_value": Out(32),
                "i_scalar_write": In(1),
                "i_scalar_value": In(32),
                "o_halted": Out(1),
                "fault": Out(FaultReport),
                "o_program_counter": Out(13),
                "o_engine": Out(32).array(len(Engine)),
                "o_busy": Out(len(ENGINES)),
                "o_waits": Out(len(ENGINES)),
                "o_observed": Out(ENGINE_BITS * len(ENGINES)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(self._config)
        m.submodules.scalars = scalars = ScalarFile()
        m.submodules.queues = queues = InstructionQueues()
        m.submodules.tokens = tokens = TokenBoard(givers=len(ENGINES), takers=len(ENGINES))
        m.d.comb += [
            sequencer.i_start.eq(self.i_start),
            sequencer.i_enable.eq(~self.i_stop),
            sequencer.i_write.eq(self.i_write),
            sequencer.i_write_index.eq(self.i_write_index),
            sequencer.i_write_instruction.eq(self.i_write_instruction),
            sequencer.i_fetching.eq(self.i_fetching),
            self.o_halted.eq(sequencer.o_halted),
            self.o_program_counter.eq(sequencer.o_program_counter),
            self.o_engine[Engine.SEQUENCER].eq(sequencer.o_state),
            scalars.i_index_a.eq(sequencer.o_index_a),
            sequencer.i_value_a.eq(scalars.o_value_a),
            scalars.i_index_b.eq(sequencer.o_index_b),
            sequencer.i_value_b.eq(scalars.o_value_b),
            scalars.i_write.eq(sequencer.o_write),
            scalars.i_write_index.eq(sequencer.o_write_index),
            scalars.i_write_value.eq(sequencer.o_write_value),
            scalars.i_host_index.eq(self.i_scalar_index),
            self.o_scalar_value.eq(scalars.o_host_value),
            scalars.i_host_write.eq(self.i_scalar_write),
            scalars.i_host_value.eq(self.i_scalar_value),
        ]
        connect(m, sequencer.o, queues.i)

        idle = Signal(len(ENGINES))
        for index, engine in enumerate(ENGINES):
            name = engine.name.lower()
            m.submodules[f"{name}_front_end"] = front_end = EngineFrontEnd()
            connect(m, queues.o[index], front_end.i)
            connect(m, front_end.engine, flipped(self.engine[index]))
            connect(m, front_end.o_take, tokens.i_take[index])
            connect(m, front_end.o_give, tokens.i_give[index])
            fill = queues.o_fill[index]
            m.d.comb += [
                front_end.i_enable.eq(~self.i_stop),
                self.o_busy[index].eq(front_end.o_state == EngineState.BUSY),
                self.o_waits[index].eq(front_end.o_state == EngineState.WAITING_TOKEN),
                self.o_engine[engine].eq(
                    front_end.o_state | front_end.o_waits_for << 8 | fill << 16
                ),
            ]
            shift = engine_shift(engine)
            m.d.comb += self.o_observed[shift : shift + ENGINE_BITS].eq(
                Cat(front_end.i.ready, front_end.engine.done, front_end.o_waits_for)
            )
            m.d.sync += idle[index].eq(front_end.o_idle & (fill == 0))
        # The push in EXECUTE and the idle bits of an EXECUTE after it are at least 3 cycles apart.
        m.d.comb += sequencer.i_engines_idle.eq(idle.all())

        # The sequencer stops at its fault and a token overflow comes from an engine: if both come
        # in the same cycle, either is the first.
        with m.If(sequencer.fault.valid):
            m.d.comb += self.fault.eq(sequencer.fault)
        with m.Else():
            m.d.comb += self.fault.eq(tokens.o_fault)
        return m
