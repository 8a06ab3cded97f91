# SPDX-License-Identifier: Apache-2.0
"""The CPU's ROM and RAM."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from weft_rtl.soc.wishbone import wishbone_signature

__all__ = ["CpuRam", "CpuRom", "rom_words"]

_WORD_BYTES = 4


def rom_words(image: bytes, size_bytes: int) -> list[int]:
    """The words of an image; a ValueError if it does not fit the ROM."""
    if len(image) > size_bytes:
        raise ValueError(
            f"the firmware has {len(image)} bytes; the ROM has {size_bytes}, and it must fit"
        )
    padded = image + bytes(-len(image) % _WORD_BYTES)
    at = range(0, len(padded), _WORD_BYTES)
    return [int.from_bytes(padded[k : k + _WORD_BYTES], "little") for k in at]


class CpuRom(wiring.Component):
    """Block RAM with the firmware, read through two ports; an access takes 2 cycles.

    Addresses beyond its size give anything: whoever is in front of it refuses them. Writes are
    answered with an error.

    Members
    -------
    instructions, data : `wishbone_signature`, flipped
    """

    instructions: Any
    data: Any

    def __init__(self, image: bytes, size_bytes: int) -> None:
        self._words = rom_words(image, size_bytes)
        self._depth = size_bytes // _WORD_BYTES
        bus = In(wishbone_signature())
        super().__init__({"instructions": bus, "data": bus})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory = Memory(shape=32, depth=self._depth, init=self._words)
        m.submodules.memory = memory
        for bus in (self.instructions, self.data):
            port = memory.read_port()
            asked = bus.cyc & bus.stb & ~bus.ack & ~bus.err
            m.d.comb += [port.addr.eq(bus.adr), bus.dat_r.eq(port.data)]
            m.d.sync += [bus.ack.eq(asked & ~bus.we), bus.err.eq(asked & bus.we)]
        return m


class CpuRam(wiring.Component):
    """Block RAM of words with byte strobes; an access takes 2 cycles. Addresses wrap at its size.

    Members
    -------
    bus : `wishbone_signature`, flipped
    """

    bus: Any

    def __init__(self, size_bytes: int) -> None:
        self._depth = size_bytes // _WORD_BYTES
        super().__init__({"bus": In(wishbone_signature())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        m.submodules.memory = memory = Memory(shape=32, depth=self._depth, init=[])
        read, write = memory.read_port(), memory.write_port(granularity=8)
        asked = Signal()
        m.d.comb += [
            asked.eq(bus.cyc & bus.stb & ~bus.ack),
            read.addr.eq(bus.adr),
            bus.dat_r.eq(read.data),
            write.addr.eq(bus.adr),
            write.data.eq(bus.dat_w),
        ]
        with m.If(asked & bus.we):
            m.d.comb += write.en.eq(bus.sel)
        m.d.sync += bus.ack.eq(asked)
        return m
