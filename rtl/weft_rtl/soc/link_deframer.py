# SPDX-License-Identifier: Apache-2.0
"""Frames out of a line's bytes: unstuffed, checked, and only then handed on."""

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from weft_arch.link import REQUEST_BYTES, LinkOpcode
from weft_arch.link_framing import CRC_BYTES, FRAME_BYTES
from weft_rtl.soc.byte_ring import ByteRing

__all__ = ["FRAME_BYTE", "LinkDeframer"]

FRAME_BYTE = data.StructLayout({"data": 8, "last": 1})
"""A byte of a frame, and whether it is the last one."""
_OPCODE_AT, _VALUE_AT = 2, 8


class LinkDeframer(wiring.Component):
    """Bytes in, whole requests out (with their CRC).

    A frame waits in the ring until its zero has come. One with a wrong CRC, a size that does not
    fit its header, or for which there is no room, vanishes there. A byte is taken in every cycle.

    Latency: 3 cycles from the zero to the first byte of the request.

    Members
    -------
    i : stream of 8 bits, In; always ready
    o : stream of FRAME_BYTE, Out

    Parameters
    ----------
    buffer_bytes : int
        Size of the ring, a power of two, at least 2048.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, buffer_bytes: int) -> None:
        if buffer_bytes < 2048:
            raise ValueError(f"buffer_bytes is {buffer_bytes}; it must be at least 2048")
        self._buffer_bytes = buffer_bytes
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(FRAME_BYTE))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ring = ring = ByteRing(depth=self._buffer_bytes, width=9)
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        coded: Any = self.i.payload
        left = Signal(8)
        zero_due = Signal()
        broken = Signal()
        size = Signal(range(FRAME_BYTES + 2))
        opcode = Signal(8, reset_less=True)
        value = Signal(16, reset_less=True)
        pending = Signal(8, reset_less=True)

        # Unstuff: at most one byte for each that comes.
        byte = Signal(8)
        emit = Signal()
        end = Signal()
        m.d.comb += [self.i.ready.eq(1), byte.eq(coded)]
        with m.If(self.i.valid):
            with m.If(coded == 0):
                m.d.comb += end.eq(1)
            with m.Elif(left == 0):
                m.d.comb += [emit.eq(zero_due), byte.eq(0)]
                m.d.sync += [left.eq(coded - 1), zero_due.eq(coded != 0xFF)]
            with m.Else():
                m.d.comb += emit.eq(1)
                m.d.sync += left.eq(left - 1)

        # The ring is one byte behind, so that the last one is known.
        m.d.comb += [
            crc.start.eq(end),
            crc.valid.eq(emit),
            crc.data.eq(byte),
            ring.i_data.eq(Cat(pending, end)),
            ring.i_write.eq((emit | end) & (size != 0) & ~broken),
        ]
        with m.If(emit):
            m.d.sync += pending.eq(byte)
            with m.If(size <= FRAME_BYTES):
                m.d.sync += size.eq(size + 1)
            with m.If((size == FRAME_BYTES) | ((size != 0) & ring.o_full)):
                m.d.sync += broken.eq(1)
            with m.If(size == _OPCODE_AT):
                m.d.sync += opcode.eq(byte)
            with m.If((size == _VALUE_AT) | (size == _VALUE_AT + 1)):
                m.d.sync += value.eq(Cat(value[8:], byte))
            writes = opcode == LinkOpcode.WRITE_MEMORY
            high = (size == _VALUE_AT + 2) | (size == _VALUE_AT + 3)
            with m.If(high & writes & (byte != 0)):
                m.d.sync += broken.eq(1)

        fits = Signal()
        payload = Signal(16)
        m.d.comb += payload.eq(0)
        with m.If(opcode == LinkOpcode.WRITE_MEMORY):
            m.d.comb += payload.eq(value)
        m.d.comb += fits.eq(size == payload + (REQUEST_BYTES + CRC_BYTES))
        with m.If(end):
            good = fits & crc.match_detected & (left == 0) & ~broken & ~ring.o_full
            m.d.comb += [ring.i_commit.eq(good), ring.i_rollback.eq(~good)]
            m.d.sync += [left.eq(0), zero_due.eq(0), broken.eq(0), size.eq(0)]

        m.d.comb += [
            self.o.valid.eq(ring.o.valid),
            self.o.payload.eq(ring.o.payload),
            ring.o.ready.eq(self.o.ready),
        ]
        return m
