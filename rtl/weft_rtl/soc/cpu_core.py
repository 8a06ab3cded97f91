# SPDX-License-Identifier: Apache-2.0
"""VexRiscv, a RISC-V core written by others, as a component."""

import importlib.util
from pathlib import Path
from typing import Any

from amaranth import Cat, ClockSignal, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.soc.wishbone import wishbone_signature

__all__ = ["BUS_ERROR_INTERRUPT", "CpuCore", "cpu_core_verilog"]

BUS_ERROR_INTERRUPT = 2
"""Number of the interrupt of a load or store that was answered with an error."""
_PACKAGE = "pythondata_cpu_vexriscv"
_VARIANT = "VexRiscv_Lite"
_MODULE = "VexRiscv"


def cpu_core_verilog() -> str:
    """The core's Verilog, to append to a design that holds a `CpuCore`.

    Raises ``FileNotFoundError`` with a sentence if its package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "The board's CPU comes from the package pythondata-cpu-vexriscv, which is not "
            "installed in this environment."
        )
    text = (Path(spec.origin).parent / "verilog" / f"{_VARIANT}.v").read_text()
    # What is public keeps Verilator from joining the modules above it.
    return text.replace("/* verilator public */", "")


class CpuCore(wiring.Component):
    """RV32IM in five stages with an instruction cache of 2 KiB and no data cache; multiplication
    and division take about 34 cycles. Begins at address 0.

    Interrupts are bits of CSR 0xBC0 (mask) and 0xFC0 (pending); all are masked after reset. The
    core knows no bus errors: an instruction that was answered with one is 0, which is illegal and
    traps; a load gives 0, and it or a store raises interrupt `BUS_ERROR_INTERRUPT` until reset.

    Members
    -------
    instructions, data : `wishbone_signature`
    i_interrupts : In(2), numbers 0 and 1
    i_reset : In(1), beside the reset of ``sync``
    """

    instructions: Any
    data: Any
    i_interrupts: Signal
    i_reset: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "instructions": Out(wishbone_signature()),
                "data": Out(wishbone_signature()),
                "i_interrupts": In(2),
                "i_reset": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reset = ResetSignal() | self.i_reset
        wrong = Signal()
        ports: dict[str, Any] = {}
        names = {"dat_w": "DAT_MOSI", "dat_r": "DAT_MISO"}
        for prefix, bus in (("iBusWishbone", self.instructions), ("dBusWishbone", self.data)):
            for name, member in bus.signature.members.items():
                way = "o" if member.flow is Out else "i"
                ports[f"{way}_{prefix}_{names.get(name, name.upper())}"] = getattr(bus, name)
            ports[f"i_{prefix}_ACK"] = bus.ack | bus.err
            ports[f"i_{prefix}_DAT_MISO"] = Mux(bus.err, 0, bus.dat_r)
        with m.If(reset):
            m.d.sync += wrong.eq(0)
        with m.Elif(self.data.err):
            m.d.sync += wrong.eq(1)
        m.submodules.core = Instance(
            _MODULE,
            i_clk=ClockSignal(),
            i_reset=reset,
            i_externalResetVector=0,
            i_timerInterrupt=0,
            i_softwareInterrupt=0,
            i_externalInterruptArray=Cat(self.i_interrupts, wrong),
            **ports,
        )
        return m
