# SPDX-License-Identifier: Apache-2.0
"""The top level: one AXI4 manager port, one AXI4-Lite subordinate port, one interrupt."""

from typing import Any

from amaranth import Cat, ClockDomain, DomainRenamer, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_arch.isa import Engine
from weft_arch.registers import COUNTERS
from weft_rtl.array.ecp5_multiplier import Ecp5Target
from weft_rtl.control.host_interface import HostInterface
from weft_rtl.control.register_file import LITE_ADDRESS_BITS, STORED
from weft_rtl.dma.axi import axi4_signature, axi_lite_signature, connect_flat, flat_members
from weft_rtl.machine import Machine
from weft_rtl.verilog_text import to_verilog

__all__ = ["ECP5_HARD_MULTIPLIERS", "MODULE_NAME", "WeftTop", "generate_verilog"]

MODULE_NAME = "weft_top"
ECP5_HARD_MULTIPLIERS = 128
"""MULT18X18D of an LFE5U-85F (156) that the array may use; the rest is for floats."""


class WeftTop(wiring.Component):
    """A weft accelerator.

    Members
    -------
    clk, rst : clock and its synchronous reset, active high, at least one cycle.
    irq : the interrupt, a level, until its pending bits are cleared.
    m_axi_* : AXI4 manager, 32-bit addresses, ``beat_bytes`` wide.
    s_axil_* : AXI4-Lite subordinate, 12-bit addresses; see `weft_arch.registers`.
    o_observed : Out(64), only with ``observed``: the word of `weft_arch.observed`.
    """

    clk: Signal
    rst: Signal
    irq: Signal
    o_observed: Signal

    def __init__(self, config: Configuration, *, observed: bool = False) -> None:
        self.config = config
        self._observed = observed
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "irq": Out(1),
                **flat_members("m_axi", axi4_signature(config)),
                **flat_members("s_axil", axi_lite_signature(LITE_ADDRESS_BITS)),
                **({"o_observed": Out(64)} if observed else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Two domains on one clock: CONTROL.RESET resets the machine and leaves the registers.
        sync: Any = ClockDomain("sync")
        inner: Any = ClockDomain("machine", reset_less=True)
        m.domains.sync, m.domains.machine = sync, inner
        sync.clk, sync.rst = self.clk, self.rst
        inner.clk = self.clk

        m.submodules.host = host = HostInterface(self.config)
        machine = Machine(self.config)
        m.submodules.machine = DomainRenamer("machine")(machine)
        connect_flat(m, self, "m_axi", machine.axi)
        connect_flat(m, self, "s_axil", host.bus)
        for name in (stored.lower() for stored in STORED):
            m.d.comb += getattr(machine, f"i_{name}").eq(getattr(host, f"o_{name}"))
        m.d.comb += [
            machine.i_reset.eq(host.o_machine_reset),
            self.irq.eq(host.o_irq),
            machine.i_start.eq(host.o_start),
            machine.i_stop.eq(host.o_stop),
            machine.i_scalar_index.eq(host.o_scalar_index),
            machine.i_scalar_write.eq(host.o_scalar_write),
            machine.i_scalar_value.eq(host.o_scalar_value),
            host.i_scalar_value.eq(machine.o_scalar_value),
            host.i_halted.eq(machine.o_halted),
            host.i_quiet.eq(machine.o_quiet),
            host.i_fault.eq(machine.fault),
            host.i_program_counter.eq(machine.o_program_counter),
        ]
        if self._observed:
            m.d.comb += self.o_observed.eq(Cat(machine.o_observed, host.o_running))
        m.d.comb += [host.i_engine[e].eq(machine.o_engine[e]) for e in Engine]
        m.d.comb += [host.i_events[i].eq(machine.o_events[i]) for i in range(len(COUNTERS))]
        return m


def generate_verilog(config: Configuration, *, target: str = "simulation") -> str:
    """The accelerator as one SystemVerilog text with the top module ``weft_top``.

    The text depends on configuration, target and sources alone: it carries no paths or dates.

    Parameters
    ----------
    target : str
        "simulation": plain behavioural Verilog, for simulators and any synthesis tool; "observed":
        the same with one more port, for profiles; or "ecp5": with black boxes for the array's
        multipliers, see `weft_rtl.array.ecp5_multiplier`.
    """
    hard_multipliers = min(ECP5_HARD_MULTIPLIERS, config.cells)
    targets = {"simulation": None, "observed": None, "ecp5": Ecp5Target(hard_multipliers)}
    if target not in targets:
        raise ValueError(f"unknown target {target!r}; there are {', '.join(targets)}")
    return to_verilog(WeftTop(config, observed=target == "observed"), MODULE_NAME, targets[target])
