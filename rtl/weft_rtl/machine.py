# SPDX-License-Identifier: Apache-2.0
"""The accelerator behind its registers: control, engines, memories and the memory port, joined."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch.config import Configuration
from weft_arch.isa import ENGINES, Engine
from weft_arch.observed import Wire
from weft_arch.registers import COUNTERS, Fault
from weft_rtl.control.compute_unit import ComputeUnit
from weft_rtl.control.control_unit import ControlUnit
from weft_rtl.control.run_control import RESET_CHAIN
from weft_rtl.dma.axi import axi4_signature
from weft_rtl.dma.fetch_unit import FetchUnit
from weft_rtl.dma.load_unit import LoadUnit
from weft_rtl.dma.memory_port import MemoryPort
from weft_rtl.dma.store_unit import StoreUnit
from weft_rtl.dma.stream_unit import StreamUnit
from weft_rtl.interfaces import FaultReport
from weft_rtl.memory.activation_buffer import ActivationBuffer
from weft_rtl.memory.vector_memory import VectorMemory
from weft_rtl.memory.weight_buffer import WeightBuffer
from weft_rtl.reset_chain import ResetChain
from weft_rtl.vector.vector_unit import VectorUnit

__all__ = ["Machine"]


class Machine(wiring.Component):
    """Everything that CONTROL.RESET resets::

                  +------------------------ MemoryPort ------------------------+
               FetchUnit        StreamUnit          LoadUnit                StoreUnit
                  |                 |                   |                    |     |
             ControlUnit       WeightBuffer --+     VectorMemory ------------+     |
             (to all engines)                 |      |      |                      |
                                         ComputeUnit-+--VectorUnit ----------------+
                                              |             |
                                              +-ActivationBuffer

    Members
    -------
    axi : AXI4 manager (`axi4_signature`)
    i_reset : for more cycles than RESET_CHAIN; its clock domain should have no other.
    i_start, i_stop, i_program_base, i_program_length : run the program; issue nothing new.
    i_region_base, i_region_limit, i_write_base, i_write_limit : see `MemoryPort`.
    i_scalar_index, o_scalar_value, i_scalar_write, i_scalar_value : host port of the scalars.
    o_halted, o_quiet, fault, o_program_counter, o_engine : to the registers and run control.
    o_observed : the word of `weft_arch.observed`, without RUNNING.
    o_events : array, one per counter of COUNTERS: how much to add this cycle (CYCLES: 0).
    """

    axi: Any
    i_reset: Signal
    i_start: Signal
    i_stop: Signal
    i_program_base: Signal
    i_program_length: Signal
    i_region_base: Signal
    i_region_limit: Signal
    i_write_base: Signal
    i_write_limit: Signal
    i_scalar_index: Signal
    o_scalar_value: Signal
    i_scalar_write: Signal
    i_scalar_value: Signal
    o_halted: Signal
    o_quiet: Signal
    fault: data.View
    o_program_counter: Signal
    o_engine: list[Signal]
    o_events: list[Signal]
    o_observed: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "axi": Out(axi4_signature(config)),
                "i_reset": In(1),
                "i_start": In(1),
                "i_stop": In(1),
                "i_program_base": In(32),
                "i_program_length": In(32),
                "i_region_base": In(32),
                "i_region_limit": In(32),
                "i_write_base": In(32),
                "i_write_limit": In(32),
                "i_scalar_index": In(4),
                "o_scalar_value": Out(32),
                "i_scalar_write": In(1),
                "i_scalar_value": In(32),
                "o_halted": Out(1),
                "o_quiet": Out(1),
                "fault": Out(FaultReport),
                "o_program_counter": Out(13),
                "o_engine": Out(32).array(len(Engine)),
                "o_observed": Out(Wire.RUNNING),
                "o_events": Out(config.beat_bytes.bit_length()).array(len(COUNTERS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        port, fetch, control = MemoryPort(config), FetchUnit(config), ControlUnit(config)
        stream, compute, vector = StreamUnit(config), ComputeUnit(config), VectorUnit(config)
        load, store, weights = LoadUnit(config), StoreUnit(config), WeightBuffer(config)
        vectors, activations = VectorMemory(config), ActivationBuffer(config)
        chain = ResetChain(m, self.i_reset)
        # The port first: what the others do before their reset comes gets no further.
        chain.add(
            port=port,
            fetch=fetch,
            control=control,
            stream=stream,
            compute=compute,
            vector=vector,
            load=load,
            store=store,
            weight_buffer=weights,
            vector_memory=vectors,
            activation_buffer=activations,
        )
        assert chain.length <= RESET_CHAIN
        units: dict[Engine, Any] = {
            Engine.STREAM: stream,
            Engine.COMPUTE: compute,
            Engine.VECTOR: vector,
            Engine.LOAD: load,
            Engine.STORE: store,
        }
        for index, engine in enumerate(ENGINES):
            connect(m, control.engine[index], units[engine].engine)

        # Program
        length = self.i_program_length
        too_long = length > config.instruction_words
        starting, fetching = Signal(), Signal()
        m.d.sync += starting.eq(self.i_start)
        with m.If(self.i_start):
            m.d.sync += fetching.eq(1)
        with m.Elif(fetch.o_done):
            m.d.sync += fetching.eq(0)
        requested = Signal()
        with m.If(starting):
            m.d.sync += requested.eq(~too_long)
        with m.Elif(fetch.i.ready):
            m.d.sync += requested.eq(0)
        m.d.comb += [
            fetch.i.valid.eq(requested),
            fetch.i.payload.address.eq(self.i_program_base),
            fetch.i.payload.instructions.eq(length),
            control.i_start.eq(self.i_start),
            control.i_stop.eq(self.i_stop),
            control.i_write.eq(fetch.o_write),
            control.i_write_index.eq(fetch.o_index),
            control.i_write_instruction.eq(fetch.o_instruction),
            control.i_fetching.eq(fetching),
            control.i_scalar_index.eq(self.i_scalar_index),
            control.i_scalar_write.eq(self.i_scalar_write),
            control.i_scalar_value.eq(self.i_scalar_value),
            self.o_scalar_value.eq(control.o_scalar_value),
            self.o_halted.eq(control.o_halted),
            self.o_program_counter.eq(control.o_program_counter),
        ]
        m.d.comb += [self.o_engine[engine].eq(control.o_engine[engine]) for engine in Engine]

        # Memory
        connect(m, port.axi, flipped(self.axi))
        connect(m, fetch.read, port.fetch)
        connect(m, load.read, port.load)
        connect(m, stream.read, port.stream)
        connect(m, store.write, port.write)
        m.d.comb += [
            port.i_region_base.eq(self.i_region_base),
            port.i_region_limit.eq(self.i_region_limit),
            port.i_write_base.eq(self.i_write_base),
            port.i_write_limit.eq(self.i_write_limit),
            port.i_quiesce.eq(self.i_stop),
            port.i_stream_low.eq(weights.o_low),
            self.o_quiet.eq(port.o_quiet),
        ]

        # Weights, vectors, activations
        connect(m, stream.o_beats, weights.i_beats)
        m.d.comb += [
            stream.i_code_word_freed.eq(weights.o_code_word_freed),
            stream.i_scale_tile_freed.eq(weights.o_scale_tile_freed),
        ]
        if config.resident_bytes:
            connect(m, stream.resident, weights.resident)
        connect(m, weights.o_codes, compute.i_codes)
        connect(m, weights.o_scales, compute.i_scales)
        connect(m, compute.vector_read, vectors.compute_read)
        connect(m, vector.read, vectors.vector_read)
        connect(m, store.vector_read, vectors.store_read)
        connect(m, load.vector_write, vectors.load_write)
        connect(m, vector.o_write, vectors.vector_write)
        m.d.comb += [
            vectors.compute_write.valid.eq(compute.o_vector_write.valid),
            vectors.compute_write.payload.eq(compute.o_vector_write.payload),
        ]
        connect(m, compute.activation, activations.array_read)
        connect(m, compute.activation_write, activations.softmax_write)
        connect(m, vector.o_activation_write, activations.vector_write)
        connect(m, compute.o_row_scalar, vector.i_row_scalar)
        connect(m, vector.o_groups, store.i_groups)
        m.d.comb += [
            compute.i_read_index.eq(store.o_read_index),
            store.i_value.eq(compute.o_value),
            store.i_index.eq(compute.o_index),
        ]

        # Faults: of several in one cycle any is the first.
        program_fault: Any = Signal(FaultReport)
        m.d.comb += [
            program_fault.valid.eq(starting & too_long),
            program_fault.cause.eq(Fault.ILLEGAL_INSTRUCTION),
            program_fault.address.eq(config.instruction_words),
        ]
        reports = [
            control.fault,
            port.fault,
            program_fault,
            *(u.engine.fault for u in units.values()),
        ]
        first: Any = 0
        for report in reports:
            first = Mux(report.valid, report.as_value(), first)
        m.d.sync += self.fault.as_value().eq(first)
        with m.If(self.i_reset):
            m.d.sync += [starting.eq(0), fetching.eq(0), requested.eq(0), self.fault.valid.eq(0)]

        # Counters
        busy = dict(zip(ENGINES, control.o_busy, strict=True))
        waits = dict(zip(ENGINES, control.o_waits, strict=True))
        events = {
            "CYCLES": 0,
            "BYTES_READ": Mux(port.o_read_beat, config.beat_bytes, 0),
            "BYTES_WRITTEN": port.o_written_bytes,
            "WRITE_BEATS": port.o_write_beat,
            "MAC_CYCLES": compute.o_mac,
            "COMPUTE_BUSY": busy[Engine.COMPUTE],
            "COMPUTE_WAIT_TOKEN": waits[Engine.COMPUTE],
            "COMPUTE_WAIT_WEIGHTS": compute.o_wait_weights,
            "VECTOR_BUSY": busy[Engine.VECTOR],
            "VECTOR_WAIT_TOKEN": waits[Engine.VECTOR],
            "STREAM_WAIT_SPACE": stream.o_wait_space,
            "STREAM_WAIT_TOKEN": waits[Engine.STREAM],
            "STREAM_BYTES": Mux(stream.o_beat, config.beat_bytes, 0),
            "LOAD_BUSY": busy[Engine.LOAD],
            "STORE_BUSY": busy[Engine.STORE],
            "READ_IDLE": port.o_read_idle,
        }
        m.d.comb += [self.o_events[i].eq(events[name]) for i, name in enumerate(COUNTERS)]
        shared = (compute.o_mac, compute.o_wait_weights, port.o_read_beat, port.o_write_beat)
        m.d.comb += self.o_observed.eq(Cat(control.o_observed, *shared))
        return m
