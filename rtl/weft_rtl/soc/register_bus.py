# SPDX-License-Identifier: Apache-2.0
"""Link and CPU on the registers of accelerator and SoC."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch.soc import LINK_BASE, SOC_WINDOW_BYTES
from weft_rtl.control.register_file import LITE_ADDRESS_BITS
from weft_rtl.dma.axi import axi_lite_signature

__all__ = ["SOC_ADDRESS_BITS", "RegisterBus"]

SOC_ADDRESS_BITS = (SOC_WINDOW_BYTES - 1).bit_length()
_DECERR = 3
_MANAGERS = ("link", "cpu")
_ADDRESS_BITS = {"accelerator": LITE_ADDRESS_BITS, "soc": SOC_ADDRESS_BITS}
_BASES = {"accelerator": 0, "soc": LINK_BASE}


class RegisterBus(wiring.Component):
    """AXI4-Lite, two managers and two subordinates, one access at a time, managers in turns.

    Addresses are those of the link: the accelerator's registers from 0, the SoC's from
    `LINK_BASE`; what neither has is answered DECERR. A write is begun when address and data are
    both there.

    An access takes 3 cycles more than the subordinate's.

    Members
    -------
    link, cpu : AXI4-Lite subordinates, 32-bit addresses
    accelerator, soc : AXI4-Lite managers
    i_hold : In(1)
        Begin no access.
    o_idle : Out(1)
        No access is under way; while ``i_hold`` is up, it stays so.
    """

    link: Any
    cpu: Any
    accelerator: Any
    soc: Any
    i_hold: Signal
    o_idle: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                **{name: Out(axi_lite_signature()) for name in _MANAGERS},
                **{name: In(axi_lite_signature(bits)) for name, bits in _ADDRESS_BITS.items()},
                "i_hold": In(1),
                "o_idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        managers = [getattr(self, name) for name in _MANAGERS]
        address, word = Signal(32, reset_less=True), Signal(32, reset_less=True)
        strobe = Signal(4, reset_less=True)
        writing = Signal(reset_less=True)
        response = Signal(2, reset_less=True)
        manager, last = Signal(), Signal()
        places = {
            name: address[bits:] == _BASES[name] >> bits for name, bits in _ADDRESS_BITS.items()
        }
        wants = [bus.arvalid | (bus.awvalid & bus.wvalid) for bus in managers]
        go = Signal()
        m.d.comb += manager.eq(Mux(Cat(wants).all(), ~last, wants[1]))
        for name in _ADDRESS_BITS:
            bus = getattr(self, name)
            m.d.comb += [
                bus.awaddr.eq(address),
                bus.araddr.eq(address),
                bus.wdata.eq(word),
                bus.wstrb.eq(strobe),
            ]
            for channel in ("aw", "w", "ar"):
                with m.If(getattr(bus, f"{channel}ready")):
                    m.d.sync += getattr(bus, f"{channel}valid").eq(0)
        for bus in managers:
            m.d.comb += [
                bus.rdata.eq(word),
                bus.rresp.eq(response),
                bus.bresp.eq(response),
            ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [go.eq(Cat(wants).any() & ~self.i_hold), self.o_idle.eq(~go)]
                for index, bus in enumerate(managers):
                    write = bus.awvalid & bus.wvalid
                    with m.If(go & (manager == index)):
                        m.d.comb += [
                            bus.awready.eq(write),
                            bus.wready.eq(write),
                            bus.arready.eq(~write),
                        ]
                        m.d.sync += [
                            last.eq(index),
                            writing.eq(write),
                            address.eq(Mux(write, bus.awaddr, bus.araddr)),
                            word.eq(bus.wdata),
                            strobe.eq(bus.wstrb),
                        ]
                        m.next = "ASK"
            with m.State("ASK"):
                with m.If(~Cat(places.values()).any()):
                    m.d.sync += [response.eq(_DECERR), word.eq(0)]
                    m.next = "ANSWER"
                for name, here in places.items():
                    bus = getattr(self, name)
                    with m.If(here):
                        m.d.sync += [
                            bus.awvalid.eq(writing),
                            bus.wvalid.eq(writing),
                            bus.arvalid.eq(~writing),
                        ]
                        m.next = f"WAIT_{name}"
            for name in _ADDRESS_BITS:
                bus = getattr(self, name)
                with m.State(f"WAIT_{name}"):
                    m.d.comb += [bus.bready.eq(1), bus.rready.eq(1)]
                    with m.If(bus.bvalid | bus.rvalid):
                        m.d.sync += [response.eq(Mux(writing, bus.bresp, bus.rresp))]
                        m.d.sync += word.eq(bus.rdata)
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                for index, bus in enumerate(managers):
                    with m.If(last == index):
                        m.d.comb += [bus.bvalid.eq(writing), bus.rvalid.eq(~writing)]
                        with m.If(Mux(writing, bus.bready, bus.rready)):
                            m.next = "IDLE"
        return m
