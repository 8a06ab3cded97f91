# SPDX-License-Identifier: Apache-2.0
"""What the host sees: registers, run control and counters, joined. A RESET leaves it alone."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch.config import Configuration
from weft_arch.isa import Engine
from weft_arch.registers import COUNTERS
from weft_rtl.control.counters import Counters
from weft_rtl.control.register_file import LITE_ADDRESS_BITS, STORED, RegisterFile
from weft_rtl.control.run_control import RunControl
from weft_rtl.dma.axi import axi_lite_signature
from weft_rtl.interfaces import FaultReport

__all__ = ["HostInterface"]


class HostInterface(wiring.Component):
    """Registers on the AXI4-Lite port, with all they show and do.

    Members
    -------
    bus : AXI4-Lite subordinate (`axi_lite_signature`)
    o_irq : the interrupt, a level.
    o_program_base ... o_write_limit : the plain registers.
    o_start, o_stop, o_machine_reset, i_halted, i_quiet, i_fault : see `RunControl`.
    o_running : a program is at work; counters count.
    i_program_counter, i_engine : what the registers show.
    o_scalar_index, i_scalar_value, o_scalar_write, o_scalar_value : host port of `ScalarFile`.
    i_events : array; what to add to each counter of COUNTERS this cycle. CYCLES counts by itself;
        what comes while the machine is not running is not counted.
    """

    bus: Any
    o_irq: Signal
    o_program_base: Signal
    o_program_length: Signal
    o_region_base: Signal
    o_region_limit: Signal
    o_write_base: Signal
    o_write_limit: Signal
    o_start: Signal
    o_stop: Signal
    o_machine_reset: Signal
    o_running: Signal
    i_halted: Signal
    i_quiet: Signal
    i_fault: data.View
    i_program_counter: Signal
    i_engine: list[Signal]
    o_scalar_index: Signal
    i_scalar_value: Signal
    o_scalar_write: Signal
    o_scalar_value: Signal
    i_events: list[Signal]

    def __init__(self, config: Configuration) -> None:
        self._config = config
        event_bits = config.beat_bytes.bit_length()
        super().__init__(
            {
                "bus": Out(axi_lite_signature(LITE_ADDRESS_BITS)),
                "o_irq": Out(1),
                **{f"o_{name.lower()}": Out(32) for name in STORED},
                "o_start": Out(1),
                "o_stop": Out(1),
                "o_machine_reset": Out(1),
                "o_running": Out(1),
                "i_halted": In(1),
                "i_quiet": In(1),
                "i_fault": In(FaultReport),
                "i_program_counter": In(13),
                "i_engine": In(32).array(len(Engine)),
                "o_scalar_index": Out(4),
                "i_scalar_value": In(32),
                "o_scalar_write": Out(1),
                "o_scalar_value": Out(32),
                "i_events": In(event_bits).array(len(COUNTERS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        in_bytes = {"BYTES_READ", "BYTES_WRITTEN", "STREAM_BYTES"}
        limits = [config.beat_bytes if name in in_bytes else 1 for name in COUNTERS]
        m.submodules.registers = registers = RegisterFile(config)
        m.submodules.run = run = RunControl()
        m.submodules.counters = counters = Counters(limits)
        connect(m, registers.bus, flipped(self.bus))
        m.d.comb += [
            getattr(self, f"o_{n.lower()}").eq(getattr(registers, f"o_{n.lower()}")) for n in STORED
        ]
        m.d.comb += [
            self.o_irq.eq(registers.o_irq),
            self.o_start.eq(run.o_start),
            self.o_stop.eq(run.o_stop),
            self.o_machine_reset.eq(run.o_machine_reset),
            self.o_running.eq(run.o_running),
            run.i_start.eq(registers.o_start),
            run.i_reset.eq(registers.o_reset),
            run.i_halted.eq(self.i_halted),
            run.i_quiet.eq(self.i_quiet),
            run.i_fault.eq(self.i_fault),
            registers.i_running.eq(run.o_running_status),
            registers.i_done.eq(run.o_done),
            registers.i_fault.eq(run.o_fault),
            registers.i_resetting.eq(run.o_resetting),
            registers.i_hold.eq(run.o_hold),
            registers.i_done_event.eq(run.o_done_event),
            registers.i_fault_event.eq(run.o_fault_event),
            registers.i_fault_cause.eq(run.o_fault_cause),
            registers.i_fault_address.eq(run.o_fault_address),
            registers.i_program_counter.eq(self.i_program_counter),
            self.o_scalar_index.eq(registers.o_scalar_index),
            registers.i_scalar_value.eq(self.i_scalar_value),
            self.o_scalar_write.eq(registers.o_scalar_write),
            self.o_scalar_value.eq(registers.o_scalar_value),
            counters.i_clear.eq(registers.o_clear_counters),
            counters.i_read.eq(registers.o_counter_read),
            counters.i_index.eq(registers.o_counter_index),
            registers.i_counter_value.eq(counters.o_value),
        ]
        m.d.comb += [registers.i_engine[engine].eq(self.i_engine[engine]) for engine in Engine]
        for index, name in enumerate(COUNTERS):
            event = 1 if name == "CYCLES" else self.i_events[index]
            m.d.sync += counters.i_events[index].eq(Mux(run.o_running, event, 0))
        return m
