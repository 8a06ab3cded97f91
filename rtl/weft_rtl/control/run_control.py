# SPDX-License-Identifier: Apache-2.0
"""Start, end, fault and reset of the machine."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.registers import Fault
from weft_rtl.control.counters import SETTLE_CYCLES
from weft_rtl.control.scalar_file import CLEAR_CYCLES
from weft_rtl.interfaces import FaultReport

__all__ = ["RESET_CHAIN", "RunControl"]

RESET_CHAIN = 11
"""Blocks of the machine, which the reset reaches one after the other."""

_QUIESCE_CYCLES = 4
"""Cycles after which ``i_quiet`` tells the effect of ``o_quiesce``."""
_RESET_CYCLES = RESET_CHAIN + 2
_CLEAR_CYCLES = RESET_CHAIN + CLEAR_CYCLES + 2


class RunControl(wiring.Component):
    """What CONTROL does and STATUS shows. It is reset by the reset of the chip alone.

    Members
    -------
    i_start, i_reset : pulses, the bits of CONTROL. START is ignored unless the machine is idle and
        without fault; RESET is ignored while resetting and wins against START.
    i_halted : pulse: the program is complete.
    i_fault : the first report while running is kept.
    i_quiet : nothing is outstanding at the memory port.
    o_start : pulse to the machine.
    o_running : from start to halt, fault or reset; counters count.
    o_stop : issue nothing new, neither instructions nor memory requests. From a fault or the
        request to reset until the machine has been reset.
    o_machine_reset : reset of everything but registers, counters and this block.
    o_running_status, o_done, o_fault, o_resetting : the bits of STATUS. Running ends only when the
        counters have settled.
    o_hold : register accesses must wait. Up during the last part of resetting, about 45 cycles.
    o_fault_cause, o_fault_address : of the first fault, 0 without.
    o_done_event, o_fault_event : pulses for the interrupt.
    """

    i_start: Signal
    i_reset: Signal
    i_halted: Signal
    i_fault: data.View
    i_quiet: Signal
    o_start: Signal
    o_running: Signal
    o_stop: Signal
    o_machine_reset: Signal
    o_running_status: Signal
    o_done: Signal
    o_fault: Signal
    o_resetting: Signal
    o_hold: Signal
    o_fault_cause: Signal
    o_fault_address: Signal
    o_done_event: Signal
    o_fault_event: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_start": In(1),
                "i_reset": In(1),
                "i_halted": In(1),
                "i_fault": In(FaultReport),
                "i_quiet": In(1),
                "o_start": Out(1),
                "o_running": Out(1),
                "o_stop": Out(1),
                "o_machine_reset": Out(1, init=1),
                "o_running_status": Out(1),
                "o_done": Out(1),
                "o_fault": Out(1),
                "o_resetting": Out(1, init=1),
                "o_hold": Out(1),
                "o_fault_cause": Out(4),
                "o_fault_address": Out(32),
                "o_done_event": Out(1),
                "o_fault_event": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wait = Signal(range(SETTLE_CYCLES), init=_RESET_CYCLES)
        m.d.sync += [
            self.o_start.eq(0),
            self.o_done_event.eq(0),
            self.o_fault_event.eq(0),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        reset = Signal()
        m.d.comb += reset.eq(self.i_reset & ~self.o_resetting)
        with m.FSM(init="RESET", name="state"):
            with m.State("IDLE"):
                with m.If(reset):
                    m.next = "QUIESCE"
                with m.Elif(self.i_start & ~self.o_fault):
                    m.d.sync += [
                        self.o_start.eq(1),
                        self.o_running.eq(1),
                        self.o_running_status.eq(1),
                        self.o_done.eq(0),
                    ]
                    m.next = "RUNNING"
            with m.State("RUNNING"):
                m.d.sync += wait.eq(SETTLE_CYCLES - 1)
                with m.If(reset):
                    m.next = "QUIESCE"
                with m.Elif(self.i_fault.valid):
                    m.d.sync += [
                        self.o_running.eq(0),
                        self.o_stop.eq(1),
                        self.o_fault_cause.eq(self.i_fault.cause),
                        self.o_fault_address.eq(self.i_fault.address),
                    ]
                    m.next = "SETTLING"
                with m.Elif(self.i_halted):
                    m.d.sync += self.o_running.eq(0)
                    m.next = "SETTLING"
            with m.State("SETTLING"):
                with m.If(reset):
                    m.next = "QUIESCE"
                with m.Elif(wait == 0):
                    failed = self.o_fault_cause != Fault.NONE
                    m.d.sync += [
                        self.o_running_status.eq(0),
                        self.o_done.eq(~failed),
                        self.o_fault.eq(failed),
                        self.o_done_event.eq(~failed),
                        self.o_fault_event.eq(failed),
                    ]
                    m.next = "IDLE"
            with m.State("QUIESCE"), m.If((wait == 0) & self.i_quiet):
                m.d.sync += [self.o_machine_reset.eq(1), wait.eq(_RESET_CYCLES)]
                m.next = "RESET"
            with m.State("RESET"):
                m.d.comb += self.o_hold.eq(1)
                with m.If(wait == 0):
                    m.d.sync += [self.o_machine_reset.eq(0), wait.eq(_CLEAR_CYCLES)]
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                m.d.comb += self.o_hold.eq(1)
                with m.If(wait == 0):
                    m.d.sync += [self.o_resetting.eq(0), self.o_stop.eq(0)]
                    m.next = "IDLE"
        with m.If(reset):
            m.d.sync += [
                self.o_start.eq(0),
                self.o_resetting.eq(1),
                self.o_running.eq(0),
                self.o_running_status.eq(0),
                self.o_stop.eq(1),
                self.o_done.eq(0),
                self.o_fault.eq(0),
                self.o_done_event.eq(0),
                self.o_fault_event.eq(0),
                self.o_fault_cause.eq(Fault.NONE),
                self.o_fault_address.eq(0),
                wait.eq(_QUIESCE_CYCLES),
            ]
        return m
