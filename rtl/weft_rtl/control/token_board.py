# SPDX-License-Identifier: Apache-2.0
"""The counters behind the dependency tokens."""

from typing import Any

from amaranth import Module, Mux, Signal, unsigned
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

    All requests wait until they are served, one per cycle, gives before takes, lower ports first.
    A request is served at the earliest in the cycle after it comes up; a token can be taken two
    cycles after it was given.

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

        # Stage 1: choose a request. A take is a candidate only if its token is there. Stage 2
        # looks again, as the one before it may just have taken the last.
        serve = Signal(len(requests))
        can = Signal(len(requests))
        chosen = Signal(TOKEN)
        for i, request in enumerate(requests):
            wanted = request.valid & ~serve[i]
            if i >= self._givers:
                wanted &= present.bit_select(request.payload, 1)
            m.d.comb += can[i].eq(wanted)
        first = can & (~can + 1)[: len(can)]
        m.d.sync += serve.eq(first)
        selected = [Mux(first[i], r.payload, 0) for i, r in enumerate(requests)]
        while len(selected) > 1:
            selected = [a | b for a, b in zip(selected[::2], [*selected[1::2], 0], strict=False)]
        m.d.sync += chosen.eq(selected[0])

        # Stage 2: do it.
        is_present = present.bit_select(chosen, 1)
        gives = serve[: self._givers].any()
        takes = serve[self._givers :].any() & is_present
        count = Mux(is_present, read.data, 0)
        full = count == isa.TOKEN_LIMIT
        m.d.comb += [
            read.addr.eq(chosen),
            write.addr.eq(chosen),
            write.data.eq(Mux(gives, count + 1, count - 1)),
            write.en.eq((gives & ~full) | takes),
        ]
        for i, request in enumerate(requests):
            m.d.comb += request.ready.eq(serve[i] & ((i < self._givers) | is_present))
        with m.If(write.en):
            m.d.sync += present.bit_select(chosen, 1).eq(gives | (count != 1))
        m.d.sync += [
            self.o_fault.valid.eq(gives & full),
            self.o_fault.cause.eq(Fault.TOKEN_OVERFLOW),
            self.o_fault.address.eq(chosen),
        ]
        return m
