# SPDX-License-Identifier: Apache-2.0
"""Frames for a line: CRC-32 appended, zeros stuffed away, a zero at the end."""

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from weft_rtl.soc.byte_ring import ByteRing
from weft_rtl.soc.link_deframer import FRAME_BYTE

__all__ = ["LinkFramer"]

_RING_BYTES = 512
_CODES = 16
_LONGEST = 254


class LinkFramer(wiring.Component):
    """The contents of frames in, bytes for the line out.

    The length of a piece stands before the piece, so bytes wait in a ring until theirs is known.
    A byte per cycle each way.

    Members
    -------
    i : stream of FRAME_BYTE, In; the last byte is the content's, without CRC
    o : stream of 8 bits, Out
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(FRAME_BYTE)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A ring of twice the longest piece: while one leaves, the next one fits.
        m.submodules.ring = ring = ByteRing(depth=_RING_BYTES, width=8)
        m.submodules.codes = codes = SyncFIFO(width=9, depth=_CODES)
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        self._stuff(m, ring, codes, crc)
        self._send(m, ring, codes)
        return m

    def _stuff(self, m: Module, ring: ByteRing, codes: SyncFIFO, crc: Any) -> None:
        """Cut at zeros: bytes into the ring, lengths into the queue of codes."""
        run = Signal(8)
        full = Signal()  # run is one less than the longest
        byte = Signal(8)
        put = Signal()
        finish = Signal()
        room = Signal()
        index = Signal(2)
        # Up to three words may have come since, as this is a cycle old, and the ring's level two.
        m.d.sync += room.eq((codes.level <= _CODES - 3) & (ring.o_level <= _RING_BYTES - 3))
        m.d.comb += [
            byte.eq(self.i.payload.data),
            crc.data.eq(byte),
            crc.start.eq(finish),
            ring.i_data.eq(byte),
            ring.i_commit.eq(1),
        ]
        with m.FSM(name="content"):
            with m.State("DATA"):
                m.d.comb += [
                    self.i.ready.eq(room),
                    put.eq(self.i.valid & room),
                    crc.valid.eq(put),
                ]
                with m.If(put & self.i.payload.last):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [byte.eq(crc.crc.word_select(index, 8)), put.eq(room)]
                with m.If(room):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == 3):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += finish.eq(room)
                with m.If(finish):
                    m.next = "DATA"

        zero = byte == 0
        m.d.comb += [
            ring.i_write.eq(put & ~zero),
            codes.w_en.eq(finish | (put & (zero | full))),
            # A full piece counts the byte of this cycle; the others end before it.
            codes.w_data.eq(Cat((run + 1 + (put & ~zero))[:8], finish)),
        ]
        with m.If(codes.w_en):
            m.d.sync += [run.eq(0), full.eq(0)]
        with m.Elif(put):
            m.d.sync += [run.eq(run + 1), full.eq(run == _LONGEST - 2)]

    def _send(self, m: Module, ring: ByteRing, codes: SyncFIFO) -> None:
        """A code, its bytes, and so on; a zero behind the last."""
        left = Signal(8, reset_less=True)
        final = Signal(reset_less=True)
        with m.FSM(name="line"):
            with m.State("CODE"):
                code, last = codes.r_data[:8], codes.r_data[8]
                m.d.comb += [
                    self.o.valid.eq(codes.r_rdy),
                    self.o.payload.eq(code),
                    codes.r_en.eq(self.o.ready),
                ]
                m.d.sync += [left.eq(code - 1), final.eq(last)]
                with m.If(codes.r_rdy & self.o.ready):
                    with m.If(code != 1):
                        m.next = "BYTES"
                    with m.Elif(last):
                        m.next = "ZERO"
            with m.State("BYTES"):
                m.d.comb += [
                    self.o.valid.eq(ring.o.valid),
                    self.o.payload.eq(ring.o.payload),
                    ring.o.ready.eq(self.o.ready),
                ]
                with m.If(ring.o.valid & self.o.ready):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left == 1):
                        with m.If(final):
                            m.next = "ZERO"
                        with m.Else():
                            m.next = "CODE"
            with m.State("ZERO"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(0)]
                with m.If(self.o.ready):
                    m.next = "CODE"
