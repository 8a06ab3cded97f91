# SPDX-License-Identifier: Apache-2.0
"""VexRiscv, a RISC-V core written by others, as a component."""

import importlib.util
import re
from pathlib import Path
from typing import Any

from amaranth import Cat, ClockDomain, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_rtl.soc.half_rate_bus import HalfRateBus
from weft_rtl.soc.wishbone import wishbone_signature

__all__ = ["BUS_ERROR_INTERRUPT", "HALF_CLOCK", "CpuCore", "cpu_core_verilog"]

BUS_ERROR_INTERRUPT = 2
"""Number of the interrupt of a load or store that was answered with an error."""
HALF_CLOCK = "half_clock"
"""Name of the net that is the core's clock."""
_PACKAGE = "pythondata_cpu_vexriscv"
_VARIANT = "VexRiscv_Lite"
_MODULE = "VexRiscv"
_SMALL_MEMORY = re.compile(r'\(\* ram_style = "block" \*\)(?= reg \[\d+:0\] \w+ \[0:(?:31|63)\])')


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
    # Registers and cache tags are too few for block RAM, and come late out of it.
    text = _SMALL_MEMORY.sub('(* ram_style = "distributed" *)', text)
    # What is public keeps Verilator from joining the modules above it.
    return text.replace("/* verilator public */", "")


class CpuCore(wiring.Component):
    """RV32IM in five stages with an instruction cache of 2 KiB and no data cache; multiplication
    and division take about 34 cycles. Begins at address 0.

    Its clock is half of ``sync``: its stages are twice as long as those of the rest. See
    `HalfRateBus`; cycles of the core are two of ``sync``.

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
        # It runs during the reset, which would not reach the core otherwise.
        clock = Signal(name=HALF_CLOCK, reset_less=True, attrs={"keep": 1})
        half: Any = ClockDomain("half", local=True, reset_less=True)
        m.domains += half
        m.d.sync += clock.eq(~clock)
        m.d.comb += half.clk.eq(clock)

        # What the core sees changes in the middle of its period. No short reset is lost; interrupts
        # are levels.
        asked, reset = Signal(init=1, reset_less=True), Signal(init=1, reset_less=True)
        wrong = Signal()
        interrupts = Signal(3, reset_less=True)
        wanted = ResetSignal() | self.i_reset
        m.d.sync += asked.eq(asked | wanted)
        with m.If(clock):
            m.d.sync += [
                reset.eq(asked | wanted),
                asked.eq(0),
                interrupts.eq(Cat(self.i_interrupts, wrong)),
            ]

        ports: dict[str, Any] = {}
        names = {"dat_w": "DAT_MOSI", "dat_r": "DAT_MISO"}
        for prefix, bus in (("iBusWishbone", self.instructions), ("dBusWishbone", self.data)):
            m.submodules[prefix] = slow = HalfRateBus()
            connect(m, slow.bus, flipped(bus))
            # The core's longest paths begin with the answer, so this is a register of its clock.
            answered = Signal(name=f"{prefix}_answered")
            m.d.comb += [slow.i_middle.eq(clock), slow.i_drop.eq(reset)]
            m.d.half += answered.eq(slow.manager.ack | slow.manager.err)
            for name, member in slow.manager.signature.members.items():
                way = "i" if member.flow is Out else "o"
                ports[f"{way}_{prefix}_{names.get(name, name.upper())}"] = getattr(
                    slow.manager, name
                )
            ports[f"i_{prefix}_ACK"] = answered
            if bus is self.data:
                with m.If(slow.manager.err):
                    m.d.sync += wrong.eq(1)
        with m.If(reset):
            m.d.sync += wrong.eq(0)
        m.submodules.core = Instance(
            _MODULE,
            i_clk=half.clk,
            i_reset=reset,
            i_externalResetVector=0,
            i_timerInterrupt=0,
            i_softwareInterrupt=0,
            i_externalInterruptArray=interrupts,
            **ports,
        )
        return m
