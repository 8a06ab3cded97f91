# SPDX-License-Identifier: Apache-2.0
"""A Wishbone bus between a manager with half a clock and everybody else."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.soc.wishbone import wishbone_signature

__all__ = ["HalfRateBus"]


class HalfRateBus(wiring.Component):
    """Accesses of a manager whose clock is a register of ``sync`` that toggles.

    That clock rises some time after ``sync``, as it has a way to go, and nobody computes how long.
    So nothing that the manager looks at is changed, and nothing that comes from it is looked at,
    but in the middle of its period: both sides then have about half a period. (A word may change at
    any time before its answer: nobody looks at it by then.)

    From the manager's request to that of ``bus`` 1 cycle of ``sync``; from the answer to the
    manager's register 2 or 3, and 2 more until the manager acts on it.

    Members
    -------
    i_middle : In(1)
        The manager's clock is high: this cycle ends in the middle of its period.
    i_drop : In(1)
        Forget the access under way; only with ``i_middle``, and until the manager asks nothing.
    manager : `wishbone_signature`, flipped
        Its ``ack``, ``err`` and ``dat_r`` are for the manager's clock to register.
    bus : `wishbone_signature`
    """

    i_middle: Signal
    i_drop: Signal
    manager: Any
    bus: Any

    def __init__(self) -> None:
        super().__init__(
            {
                "i_middle": In(1),
                "i_drop": In(1),
                "manager": In(wishbone_signature()),
                "bus": Out(wishbone_signature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        manager, bus = self.manager, self.bus
        active = Signal()
        answer, waiting = Signal(2), Signal(2)  # ack, err
        word = Signal(32, reset_less=True)
        found = Mux(active, Cat(bus.ack, bus.err), 0)
        for name in ("we", "adr", "sel", "dat_w"):
            m.d.comb += getattr(bus, name).eq(getattr(manager, name))
        m.d.comb += [
            bus.cyc.eq(active),
            bus.stb.eq(active),
            Cat(manager.ack, manager.err).eq(answer),
            manager.dat_r.eq(word),
        ]
        with m.If(found.any()):
            m.d.sync += [active.eq(0), waiting.eq(found), word.eq(Mux(bus.err, 0, bus.dat_r))]
        with m.If(self.i_middle):
            m.d.sync += [answer.eq(waiting | found), waiting.eq(0)]
            # The manager sees an answer at its second edge from here, and asks until then.
            with m.If(manager.cyc & manager.stb & ~(waiting | found | answer).any()):
                m.d.sync += active.eq(1)
            with m.If(self.i_drop):
                m.d.sync += [active.eq(0), answer.eq(0)]
        return m
