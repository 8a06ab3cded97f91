# SPDX-License-Identifier: Apache-2.0
"""A queue from one clock to another whose paths are short on both sides."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import memory, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["CROSSING_DEPTH", "Crossing"]

CROSSING_DEPTH = 16
"""Places in the memory, which is as deep as a LUT memory is."""

_POINTER_BITS = CROSSING_DEPTH.bit_length()


class Crossing(wiring.Component):
    """A first-in, first-out queue between two unrelated clocks, each up to one transfer per cycle.

    ``i.ready``, ``o.valid`` and ``o``'s payload are registers, and what decides about them is known
    a cycle before: neither side compares pointers and acts on it in one cycle. From ``i`` to ``o``
    2 cycles of the writer's clock at most and 4 of the reader's; a place that was read can be
    written again after as many the other way and one more. Both domains are reset together, for at
    least 4 cycles of each.

    Members
    -------
    i : stream of ``shape``, In, in ``w_domain``
    o : stream of ``shape``, Out, in ``r_domain``

    Parameters
    ----------
    places : int
        Most payloads that wait, besides the one in ``o``; 3 to `CROSSING_DEPTH`.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        shape: ShapeLike,
        *,
        w_domain: str,
        r_domain: str,
        places: int = CROSSING_DEPTH,
    ) -> None:
        assert 3 <= places <= CROSSING_DEPTH
        self._shape, self._places = shape, places
        self._w_domain, self._r_domain = w_domain, r_domain
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        w, r = m.d[self._w_domain], m.d[self._r_domain]
        shape: Any = self.i.payload.shape()
        m.submodules.storage = storage = memory.Memory(shape=shape, depth=CROSSING_DEPTH, init=[])
        write = storage.write_port(domain=self._w_domain)
        read = storage.read_port(domain="comb")

        # Pointers count modulo twice the depth and cross in Gray code.
        produced, written = Signal(_POINTER_BITS), Signal(_POINTER_BITS)
        seen_written, seen_read = Signal(_POINTER_BITS), Signal(_POINTER_BITS)
        now, following = Signal(_POINTER_BITS), Signal(_POINTER_BITS, init=_gray(1))
        m.submodules.forwards = FFSynchronizer(written, seen_written, o_domain=self._r_domain)
        m.submodules.backwards = FFSynchronizer(now, seen_read, o_domain=self._w_domain)

        # In: the level is a cycle old, and so is `i.ready`, so two more may come than it counts.
        push = self.i.valid & self.i.ready
        consumed = Signal(_POINTER_BITS)
        level = Signal(_POINTER_BITS)
        m.d.comb += [
            write.addr.eq(produced),
            write.data.eq(self.i.payload),
            write.en.eq(push),
            level.eq(produced - consumed),
        ]
        w += [
            consumed.eq(Cat(seen_read[k:].xor() for k in range(_POINTER_BITS))),
            self.i.ready.eq(level <= self._places - 2),
        ]
        with m.If(push):
            w += [produced.eq(produced + 1), written.eq(_gray_of(produced + 1))]

        # Out: whether there is something is looked up for this entry and for the next, and told
        # apart by whether this one went.
        ahead = Signal(_POINTER_BITS, init=2)
        place = Signal(range(CROSSING_DEPTH))
        more_now, more_following, popped, pop = Signal(), Signal(), Signal(), Signal()
        there = Mux(popped, more_following, more_now)
        m.d.comb += [read.addr.eq(place), pop.eq(there & (~self.o.valid | self.o.ready))]
        r += [
            more_now.eq(now != seen_written),
            more_following.eq(following != seen_written),
            popped.eq(pop),
        ]
        with m.If(pop):
            r += [
                self.o.valid.eq(1),
                self.o.payload.eq(read.data),
                now.eq(following),
                following.eq(_gray_of(ahead)),
                ahead.eq(ahead + 1),
                place.eq(place + 1),
            ]
        with m.Elif(self.o.ready):
            r += self.o.valid.eq(0)
        return m


def _gray(number: int) -> int:
    return number ^ number >> 1


def _gray_of(number: Value) -> Value:
    short = number[:_POINTER_BITS]
    return short ^ short >> 1
