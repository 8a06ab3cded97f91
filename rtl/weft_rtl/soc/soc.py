# SPDX-License-Identifier: Apache-2.0
"""All of a board between its clocks and its pins."""

from typing import Any

from amaranth import ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_rtl.boards.board import Board
from weft_rtl.soc.accelerator_reset import AcceleratorReset
from weft_rtl.soc.cpu import Cpu
from weft_rtl.soc.link_bridge import LinkUart
from weft_rtl.soc.memory_arbiter import MemoryArbiter
from weft_rtl.soc.register_bus import RegisterBus
from weft_rtl.soc.sdram_controller import SdramController
from weft_rtl.soc.sdram_interfaces import sdram_pads_signature
from weft_rtl.soc.soc_registers import SocRegisters
from weft_rtl.top import WeftTop

__all__ = ["Soc"]

_REGISTER_ADDRESS_BITS = 32


class Soc(wiring.Component):
    """Accelerator, CPU, link and SDRAM controller, joined::

        UART - LinkUart --+--------------- RegisterBus --+-- accelerator's registers
                          |                /             +-- SocRegisters
                     Cpu -----------------<
                          |                \\
                          +--------------- MemoryArbiter -- SdramController - pads
               accelerator ----------------/

    Runs in ``sync``, whose clock has ``board.clock_hz`` and whose reset is held until both clocks
    run; the pads' side in ``sdram`` (no reset).

    Members
    -------
    pads : `sdram_pads_signature`
    i_uart, o_uart : the serial line, 1 at rest
    i_buttons : In(8), asynchronous; 1 is pressed
    o_leds : Out(8)

    Parameters
    ----------
    board : Board
    firmware : bytes
        What the CPU's ROM holds; None for a board without a CPU.
    told_clock_hz : int
        The clock that the board tells the host; a simulation runs more slowly than ``clock_hz``.
    read_delay_cycles : int
        See `SdramCore`.
    """

    pads: Any
    i_uart: Signal
    o_uart: Signal
    i_buttons: Signal
    o_leds: Signal

    def __init__(
        self,
        board: Board,
        *,
        firmware: bytes | None,
        told_clock_hz: int | None = None,
        read_delay_cycles: int | None = None,
    ) -> None:
        config = board.config
        self.board = board
        self._accelerator = WeftTop(config)
        self._sdram = SdramController(config, board.timing, read_delay_cycles=read_delay_cycles)
        self._cpu = None if firmware is None else Cpu(config, firmware)
        self._link = LinkUart(
            config,
            memory_bytes=board.memory_bytes,
            clock_hz=board.clock_hz,
            baud=board.baud,
            told_clock_hz=told_clock_hz,
            register_address_bits=_REGISTER_ADDRESS_BITS,
        )
        super().__init__(
            {
                "pads": Out(sdram_pads_signature(board.sdram)),
                "i_uart": In(1),
                "o_uart": Out(1),
                "i_buttons": In(8),
                "o_leds": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # It makes its own domain of its ports, which must not have the name of this one.
        accelerator = self._accelerator
        m.submodules.accelerator = DomainRenamer("accelerator")(accelerator)
        m.submodules.sdram = sdram = self._sdram
        m.submodules.link = link = self._link
        m.submodules.arbiter = arbiter = MemoryArbiter(self.board.config)
        m.submodules.bus = bus = RegisterBus()
        m.submodules.registers = registers = SocRegisters()
        m.submodules.reset = reset = AcceleratorReset()

        _connect_accelerator(m, accelerator, "m_axi", arbiter.accelerator)
        _connect_accelerator(m, accelerator, "s_axil", bus.accelerator)
        connect(m, link.axi, arbiter.link)
        connect(m, arbiter.memory, sdram.axi)
        connect(m, link.bus, bus.link)
        connect(m, bus.soc, registers.bus)
        connect(m, sdram.pads, flipped(self.pads))

        if self._cpu is not None:
            m.submodules.cpu = cpu = self._cpu
            connect(m, cpu.axi, arbiter.cpu)
            connect(m, cpu.registers, bus.cpu)
            m.d.comb += [
                cpu.i_interrupts.eq(registers.o_cpu_irq),
                cpu.i_reset.eq(registers.o_cpu_reset),
            ]

        m.d.comb += [
            accelerator.clk.eq(ClockSignal()),
            accelerator.rst.eq(ResetSignal() | reset.o_reset),
            reset.i_request.eq(link.o_reset),
            reset.i_quiet.eq(arbiter.o_quiet & bus.o_idle),
            arbiter.i_hold.eq(reset.o_hold),
            bus.i_hold.eq(reset.o_hold),
            registers.i_accelerator_irq.eq(accelerator.irq),
            link.i_irq.eq(registers.o_link_irq),
            link.i_line.eq(self.i_uart),
            self.o_uart.eq(link.o_line),
            self.o_leds.eq(registers.o_leds),
        ]
        m.submodules.buttons = FFSynchronizer(self.i_buttons, registers.i_buttons)
        return m


def _connect_accelerator(m: Module, accelerator: WeftTop, prefix: str, bus: Any) -> None:
    """Join flat ports of the accelerator with an interface."""
    for name, member in bus.signature.members.items():
        port, inner = getattr(accelerator, f"{prefix}_{name}"), getattr(bus, name)
        m.d.comb += inner.eq(port) if member.flow is In else port.eq(inner)
