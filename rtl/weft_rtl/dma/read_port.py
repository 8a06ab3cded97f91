# SPDX-License-Identifier: Apache-2.0
"""The read half of the memory port: arbitration, address channel, and data back to the clients."""

from typing import Any

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_arch.registers import Fault
from weft_rtl.dma.axi import axi4_signature
from weft_rtl.dma.burst_check import BurstCheck, BurstVerdict, verdict_cause
from weft_rtl.dma.ports import read_client_signature
from weft_rtl.interfaces import FaultReport

__all__ = ["READ_CLIENTS", "ReadPort"]

READ_CLIENTS = ("fetch", "load", "stream")
"""In falling priority; but the last two take turns while ``i_stream_low``."""


class ReadPort(wiring.Component):
    """Issues the bursts of the read clients and routes the data back.

    Bursts are picked by priority (fetch, load, stream), checked (`BurstCheck`) and issued, one in
    two cycles and up to ``outstanding_bursts`` at a time. Responses come in the order of the
    addresses, so a burst waits for all data asked for before it: loads and the stream, which may
    always have more to ask for, are picked only while less than ``ahead_beats`` are outstanding.
    That many beats keep the bus busy at a memory latency of as many cycles. While the weight buffer
    runs low, long loads do not starve it: then every second burst is the stream's.

    From a client's burst to ``arvalid`` are 4 cycles, from ``rvalid`` to a client's ``valid`` 1.

    Members
    -------
    axi : AXI4 manager; only the read channels are driven
    fetch, load, stream : read clients, flipped
    i_stream_low : In(1)
        The weight buffer has little left.
    i_base, i_limit : In(32)
        What may be read.
    i_stop : In(1)
        Issue nothing new.
    o_halted : Out(1)
        A fault was found; nothing is issued until reset.
    o_quiet : Out(1)
        No read is outstanding.
    o_beat : Out(1)
        A beat was received.
    fault : Out(FaultReport)
        The first fault.
    """

    axi: Any
    i_stream_low: Signal
    i_base: Signal
    i_limit: Signal
    i_stop: Signal
    o_halted: Signal
    o_quiet: Signal
    o_beat: Signal
    fault: Any

    def __init__(
        self,
        config: Configuration,
        *,
        outstanding_bursts: int = 16,
        ahead_beats: int = 128,
    ) -> None:
        if outstanding_bursts & (outstanding_bursts - 1):
            raise ValueError(f"outstanding_bursts is {outstanding_bursts}; it must be a power of 2")
        self._config = config
        self._outstanding_bursts = outstanding_bursts
        self._ahead_beats = max(ahead_beats, config.max_burst_beats)
        super().__init__(
            {
                "axi": Out(axi4_signature(config)),
                **{name: In(read_client_signature(config)) for name in READ_CLIENTS},
                "i_stream_low": In(1),
                "i_base": In(32),
                "i_limit": In(32),
                "i_stop": In(1),
                "o_halted": Out(1),
                "o_quiet": Out(1),
                "o_beat": Out(1),
                "fault": Out(FaultReport),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        depth = self._outstanding_bursts
        clients = (self.fetch, self.load, self.stream)
        check = m.submodules.check = BurstCheck(self._config, tag_width=2)
        entry = data.StructLayout({"address": 32, "client": 2})
        m.submodules.routes = routes = Memory(shape=entry, depth=depth, init=[])
        route_write, route_read = routes.write_port(), routes.read_port(domain="comb")

        # Registers at the pins.
        received = Signal()
        received_last = Signal()
        received_error = Signal()
        m.d.sync += [
            received.eq(axi.rvalid),
            received_last.eq(axi.rvalid & axi.rlast),
            received_error.eq(axi.rvalid & axi.rresp[1]),
        ]

        # Pick. What is picked counts as outstanding until its data has come.
        bursts = Signal(range(depth + 1))
        most_beats = depth * self._config.max_burst_beats
        beats = Signal(range(most_beats + 1))
        may_pick = Signal()
        may_ask_more = Signal()
        streams_turn = Signal()
        picked_valid = Signal()
        load_was_last = Signal()
        picked: Any = Signal(check.i.payload.shape(), reset_less=True)
        pick = Signal()
        # A pick is counted a cycle later, when it is in its register; none follows it at once.
        new = Signal()
        bursts_begun, beats_begun = Signal.like(bursts), Signal.like(beats)
        m.d.comb += [
            bursts_begun.eq(bursts + new),
            beats_begun.eq(beats + Mux(new, picked.burst.beats, 0)),
        ]
        m.d.sync += [
            new.eq(pick),
            may_pick.eq(bursts_begun < depth),
            may_ask_more.eq(beats_begun < self._ahead_beats),
        ]
        m.d.comb += streams_turn.eq(load_was_last & self.i_stream_low & self.stream.burst.valid)
        allowed = [
            may_pick,
            may_pick & may_ask_more & ~streams_turn,
            may_pick & may_ask_more,
        ]
        wants = [c.burst.valid & a for c, a in zip(clients, allowed, strict=True)]
        # Every second cycle, so that no path leads from ``arready`` into the clients.
        free = ~picked_valid
        higher: Value = Const(0)
        any_wants: Value = Const(0)
        for want in wants:
            any_wants = any_wants | want
        with m.If(free):
            m.d.sync += picked_valid.eq(any_wants)
        with m.Elif(check.i.ready):
            m.d.sync += picked_valid.eq(0)
        m.d.comb += pick.eq(free & any_wants)
        with m.If(pick):
            m.d.sync += load_was_last.eq(self.load.burst.valid & self.load.burst.ready)
        for index, (client, want) in enumerate(zip(clients, wants, strict=True)):
            m.d.comb += client.burst.ready.eq(free & allowed[index] & ~higher)
            with m.If(want & ~higher & free):
                m.d.sync += [picked.burst.eq(client.burst.payload), picked.tag.eq(index)]
            higher = higher | want
        m.d.sync += [
            bursts.eq(bursts_begun - received_last),
            beats.eq(beats_begun - received),
        ]
        m.d.comb += [check.i.valid.eq(picked_valid), check.i.payload.eq(picked)]
        m.d.comb += [check.i_base.eq(self.i_base), check.i_limit.eq(self.i_limit)]

        # Issue.
        checked = check.o.payload
        legal = checked.verdict == BurstVerdict.LEGAL
        address_free = ~axi.arvalid | axi.arready
        stop = self.i_stop | self.o_halted
        issue = Signal()
        m.d.comb += [
            check.o.ready.eq(address_free & ~stop & legal),
            issue.eq(check.o.valid & check.o.ready),
        ]
        with m.If(address_free):
            m.d.sync += axi.arvalid.eq(issue)
        araddr = Signal(32, reset_less=True)
        arlen = Signal(8, reset_less=True)
        with m.If(issue):
            m.d.sync += [araddr.eq(checked.burst.address), arlen.eq(checked.burst.beats - 1)]
        m.d.comb += [
            axi.araddr.eq(araddr),
            axi.arlen.eq(arlen),
            axi.arsize.eq((self._config.beat_bytes - 1).bit_length()),
            axi.arburst.eq(1),
            axi.arcache.eq(0b0011),
            axi.rready.eq(1),
        ]

        # Route back: one entry per issued burst.
        route_write_index = Signal(range(depth))
        route_read_index = Signal(range(depth))
        issued = Signal(range(depth + 1))
        m.d.comb += [
            route_write.en.eq(issue),
            route_write.addr.eq(route_write_index),
            route_write.data.address.eq(checked.burst.address),
            route_write.data.client.eq(checked.tag),
            route_read.addr.eq(route_read_index),
            self.o_quiet.eq(issued == 0),
            self.o_beat.eq(received),
        ]
        finished = axi.rvalid & axi.rlast
        m.d.sync += [
            route_write_index.eq(route_write_index + issue),
            route_read_index.eq(route_read_index + finished),
            issued.eq(issued + issue - finished),
        ]
        received_data = Signal(axi.rdata.shape(), reset_less=True)
        received_address = Signal(32, reset_less=True)
        with m.If(axi.rvalid):
            m.d.sync += received_data.eq(axi.rdata)
            m.d.sync += received_address.eq(route_read.data.address)
        for index, (name, client) in enumerate(zip(READ_CLIENTS, clients, strict=True)):
            valid = Signal(name=f"{name}_valid")
            m.d.sync += valid.eq(axi.rvalid & (route_read.data.client == index))
            m.d.comb += [client.valid.eq(valid), client.data.eq(received_data)]

        # Faults.
        refused = check.o.valid & ~legal & ~stop
        m.d.sync += self.fault.valid.eq(0)
        with m.If(~self.o_halted & (received_error | refused)):
            m.d.sync += [
                self.o_halted.eq(1),
                self.fault.valid.eq(1),
                self.fault.cause.eq(
                    Mux(received_error, Fault.READ_ERROR, verdict_cause(checked.verdict))
                ),
                self.fault.address.eq(Mux(received_error, received_address, checked.burst.address)),
            ]
        return m
