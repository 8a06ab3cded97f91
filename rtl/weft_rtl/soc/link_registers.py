# SPDX-License-Identifier: Apache-2.0
"""Single accesses as an AXI4-Lite manager."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.dma.axi import axi_lite_signature

__all__ = ["LinkRegisters"]


class LinkRegisters(wiring.Component):
    """Reads or writes a 32-bit register; one access at a time.

    Members
    -------
    bus : AXI4-Lite manager
    i_start : begin; `i_write`, `i_address` and `i_value` hold until `o_done`.
    o_done : one cycle; `o_value` and `o_error` hold until the next start.
    """

    bus: Any
    i_start: Signal
    i_write: Signal
    i_address: Signal
    i_value: Signal
    o_done: Signal
    o_value: Signal
    o_error: Signal

    def __init__(self, *, address_width: int) -> None:
        super().__init__(
            {
                "bus": In(axi_lite_signature(address_width)),
                "i_start": In(1),
                "i_write": In(1),
                "i_address": In(address_width),
                "i_value": In(32),
                "o_done": Out(1),
                "o_value": Out(32),
                "o_error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        m.d.comb += [
            bus.awaddr.eq(self.i_address),
            bus.araddr.eq(self.i_address),
            bus.wdata.eq(self.i_value),
            bus.wstrb.eq(0xF),
        ]
        for name in ("aw", "w", "ar"):
            valid, ready = getattr(bus, f"{name}valid"), getattr(bus, f"{name}ready")
            with m.If(self.i_start):
                m.d.sync += valid.eq(~self.i_write if name == "ar" else self.i_write)
            with m.Elif(ready):
                m.d.sync += valid.eq(0)
        m.d.comb += [bus.bready.eq(1), bus.rready.eq(1)]
        m.d.sync += self.o_done.eq(bus.bvalid | bus.rvalid)
        with m.If(bus.bvalid):
            m.d.sync += self.o_error.eq(bus.bresp[1])
        with m.If(bus.rvalid):
            m.d.sync += [self.o_error.eq(bus.rresp[1]), self.o_value.eq(bus.rdata)]
        return m
