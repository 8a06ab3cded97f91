# SPDX-License-Identifier: Apache-2.0
"""A place in a stream that ends a chain of ``ready`` signals."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ReadyBuffer"]


class ReadyBuffer(wiring.Component):
    """A stream as it was, but ``i.ready`` is a register.

    What ``o`` does not take at once waits here. Latency: none while ``o`` is ready; throughput:
    one per cycle, but the cycle after one has waited takes none. Area: a flip-flop and a LUT4 per
    bit of the payload.

    Members
    -------
    i, o : streams of ``shape``
    o_full : Out(1)
        Something waits here, which ``i`` gave already.
    """

    i: stream.Interface
    o: stream.Interface
    o_full: Signal

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "o_full": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held: Any = Signal.like(self.i.p, name="held", reset_less=True)
        full = self.o_full
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.valid.eq(self.i.valid | full),
            _bits(self.o.p).eq(Mux(full, _bits(held), _bits(self.i.p))),
        ]
        with m.If(~full):
            m.d.sync += _bits(held).eq(_bits(self.i.p))
        m.d.sync += full.eq(self.o.valid & ~self.o.ready)
        return m


def _bits(payload: Any) -> Any:
    return payload.as_value() if hasattr(payload, "as_value") else payload
