# SPDX-License-Identifier: Apache-2.0
"""Frames out of a line's bytes: unstuffed, checked, and only then handed on."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
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

    Latency: 5 cycles from the zero to the first byte of the request.

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
        byte = Signal(8, reset_less=True)
        emit, end = Signal(), Signal()
        torn = Signal(reset_less=True)  # with ``end``: bytes are missing
        m.d.comb += self.i.ready.eq(1)
        m.d.sync += [emit.eq(0), end.eq(0), byte.eq(coded), torn.eq(left != 0)]
        with m.If(self.i.valid):
            with m.If(coded == 0):
                m.d.sync += [end.eq(1), left.eq(0), zero_due.eq(0)]
            with m.Elif(left == 0):
                m.d.sync += [
                    emit.eq(zero_due),
                    byte.eq(0),
                    left.eq(coded - 1),
                    zero_due.eq(coded != 0xFF),
                ]
            with m.Else():
                m.d.sync += [emit.eq(1), left.eq(left - 1)]

        # Write. The ring is one byte behind, so that the last one is known.
        m.d.comb += [crc.start.eq(end), crc.valid.eq(emit), crc.data.eq(byte)]
        m.d.sync += [
            ring.i_data.eq(Cat(pending, end)),
            ring.i_write.eq((emit | end) & (size != 0) & ~broken),
        ]
        writes = opcode == LinkOpcode.WRITE_MEMORY
        with m.If(emit):
            m.d.sync += [pending.eq(byte), size.eq(size + 1)]
            with m.If(size == FRAME_BYTES):
                m.d.sync += [broken.eq(1), size.eq(size)]
            with m.If(size == _OPCODE_AT):
                m.d.sync += opcode.eq(byte)
            with m.If((size == _VALUE_AT) | (size == _VALUE_AT + 1)):
                m.d.sync += value.eq(Cat(value[8:], byte))
            high = (size == _VALUE_AT + 2) | (size == _VALUE_AT + 3)
            with m.If(high & writes & (byte != 0)):
                m.d.sync += broken.eq(1)
        with m.If(end):
            m.d.sync += [broken.eq(0), size.eq(0)]

        # Judge, when the last byte is in the ring. The next frame's first one is still far.
        expected = Signal(17, reset_less=True)
        ended, judged = Signal(), Signal()
        good = Signal(reset_less=True)
        conditions = Signal(3, reset_less=True)
        lost = Signal()
        m.d.sync += [
            expected.eq(Mux(writes, value, 0) + (REQUEST_BYTES + CRC_BYTES)),
            ended.eq(end),
            conditions.eq(Cat(size == expected, crc.match_detected, ~torn & ~broken)),
            judged.eq(ended),
            good.eq(conditions.all()),
        ]
        with m.If(ring.i_write & ring.o_full):
            m.d.sync += lost.eq(1)
        with m.If(judged):
            m.d.comb += [
                ring.i_commit.eq(good & ~lost),
                ring.i_rollback.eq(~good | lost),
            ]
            m.d.sync += lost.eq(0)

        m.d.comb += [
            self.o.valid.eq(ring.o.valid),
            self.o.payload.eq(ring.o.payload),
            ring.o.ready.eq(self.o.ready),
        ]
        return m
