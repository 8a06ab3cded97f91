# SPDX-License-Identifier: Apache-2.0
"""The counters behind the dependency tokens."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import isa
from weft_arch.registers import Fault
from weft_rtl.interfaces import FaultReport

__all__ = ["TOKEN", "TokenBoard"]

TOKEN = unsigned(5)
"""A token number; 0 is none."""


class TokenBoard(wiring.Component):
    """Counts tokens 1 to 31: giving one adds 1, taking one waits until there is one.

    All requests wait until they are served, one every second cycle, gives before takes, lower ports
    first. A request is served at the earliest 2 cycles after it comes up, a take 3; a token can be
    taken 3 cycles after it was given. ``ready`` is a register.

    Members
    -------
    i_give : array of streams; the transfer of a token gives it.
    i_take : array of streams; the transfer of a token takes it. It may take arbitrarily long.
    o_fault : TOKEN_OVERFLOW; the count stays at its limit.

    A stream may not offer token 0. About 250 LUTs.
    """

    i_give: list[Any]
    i_take: list[Any]
    o_fault: data.View

    def __init__(self, givers: int, takers: int) -> None:
        self._givers = givers
        self._takers = takers
        super().__init__(
            {
                "i_give": In(stream.Signature(TOKEN)).array(givers),
                "i_take": In(stream.Signature(TOKEN)).array(takers),
                "o_fault": Out(FaultReport),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        requests = [*self.i_give, *self.i_take]
        # Counts live in a memory, which has no reset; `present` says which are not zero.
        m.submodules.counts = counts = memory.Memory(shape=6, depth=isa.N_TOKENS + 1, init=[])
        read, write = counts.read_port(domain="comb"), counts.write_port()
        present = Signal(isa.N_TOKENS + 1)

        # Step 1: is a take's token there? Step 3 looks again, as another may have taken the last.
        there = Signal(len(self.i_take))
        for i, request in enumerate(self.i_take):
            m.d.sync += there[i].eq(present.bit_select(request.payload, 1))

        # Step 2: choose a request, but not in the cycle after one was chosen: that one is looked up
        # then, and what it changes is known to the next.
        serve = Signal(len(requests))
        ready = Signal(len(requests))
        can = Signal(len(requests))
        chosen = Signal(TOKEN)
        for i, request in enumerate(requests):
            wanted = request.valid & ~ready[i]
            if i >= self._givers:
                wanted &= there[i - self._givers]
            m.d.comb += [can[i].eq(wanted), request.ready.eq(ready[i])]
        idle = Signal(init=1)
        first = can & (~can + 1)[: len(can)]
        m.d.sync += serve.eq(Mux(idle, first, 0))
        m.d.comb += idle.eq(~serve.any())
        selected = [Mux(first[i], r.payload, 0) for i, r in enumerate(requests)]
        while len(selected) > 1:
            selected = [a | b for a, b in zip(selected[::2], [*selected[1::2], 0], strict=False)]
        m.d.sync += chosen.eq(selected[0])

        # Step 3: look its count up.
        is_present = present.bit_select(chosen, 1)
        gives, takes = Signal(), Signal()
        count, was_present = Signal(6), Signal()
        only_one, at_limit = Signal(), Signal()
        m.d.comb += read.addr.eq(chosen)
        m.d.sync += [
            gives.eq(serve[: self._givers].any()),
            takes.eq(serve[self._givers :].any() & is_present),
            ready.eq(
                Cat(serve[: self._givers], Mux(is_present, serve[self._givers :], 0)),
            ),
            write.addr.eq(chosen),
            was_present.eq(is_present),
            count.eq(read.data),
            only_one.eq(read.data == 1),
            at_limit.eq(read.data == isa.TOKEN_LIMIT),
        ]

        # Step 4: change it.
        full = was_present & at_limit
        m.d.comb += [
            write.data.eq(Mux(gives, Mux(was_present, count, 0) + 1, count - 1)),
            write.en.eq((gives & ~full) | takes),
        ]
        for token in range(isa.N_TOKENS + 1):
            with m.If(write.en & (write.addr == token)):
                m.d.sync += present[token].eq(gives | ~only_one)
        m.d.sync += [
            self.o_fault.valid.eq(gives & full),
            self.o_fault.cause.eq(Fault.TOKEN_OVERFLOW),
            self.o_fault.address.eq(write.addr),
        ]
        return m
