# SPDX-License-Identifier: Apache-2.0
"""The board's CPU with all that it reaches alone."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch.config import Configuration
from weft_arch.soc import area
from weft_rtl.dma.axi import axi4_signature, axi_lite_signature
from weft_rtl.soc.cpu_bus import CpuBus
from weft_rtl.soc.cpu_core import CpuCore
from weft_rtl.soc.cpu_memory import CpuRam, CpuRom
from weft_rtl.soc.wishbone import wishbone_signature

__all__ = ["Cpu"]


class Cpu(wiring.Component):
    """Core, ROM and RAM; see `CpuCore` and `CpuBus`. Instructions come from the ROM alone.

    Members
    -------
    axi : AXI4 manager, the DRAM
    registers : AXI4-Lite manager
    i_interrupts : In(2), `weft_arch.soc.SocInterrupt`
    i_reset : In(1), of the core; its memories keep what they hold

    Parameters
    ----------
    firmware : bytes
        What the ROM holds from address 0; a ValueError if it is too long.
    """

    axi: Any
    registers: Any
    i_interrupts: Signal
    i_reset: Signal

    def __init__(self, config: Configuration, firmware: bytes) -> None:
        self._config = config
        self._rom = CpuRom(firmware, area("ROM").bytes)
        super().__init__(
            {
                "axi": Out(axi4_signature(config)),
                "registers": In(axi_lite_signature()),
                "i_interrupts": In(2),
                "i_reset": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = CpuCore()
        m.submodules.rom = rom = self._rom
        m.submodules.ram = ram = CpuRam(area("RAM").bytes)
        m.submodules.bus = bus = CpuBus(self._config)
        connect(m, core.data, bus.cpu)
        connect(m, bus.rom, rom.data)
        connect(m, bus.ram, ram.bus)
        connect(m, bus.axi, flipped(self.axi))
        connect(m, bus.registers, flipped(self.registers))

        fetch = core.instructions
        outside = Signal()
        refused = Signal()
        words = area("ROM").bytes // 4
        m.d.comb += outside.eq(fetch.adr >= words)
        m.d.sync += refused.eq(fetch.cyc & fetch.stb & outside & ~refused)
        for name, member in wishbone_signature().members.items():
            inner, outer = getattr(rom.instructions, name), getattr(fetch, name)
            m.d.comb += inner.eq(outer) if member.flow is Out else outer.eq(inner)
        with m.If(outside):
            m.d.comb += [rom.instructions.cyc.eq(0), fetch.err.eq(refused)]
        m.d.comb += [core.i_interrupts.eq(self.i_interrupts), core.i_reset.eq(self.i_reset)]
        return m
