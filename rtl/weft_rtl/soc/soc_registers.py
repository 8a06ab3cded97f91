# SPDX-License-Identifier: Apache-2.0
"""The registers that CPU and host share."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch.soc import (
    SOC_ID_VALUE,
    SOC_REGISTERS,
    SOC_VERSION_VALUE,
    WATCHDOG_EXPIRED,
    CpuControl,
    SocInterrupt,
    soc_offset,
)
from weft_rtl.dma.axi import axi_lite_signature
from weft_rtl.soc.register_bus import SOC_ADDRESS_BITS

__all__ = ["CPU_RESET_CYCLES", "SocRegisters"]

CPU_RESET_CYCLES = 16
"""For which the watchdog holds the CPU's reset."""
_DECERR = 3
_LAST = max(r.offset for r in SOC_REGISTERS.values())
_PLAIN = {"LEDS": 8, "BOOT_STATUS": 32, "CPU_CONTROL": 2, "MAILBOX": 32}
"""Registers that keep what is written to them, and their bits."""


class SocRegisters(wiring.Component):
    """The registers of `weft_arch.soc`; whole words, an access in 5 cycles. Writes with strobes
    that are not all set change nothing and are answered DECERR, as are other offsets.

    Members
    -------
    bus : AXI4-Lite subordinate
    i_accelerator_irq : In(1)
    i_buttons : In(8), synchronised
    o_leds : Out(8)
    o_link_irq : Out(1)
        NOTIFY, or the accelerator's interrupt unless CPU_CONTROL gives that to the CPU.
    o_cpu_irq : Out(2)
        `SocInterrupt`.
    o_cpu_reset : Out(1)
        CPU_CONTROL holds the CPU, or the watchdog resets it.
    """

    bus: Any
    i_accelerator_irq: Signal
    i_buttons: Signal
    o_leds: Signal
    o_link_irq: Signal
    o_cpu_irq: Signal
    o_cpu_reset: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "bus": Out(axi_lite_signature(SOC_ADDRESS_BITS)),
                "i_accelerator_irq": In(1),
                "i_buttons": In(8),
                "o_leds": Out(8),
                "o_link_irq": Out(1),
                "o_cpu_irq": Out(2),
                "o_cpu_reset": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        plain = {name: Signal(bits, name=name.lower()) for name, bits in _PLAIN.items()}
        doorbell, notify = Signal(), Signal()
        cycles, high = Signal(64), Signal(32)
        watchdog, resetting = Signal(32), Signal(range(CPU_RESET_CYCLES + 1))

        # One access at a time: taken, its register looked up, done, then answered.
        write, read = Signal(), Signal()
        taken_write, taken_read = Signal(), Signal()
        writing, reading = Signal(), Signal()
        index = Signal(SOC_ADDRESS_BITS - 2, reset_less=True)
        word, whole = Signal(32, reset_less=True), Signal(reset_less=True)
        busy = taken_write | taken_read | writing | reading | bus.bvalid | bus.rvalid
        m.d.comb += [
            write.eq(bus.awvalid & bus.wvalid & ~busy),
            read.eq(bus.arvalid & ~write & ~busy),
            bus.awready.eq(write),
            bus.wready.eq(write),
            bus.arready.eq(read),
        ]
        m.d.sync += [
            taken_write.eq(write),
            taken_read.eq(read),
            writing.eq(taken_write),
            reading.eq(taken_read),
            index.eq(Mux(write, bus.awaddr[2:], bus.araddr[2:])),
            word.eq(bus.wdata),
            whole.eq(bus.wstrb.all()),
        ]
        here = {name: Signal(name=f"here_{name.lower()}") for name in SOC_REGISTERS}
        there, allowed = Signal(), Signal()
        m.d.sync += [flag.eq(index == soc_offset(name) // 4) for name, flag in here.items()]
        m.d.sync += [there.eq(index <= _LAST // 4), allowed.eq((index <= _LAST // 4) & whole)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(writing):
            m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(allowed, 0, _DECERR))]
        with m.If(reading):
            m.d.sync += [bus.rvalid.eq(1), bus.rresp.eq(Mux(there, 0, _DECERR))]
            shown: dict[str, Any] = {
                "SOC_ID": SOC_ID_VALUE,
                "SOC_VERSION": SOC_VERSION_VALUE,
                "DOORBELL": doorbell,
                "NOTIFY": notify,
                "CYCLES_LOW": cycles[:32],
                "CYCLES_HIGH": high,
                "WATCHDOG": watchdog,
                "BUTTONS": self.i_buttons,
                "INTERRUPTS": self.o_cpu_irq,
                **plain,
            }
            terms = [Mux(here[name], Value.cast(value), 0) for name, value in shown.items()]
            m.d.sync += bus.rdata.eq(reduce(or_, terms))
            with m.If(here["CYCLES_LOW"]):
                m.d.sync += high.eq(cycles[32:])

        def written(name: str) -> Value:
            return writing & allowed & here[name]

        for name, register in plain.items():
            with m.If(written(name)):
                m.d.sync += register.eq(word)
        with m.If(written("DOORBELL")):
            m.d.sync += doorbell.eq(word.any())
        with m.If(written("NOTIFY")):
            m.d.sync += notify.eq(word[0])
        m.d.sync += cycles.eq(cycles + 1)

        expired = Signal()
        m.d.sync += expired.eq(0)
        with m.If(resetting != 0):
            m.d.sync += resetting.eq(resetting - 1)
        with m.If(written("WATCHDOG")):
            m.d.sync += watchdog.eq(word)
        with m.Elif(watchdog != 0):
            m.d.sync += [watchdog.eq(watchdog - 1), expired.eq(watchdog == 1)]
        with m.If(expired):
            status = plain["BOOT_STATUS"]
            m.d.sync += [
                status[WATCHDOG_EXPIRED.bit_length() - 1].eq(1),
                resetting.eq(CPU_RESET_CYCLES),
            ]

        control = plain["CPU_CONTROL"]
        to_cpu = (control & CpuControl.ACCELERATOR_TO_CPU).any()
        flags = {SocInterrupt.DOORBELL: doorbell, SocInterrupt.ACCELERATOR: self.i_accelerator_irq}
        m.d.comb += [
            self.o_leds.eq(plain["LEDS"]),
            self.o_cpu_irq.eq(Cat(flags[flag] for flag in sorted(flags))),
        ]
        m.d.sync += [
            self.o_link_irq.eq(notify | (self.i_accelerator_irq & ~to_cpu)),
            self.o_cpu_reset.eq((control & CpuControl.HOLD).any() | (resetting != 0)),
        ]
        return m
