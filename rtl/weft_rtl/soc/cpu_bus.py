# SPDX-License-Identifier: Apache-2.0
"""Where the CPU's loads and stores go."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_arch.soc import area
from weft_rtl.dma.axi import axi4_signature, axi_lite_signature
from weft_rtl.soc.wishbone import wishbone_signature

__all__ = ["CpuBus"]

_INCREMENTING = 1
_WORD_BYTES = 4


class CpuBus(wiring.Component):
    """The memory map of `weft_arch.soc` for loads and stores, one at a time.

    A store to DRAM or registers is acknowledged when it is done, so what the CPU writes to memory
    is there before a register that it writes next. An address in no area, and an error of a bus,
    is answered with ``err``. When the CPU is reset in the middle of an access, the access ends
    unheard; the next one waits for it.

    ROM and RAM take their 2 cycles and one more; DRAM and registers 3 more than the bus behind
    them.

    Members
    -------
    cpu : `wishbone_signature`, flipped
    rom, ram : `wishbone_signature`
    axi : AXI4 manager, single beats; address 0 is the DRAM's first byte
    registers : AXI4-Lite manager, addresses as `RegisterBus` has them
    """

    cpu: Any
    rom: Any
    ram: Any
    axi: Any
    registers: Any

    def __init__(self, config: Configuration) -> None:
        self._beat_bytes = config.beat_bytes
        super().__init__(
            {
                "cpu": In(wishbone_signature()),
                "rom": Out(wishbone_signature()),
                "ram": Out(wishbone_signature()),
                "axi": Out(axi4_signature(config)),
                "registers": In(axi_lite_signature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cpu, axi, registers = self.cpu, self.axi, self.registers
        address = Signal(32, reset_less=True)
        writing = Signal(reset_less=True)
        word, strobe = Signal(32, reset_less=True), Signal(4, reset_less=True)
        heard, failed = Signal(), Signal()
        asked = Signal()
        m.d.comb += [asked.eq(cpu.cyc & cpu.stb), cpu.dat_r.eq(word)]
        m.d.sync += [cpu.ack.eq(0), cpu.err.eq(0)]

        for bus in (self.rom, self.ram):
            m.d.comb += [
                bus.adr.eq(address[2:]),
                bus.dat_w.eq(word),
                bus.sel.eq(strobe),
                bus.we.eq(writing),
                bus.stb.eq(bus.cyc),
            ]
        self._axi_constants(m, address, word, strobe)

        for bus in (axi, registers):
            for channel in ("aw", "w", "ar"):
                valid = getattr(bus, f"{channel}valid")
                with m.If(valid & getattr(bus, f"{channel}ready")):
                    m.d.sync += valid.eq(0)
        with m.If(~asked):
            m.d.sync += heard.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    address.eq(cpu.adr << 2),
                    writing.eq(cpu.we),
                    word.eq(cpu.dat_w),
                    strobe.eq(cpu.sel),
                    failed.eq(0),
                ]
                with m.If(asked & ~cpu.ack & ~cpu.err):
                    m.d.sync += heard.eq(1)
                    m.next = "DECODE"
            with m.State("DECODE"):
                with m.If(_within(address, "ROM")):
                    m.next = "ROM"
                with m.Elif(_within(address, "RAM")):
                    m.next = "RAM"
                with m.Elif(_within(address, "DRAM")):
                    m.d.sync += [
                        axi.awvalid.eq(writing),
                        axi.wvalid.eq(writing),
                        axi.arvalid.eq(~writing),
                    ]
                    m.next = "DRAM"
                with m.Elif(address[28:] == area("ACCELERATOR").base >> 28):
                    m.d.sync += [
                        registers.awvalid.eq(writing),
                        registers.wvalid.eq(writing),
                        registers.arvalid.eq(~writing),
                    ]
                    m.next = "REGISTERS"
                with m.Else():
                    m.d.sync += failed.eq(1)
                    m.next = "ANSWER"
            for name, bus in (("ROM", self.rom), ("RAM", self.ram)):
                with m.State(name):
                    m.d.comb += bus.cyc.eq(1)
                    with m.If(bus.ack | bus.err):
                        m.d.sync += [word.eq(bus.dat_r), failed.eq(bus.err)]
                        m.next = "ANSWER"
            for name, bus in (("DRAM", axi), ("REGISTERS", registers)):
                with m.State(name):
                    m.d.comb += [bus.bready.eq(1), bus.rready.eq(1)]
                    with m.If(bus.bvalid | bus.rvalid):
                        response = Mux(writing, bus.bresp, bus.rresp)
                        m.d.sync += [word.eq(self._lane(bus, address)), failed.eq(response[1])]
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.sync += [cpu.ack.eq(heard & asked & ~failed), cpu.err.eq(heard & failed)]
                m.next = "IDLE"
        return m

    def _lane(self, bus: Any, address: Value) -> Value:
        """The word of the beat that was read."""
        if bus is self.registers:
            return bus.rdata
        lane_bits = (self._beat_bytes // _WORD_BYTES - 1).bit_length()
        return bus.rdata.word_select(address[2 : 2 + lane_bits], 32)

    def _axi_constants(self, m: Module, address: Value, word: Value, strobe: Value) -> None:
        axi, registers = self.axi, self.registers
        words = self._beat_bytes // _WORD_BYTES
        beat_bits = (self._beat_bytes - 1).bit_length()
        offset = (address - area("DRAM").base)[:32]
        for channel in ("aw", "ar"):
            m.d.comb += [
                getattr(axi, f"{channel}addr").eq(offset[beat_bits:] << beat_bits),
                getattr(axi, f"{channel}len").eq(0),
                getattr(axi, f"{channel}size").eq(beat_bits),
                getattr(axi, f"{channel}burst").eq(_INCREMENTING),
                getattr(registers, f"{channel}addr").eq(address[:28]),
            ]
        lanes = [Mux(address[2:beat_bits] == k, strobe, 0) for k in range(words)]
        m.d.comb += [
            axi.wdata.eq(word.replicate(words)),
            axi.wstrb.eq(Cat(*lanes)),
            axi.wlast.eq(1),
            registers.wdata.eq(word),
            registers.wstrb.eq(strobe),
        ]


def _within(address: Value, name: str) -> Value:
    """Whether a byte address lies in an area, which is aligned to its size, rounded up to a power
    of two."""
    found = area(name)
    shift = (found.bytes - 1).bit_length()
    return (address[shift:] == found.base >> shift) & (address[:shift] < found.bytes)
