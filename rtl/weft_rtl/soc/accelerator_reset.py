# SPDX-License-Identifier: Apache-2.0
"""The accelerator's reset input, pulled only while nobody misses its answers."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AcceleratorReset"]

_RESET_CYCLES = 4


class AcceleratorReset(wiring.Component):
    """Stops the accelerator's new bursts and all register accesses, waits until what is under way
    has ended, and resets it for 4 cycles.

    So the memory never waits for data of a burst that the reset took away, and no answer of an old
    burst reaches a machine that has just begun. What the accelerator has issued ends by itself.

    Members
    -------
    i_request : a reset is wanted; looked at again when the last one is done
    o_hold : to `MemoryArbiter` and `RegisterBus`
    i_quiet : nothing is under way
    o_reset : to the accelerator
    """

    i_request: Signal
    o_hold: Signal
    i_quiet: Signal
    o_reset: Signal

    def __init__(self) -> None:
        super().__init__(
            {"i_request": In(1), "o_hold": Out(1), "i_quiet": In(1), "o_reset": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(range(_RESET_CYCLES))
        with m.FSM():
            with m.State("IDLE"), m.If(self.i_request):
                m.d.sync += self.o_hold.eq(1)
                m.next = "HOLD"
            with m.State("HOLD"):
                # A cycle for the hold to act, another for the answer to it.
                m.d.sync += count.eq(count + 1)
                with m.If(count == _RESET_CYCLES - 1):
                    m.next = "DRAIN"
            with m.State("DRAIN"), m.If(self.i_quiet):
                m.d.sync += self.o_reset.eq(1)
                m.next = "RESET"
            with m.State("RESET"):
                m.d.sync += count.eq(count + 1)
                with m.If(count == _RESET_CYCLES - 1):
                    m.d.sync += self.o_reset.eq(0)
                    m.next = "RELEASE"
            with m.State("RELEASE"), m.If(~self.i_request):
                m.d.sync += self.o_hold.eq(0)
                m.next = "IDLE"
        return m
