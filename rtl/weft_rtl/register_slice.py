# SPDX-License-Identifier: Apache-2.0
"""A place in a stream that ends all paths, forwards and backwards."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RegisterSlice"]


class RegisterSlice(wiring.Component):
    """A stream as it was, but ``o`` and ``i.ready`` are registers.

    Latency: 1 cycle; throughput: one per cycle. Area: two flip-flops and a LUT4 per bit of the
    payload.

    Members
    -------
    i, o : streams of ``shape``
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        came, given = self.i.p, self.o.p
        payload: Any = Signal.like(given, name="payload", reset_less=True)
        spare: Any = Signal.like(given, name="spare", reset_less=True)
        full = Signal()  # the spare place is taken
        free = ~self.o.valid | self.o.ready
        m.d.comb += [self.i.ready.eq(~full), given.eq(payload)]
        with m.If(~full):
            m.d.sync += spare.eq(came)
        with m.If(free):
            m.d.sync += [
                payload.eq(Mux(full, spare, came)),
                self.o.valid.eq(self.i.valid | full),
                full.eq(0),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += full.eq(1)
        return m
