# SPDX-License-Identifier: Apache-2.0
"""A small design with the ports and some registers of ``weft_top``, to test the simulated device.

It copies SCALAR_3 beats from SCALAR_1 to SCALAR_2 in bursts of at most 16 beats, one after the
other. With SCALAR_4 = 1 it only reads, one burst after the other; with 3 it reads whole bursts and
issues each address as soon as the last is taken; with 2 it hangs. `bug` builds breaches of the AXI4
protocol in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from weft_arch import registers
from weft_arch.registers import Control, EngineState, Fault, Interrupt, Status
from weft_rtl.verilog_text import to_verilog

BURST_BEATS = 16


class CopyEngine(wiring.Component):
    """See the module. Members: the ports of ``weft_top``."""

    if TYPE_CHECKING:  # the ports are made from tables

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, beat_bytes: int = 8, bug: str = "") -> None:
        self._beat_bytes = beat_bytes
        self._bug = bug
        ports = {"irq": Out(1)}
        for channel in ("aw", "ar"):
            fields = {"id": 4, "addr": 32, "len": 8, "size": 3, "burst": 2, "lock": 1, "cache": 4}
            fields |= {"prot": 3, "qos": 4, "region": 4, "valid": 1}
            ports |= {f"m_axi_{channel}{name}": Out(width) for name, width in fields.items()}
            ports |= {f"m_axi_{channel}ready": In(1)}
        ports |= {"m_axi_wdata": Out(8 * beat_bytes), "m_axi_wstrb": Out(beat_bytes)}
        ports |= {"m_axi_wlast": Out(1), "m_axi_wvalid": Out(1), "m_axi_wready": In(1)}
        ports |= {"m_axi_bid": In(4), "m_axi_bresp": In(2), "m_axi_bvalid": In(1)}
        ports |= {"m_axi_bready": Out(1), "m_axi_rid": In(4), "m_axi_rdata": In(8 * beat_bytes)}
        ports |= {"m_axi_rresp": In(2), "m_axi_rlast": In(1), "m_axi_rvalid": In(1)}
        ports |= {"m_axi_rready": Out(1)}
        for channel in ("aw", "ar"):
            ports |= {f"s_axil_{channel}addr": In(32), f"s_axil_{channel}prot": In(3)}
            ports |= {f"s_axil_{channel}valid": In(1), f"s_axil_{channel}ready": Out(1)}
        ports |= {"s_axil_wdata": In(32), "s_axil_wstrb": In(4), "s_axil_wvalid": In(1)}
        ports |= {"s_axil_wready": Out(1), "s_axil_bresp": Out(2), "s_axil_bvalid": Out(1)}
        ports |= {"s_axil_bready": In(1), "s_axil_rdata": Out(32), "s_axil_rresp": Out(2)}
        ports |= {"s_axil_rvalid": Out(1), "s_axil_rready": In(1)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        scalars = Array(Signal(32, name=f"scalar_{i}") for i in range(16))
        status, pending, enable = Signal(4), Signal(2), Signal(2)
        cause, address = Signal(8), Signal(32)
        start = Signal()
        self._registers(m, scalars, status, pending, enable, cause, address, start)
        m.d.comb += self.irq.eq((pending & enable).any())

        source, target, left = Signal(32), Signal(32), Signal(32)
        count = Signal(range(BURST_BEATS + 1))
        addresses = Signal(32)
        sent = Signal(range(BURST_BEATS + 1))
        m.submodules.fifo = fifo = SyncFIFOBuffered(
            width=8 * self._beat_bytes, depth=2 * BURST_BEATS
        )
        size = (self._beat_bytes - 1).bit_length()
        page_left = Signal(range(4097))
        worst = Mux(source[:12] > target[:12], source[:12], target[:12])
        if self._bug == "page":
            m.d.comb += page_left.eq(BURST_BEATS)
        else:
            m.d.comb += page_left.eq((4096 - worst) >> size)
        next_count = Signal(range(BURST_BEATS + 1))
        fits = Mux(left < BURST_BEATS, left, BURST_BEATS)
        m.d.comb += next_count.eq(Mux(page_left < fits, page_left, fits))
        m.d.comb += [
            self.m_axi_arsize.eq(size),
            self.m_axi_awsize.eq(size),
            self.m_axi_arburst.eq(1),
            self.m_axi_awburst.eq(1),
            self.m_axi_wstrb.eq(~0),
            self.m_axi_bready.eq(1),
            self.m_axi_wdata.eq(fifo.r_data),
            fifo.w_data.eq(self.m_axi_rdata),
        ]
        read_only = scalars[4] == 1

        def fault(code: Fault, where: Signal) -> None:
            m.d.sync += [cause.eq(code), address.eq(where), status.eq(Status.FAULT)]
            m.d.sync += pending.eq(Interrupt.FAULT)
            m.next = "IDLE"

        with m.FSM():
            with m.State("IDLE"), m.If(start):
                m.d.sync += [source.eq(scalars[1]), target.eq(scalars[2]), left.eq(scalars[3])]
                m.d.sync += status.eq(Status.RUNNING)
                m.next = "PLAN"
            with m.State("PLAN"), m.If(scalars[4] != 2):
                with m.If(left == 0):
                    m.d.sync += [status.eq(Status.DONE), pending.eq(Interrupt.DONE)]
                    m.next = "IDLE"
                with m.Elif(scalars[4] == 3):
                    m.d.sync += [self.m_axi_araddr.eq(source), self.m_axi_arlen.eq(15)]
                    m.d.sync += [self.m_axi_arvalid.eq(1), addresses.eq(left >> 4)]
                    m.next = "READ ALL"
                with m.Else():
                    m.d.sync += [count.eq(next_count), sent.eq(0)]
                    m.d.sync += [self.m_axi_araddr.eq(source), self.m_axi_arlen.eq(next_count - 1)]
                    m.d.sync += self.m_axi_arvalid.eq(1)
                    m.next = "READ"
            with m.State("READ"):
                with m.If(self.m_axi_arready):
                    m.d.sync += self.m_axi_arvalid.eq(0)
                if self._bug == "valid":
                    m.d.sync += self.m_axi_arvalid.eq(0)
                m.d.comb += self.m_axi_rready.eq(1)
                m.d.comb += fifo.w_en.eq(self.m_axi_rvalid & ~read_only)
                with m.If(self.m_axi_rvalid & (self.m_axi_rresp != 0)):
                    fault(Fault.READ_ERROR, source)
                with m.Elif(self.m_axi_rvalid & self.m_axi_rlast):
                    m.d.sync += [self.m_axi_awaddr.eq(target), self.m_axi_awlen.eq(count - 1)]
                    m.d.sync += self.m_axi_awvalid.eq(~read_only)
                    m.next = "WRITE"
                    with m.If(read_only):
                        m.d.sync += [source.eq(source + (count << size)), left.eq(left - count)]
                        m.next = "PLAN"
            with m.State("READ ALL"):
                m.d.comb += self.m_axi_rready.eq(1)
                with m.If(self.m_axi_arvalid & self.m_axi_arready):
                    m.d.sync += addresses.eq(addresses - 1)
                    m.d.sync += self.m_axi_araddr.eq(self.m_axi_araddr + (16 << size))
                    m.d.sync += self.m_axi_arvalid.eq(addresses != 1)
                with m.If(self.m_axi_rvalid):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        m.next = "PLAN"
            with m.State("WRITE"):
                with m.If(self.m_axi_awready):
                    m.d.sync += self.m_axi_awvalid.eq(0)
                m.d.comb += self.m_axi_wvalid.eq(fifo.r_rdy)
                last = count if self._bug == "last" else count - 1
                m.d.comb += self.m_axi_wlast.eq(sent == last)
                m.d.comb += fifo.r_en.eq(self.m_axi_wready)
                with m.If(self.m_axi_wvalid & self.m_axi_wready):
                    m.d.sync += sent.eq(sent + 1)
                with m.If(self.m_axi_bvalid & (self.m_axi_bresp != 0)):
                    fault(Fault.WRITE_ERROR, target)
                with m.Elif(self.m_axi_bvalid):
                    m.d.sync += [
                        source.eq(source + (count << size)),
                        target.eq(target + (count << size)),
                        left.eq(left - count),
                    ]
                    m.next = "PLAN"
        return m

    def _registers(
        self,
        m: Module,
        scalars: Array,
        status: Signal,
        pending: Signal,
        enable: Signal,
        cause: Signal,
        address: Signal,
        start: Signal,
    ) -> None:
        offset = registers.offset
        write = Signal()
        m.d.comb += write.eq(self.s_axil_awvalid & self.s_axil_wvalid & ~self.s_axil_bvalid)
        m.d.comb += [self.s_axil_awready.eq(write), self.s_axil_wready.eq(write)]
        with m.If(self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(write):
            m.d.sync += [self.s_axil_bvalid.eq(1), self.s_axil_bresp.eq(0)]
            with m.Switch(self.s_axil_awaddr):
                with m.Case(offset("CONTROL")):
                    m.d.comb += start.eq(self.s_axil_wdata[0])
                    with m.If(self.s_axil_wdata & int(Control.RESET)):
                        m.d.sync += [status.eq(0), cause.eq(0), address.eq(0)]
                with m.Case(offset("INTERRUPT_ENABLE")):
                    m.d.sync += enable.eq(self.s_axil_wdata)
                with m.Case(offset("INTERRUPT_PENDING")):
                    m.d.sync += pending.eq(pending & ~self.s_axil_wdata[:2])
                for i in range(1, 16):
                    with m.Case(registers.scalar_offset(i)):
                        m.d.sync += scalars[i].eq(self.s_axil_wdata)
                with m.Default():
                    m.d.sync += self.s_axil_bresp.eq(3)

        read = Signal()
        m.d.comb += read.eq(self.s_axil_arvalid & ~self.s_axil_rvalid)
        m.d.comb += self.s_axil_arready.eq(read)
        waiting = Cat(Signal(8, init=EngineState.WAITING_TOKEN), Signal(8, init=5))
        values = {
            offset("ID"): registers.ID_VALUE,
            offset("STATUS"): status,
            offset("FAULT_CAUSE"): cause,
            offset("FAULT_ADDRESS"): address,
            offset("INTERRUPT_PENDING"): pending,
            offset("PROGRAM_COUNTER"): 7,
            offset("ENGINE_COMPUTE"): waiting,
        }
        values |= {registers.scalar_offset(i): scalars[i] for i in range(16)}
        values |= {
            r.offset: 0
            for n, r in registers.REGISTERS.items()
            if n.startswith("ENGINE_") and n != "ENGINE_COMPUTE"
        }
        with m.If(self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)
        with m.If(read):
            m.d.sync += [self.s_axil_rvalid.eq(1), self.s_axil_rresp.eq(0)]
            with m.Switch(self.s_axil_araddr):
                for where, value in values.items():
                    with m.Case(where):
                        m.d.sync += self.s_axil_rdata.eq(value)
                with m.Default():
                    m.d.sync += [self.s_axil_rresp.eq(3), self.s_axil_rdata.eq(0)]


def copy_engine_verilog(beat_bytes: int = 8, bug: str = "") -> str:
    """The Verilog of a `CopyEngine`, its top module named like the accelerator's."""
    return to_verilog(CopyEngine(beat_bytes, bug), "weft_top")
