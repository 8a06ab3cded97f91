# SPDX-License-Identifier: Apache-2.0
"""The one block that speaks AXI4."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from weft_arch.config import Configuration
from weft_rtl.dma.axi import axi4_signature
from weft_rtl.dma.ports import read_client_signature, write_client_signature
from weft_rtl.dma.read_port import READ_CLIENTS, ReadPort
from weft_rtl.dma.write_port import WritePort
from weft_rtl.interfaces import FaultReport

__all__ = ["MemoryPort"]


class MemoryPort(wiring.Component):
    """Joins the readers and the writer to one AXI4 manager port, and watches what they touch.

    `ReadPort` and `WritePort` say how reads and writes are issued and checked. After a fault in
    either, and while ``i_quiesce`` is up, neither issues an address; what was issued completes.
    All outputs depend on registers only.

    Area (default preset): 770 LUT4, 190 CCU2C, 1,000 flip-flops, 2 DP16KD.

    Members
    -------
    axi : AXI4 manager (`axi4_signature`)
        Responses are always accepted: ``rready`` and ``bready`` are constant 1.
    fetch, load, stream : read clients (`read_client_signature`), flipped
        In falling priority; while ``i_stream_low``, the stream takes turns with the loads.
    write : write client (`write_client_signature`), flipped
    i_stream_low : In(1)
        The weight buffer has little left.
    i_region_base, i_region_limit, i_write_base, i_write_limit : In(32)
        First byte, and first byte after it, of what may be read and written.
    i_quiesce : In(1)
        Issue nothing new.
    o_quiet : Out(1)
        No transaction is outstanding. Stays up under ``i_quiesce``, from one cycle after it on.
    fault : Out(FaultReport)
        The first fault; at most one of each direction.
    o_read_beat, o_write_beat : Out(1)
        A beat of data was transferred.
    o_written_bytes : Out(range(beat_bytes + 1))
        Active strobes of the beat of ``o_write_beat``, 0 without it.
    o_read_idle : Out(1)
        No read is outstanding.
    """

    axi: Any
    fetch: Any
    load: Any
    stream: Any
    write: Any
    i_stream_low: Signal
    i_region_base: Signal
    i_region_limit: Signal
    i_write_base: Signal
    i_write_limit: Signal
    i_quiesce: Signal
    o_quiet: Signal
    fault: Any
    o_read_beat: Signal
    o_write_beat: Signal
    o_written_bytes: Signal
    o_read_idle: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "axi": Out(axi4_signature(config)),
                "fetch": In(read_client_signature(config)),
                "load": In(read_client_signature(config)),
                "stream": In(read_client_signature(config)),
                "write": In(write_client_signature(config)),
                "i_stream_low": In(1),
                "i_region_base": In(32),
                "i_region_limit": In(32),
                "i_write_base": In(32),
                "i_write_limit": In(32),
                "i_quiesce": In(1),
                "o_quiet": Out(1),
                "fault": Out(FaultReport),
                "o_read_beat": Out(1),
                "o_write_beat": Out(1),
                "o_written_bytes": Out(range(config.beat_bytes + 1)),
                "o_read_idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reader = m.submodules.reader = ReadPort(self._config)
        writer = m.submodules.writer = WritePort(self._config)
        for name in READ_CLIENTS:
            connect(m, wiring.flipped(getattr(self, name)), getattr(reader, name))
        connect(m, wiring.flipped(self.write), writer.write)
        for name, member in self.axi.signature.members.items():
            half = reader.axi if name[0] in "ar" and name[:2] != "aw" else writer.axi
            outer, inner = getattr(self.axi, name), getattr(half, name)
            m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)

        stop = self.i_quiesce | reader.o_halted | writer.o_halted
        m.d.comb += [
            reader.i_stream_low.eq(self.i_stream_low),
            reader.i_base.eq(self.i_region_base),
            reader.i_limit.eq(self.i_region_limit),
            writer.i_base.eq(self.i_write_base),
            writer.i_limit.eq(self.i_write_limit),
            reader.i_stop.eq(stop),
            writer.i_stop.eq(stop),
            self.o_quiet.eq(reader.o_quiet & writer.o_quiet),
            self.o_read_idle.eq(reader.o_quiet),
            self.o_read_beat.eq(reader.o_beat),
            self.o_write_beat.eq(writer.o_beat),
            self.o_written_bytes.eq(writer.o_bytes),
            self.fault.eq(reader.fault),
        ]
        with m.If(~reader.fault.valid):
            m.d.comb += self.fault.eq(writer.fault)
        return m
