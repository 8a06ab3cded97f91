# SPDX-License-Identifier: Apache-2.0
"""The write half of the memory port: address channel, acknowledgements and faults."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect

from weft_arch.config import Configuration
from weft_arch.registers import Fault
from weft_rtl.dma.axi import axi4_signature
from weft_rtl.dma.burst_check import BurstCheck, BurstVerdict, verdict_cause
from weft_rtl.dma.burst_splitter import BurstSplitter
from weft_rtl.dma.ports import write_client_signature
from weft_rtl.dma.write_data import WriteDataChannel
from weft_rtl.interfaces import FaultReport

__all__ = ["WritePort"]

COMMAND_BEATS_WIDTH = 18


class WritePort(wiring.Component):
    """Issues the commands of the write client as bursts.

    A burst is issued only when all its data is in the buffer, so that whatever was issued can be
    completed even if the client never delivers more. Up to ``outstanding_bursts`` are under way.

    One burst every second cycle and one beat per cycle; the first ``awvalid`` 6 cycles after its
    command or 3 after its last beat of data, whichever is later.

    Members
    -------
    axi : AXI4 manager; only the write channels are driven
    write : write client (`write_client_signature`), flipped
    i_base, i_limit : In(32)
        What may be written.
    i_stop : In(1)
        Issue nothing new.
    o_halted : Out(1)
        A fault was found; nothing is issued until reset.
    o_quiet : Out(1)
        No write is outstanding.
    o_beat : Out(1)
        A beat of data was sent.
    o_bytes : Out(range(beat_bytes + 1))
        The active strobes of that beat, 0 without ``o_beat``.
    fault : Out(FaultReport)
        The first fault.
    """

    axi: Any
    write: Any
    i_base: Signal
    i_limit: Signal
    i_stop: Signal
    o_halted: Signal
    o_quiet: Signal
    o_beat: Signal
    o_bytes: Signal
    fault: Any

    def __init__(self, config: Configuration, *, outstanding_bursts: int = 32) -> None:
        if outstanding_bursts & (outstanding_bursts - 1):
            raise ValueError(f"outstanding_bursts is {outstanding_bursts}; it must be a power of 2")
        self._config = config
        self._outstanding_bursts = outstanding_bursts
        super().__init__(
            {
                "axi": Out(axi4_signature(config)),
                "write": In(write_client_signature(config)),
                "i_base": In(32),
                "i_limit": In(32),
                "i_stop": In(1),
                "o_halted": Out(1),
                "o_quiet": Out(1),
                "o_beat": Out(1),
                "o_bytes": Out(range(config.beat_bytes + 1)),
                "fault": Out(FaultReport),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        depth = self._outstanding_bursts
        splitter = m.submodules.splitter = BurstSplitter(self._config, COMMAND_BEATS_WIDTH)
        check = m.submodules.check = BurstCheck(self._config, tag_width=1)
        channel = m.submodules.data = WriteDataChannel(self._config, depth)
        connect(m, wiring.flipped(self.write.command), splitter.i)
        connect(m, wiring.flipped(self.write.data), channel.i)
        m.d.comb += [
            check.i.valid.eq(splitter.o.valid),
            check.i.payload.burst.eq(splitter.o.payload),
            splitter.o.ready.eq(check.i.ready),
            check.i_base.eq(self.i_base),
            check.i_limit.eq(self.i_limit),
            axi.wdata.eq(channel.wdata),
            axi.wstrb.eq(channel.wstrb),
            axi.wlast.eq(channel.wlast),
            axi.wvalid.eq(channel.wvalid),
            channel.wready.eq(axi.wready),
            self.o_beat.eq(channel.o_beat),
            self.o_bytes.eq(channel.o_bytes),
        ]

        # Issue.
        burst = check.o.payload.burst
        verdict = check.o.payload.verdict
        legal = verdict == BurstVerdict.LEGAL
        address_free = ~axi.awvalid | axi.awready
        stop = self.i_stop | self.o_halted
        below_limit = Signal()
        may_issue, issue = Signal(), Signal()
        # What allows a burst stays so until it is issued; it is known a cycle before.
        m.d.sync += may_issue.eq(
            check.o.valid & legal & below_limit & (channel.o_available >= burst.beats) & ~issue
        )
        m.d.comb += [
            issue.eq(may_issue & address_free & ~stop),
            check.o.ready.eq(issue),
            channel.i_issue.eq(issue),
            channel.i_beats.eq(burst.beats),
        ]
        awaddr = Signal(32, reset_less=True)
        awlen = Signal(8, reset_less=True)
        with m.If(address_free):
            m.d.sync += axi.awvalid.eq(issue)
        with m.If(issue):
            m.d.sync += [awaddr.eq(burst.address), awlen.eq(burst.beats - 1)]
        m.d.comb += [
            axi.awaddr.eq(awaddr),
            axi.awlen.eq(awlen),
            axi.awsize.eq((self._config.beat_bytes - 1).bit_length()),
            axi.awburst.eq(1),
            axi.awcache.eq(0b0011),
            axi.bready.eq(1),
        ]

        # Acknowledgements, in the order of the bursts.
        entry = data.StructLayout({"address": 32, "last": 1})
        m.submodules.issued = issued = Memory(shape=entry, depth=depth, init=[])
        issued_write, issued_read = issued.write_port(), issued.read_port(domain="comb")
        write_index = Signal(range(depth))
        read_index = Signal(range(depth))
        outstanding = Signal(range(depth + 1))
        m.d.comb += [
            issued_write.en.eq(issue),
            issued_write.addr.eq(write_index),
            issued_write.data.address.eq(burst.address),
            issued_write.data.last.eq(burst.last),
            issued_read.addr.eq(read_index),
            self.o_quiet.eq(outstanding == 0),
        ]
        failed = Signal()
        failed_address = Signal(32, reset_less=True)
        m.d.sync += [
            write_index.eq(write_index + issue),
            read_index.eq(read_index + axi.bvalid),
            outstanding.eq(outstanding + issue - axi.bvalid),
            below_limit.eq(outstanding + issue < depth),
            self.write.done.eq(axi.bvalid & ~axi.bresp[1] & issued_read.data.last),
            failed.eq(axi.bvalid & axi.bresp[1]),
        ]
        with m.If(axi.bvalid):
            m.d.sync += failed_address.eq(issued_read.data.address)

        # Faults.
        refused = check.o.valid & ~legal & ~stop
        m.d.sync += self.fault.valid.eq(0)
        with m.If(~self.o_halted & (failed | refused)):
            m.d.sync += [
                self.o_halted.eq(1),
                self.fault.valid.eq(1),
                self.fault.cause.eq(Mux(failed, Fault.WRITE_ERROR, verdict_cause(verdict))),
                self.fault.address.eq(Mux(failed, failed_address, burst.address)),
            ]
        return m
