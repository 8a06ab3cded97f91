# SPDX-License-Identifier: Apache-2.0
"""Counts the refreshes that are due."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.soc.sdram_timing import MAX_POSTPONED, SdramTiming

__all__ = ["RefreshTimer"]


class RefreshTimer(wiring.Component):
    """A refresh becomes due at every interval. Runs in the SDRAM's clock domain.

    Refreshes may wait for an idle moment until ``postponed_refreshes`` are due; then ``o_urgent``
    rises and stays until none is. After reset the intervals time the power-up wait, whose end finds
    `MAX_POSTPONED` refreshes due: those that a part wants before its first use.

    Members
    -------
    i_done : In(1)
        One refresh was issued.
    o_any : Out(1)
        At least one is due. Registered; right from 3 cycles after ``i_done`` on.
    o_urgent : Out(1)
        Nothing else may start. Registered.
    o_powered_up : Out(1)
        The power-up time is over. Registered.
    """

    i_done: Signal
    o_any: Signal
    o_urgent: Signal
    o_powered_up: Signal

    def __init__(self, timing: SdramTiming) -> None:
        self._timing = timing
        super().__init__(
            {"i_done": In(1), "o_any": Out(1), "o_urgent": Out(1), "o_powered_up": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = self._timing
        elapsed = Signal(range(timing.refresh_interval_cycles))
        tick = Signal()
        due = Signal(range(MAX_POSTPONED + 1))
        intervals = Signal(range(timing.power_up_intervals + 1), init=timing.power_up_intervals)

        m.d.sync += [
            tick.eq(elapsed == timing.refresh_interval_cycles - 2),
            elapsed.eq(elapsed + 1),
        ]
        with m.If(tick):
            m.d.sync += elapsed.eq(0)
        with m.If(tick & ~self.o_powered_up):
            m.d.sync += [intervals.eq(intervals - 1), self.o_powered_up.eq(intervals == 1)]

        done = Signal()  # a cycle later, because it comes late
        m.d.sync += done.eq(self.i_done)

        # It is full at power-up only; in use, `o_urgent` keeps it below.
        with m.If(tick & ~done & (due != MAX_POSTPONED)):
            m.d.sync += due.eq(due + 1)
        with m.If(~tick & done):
            m.d.sync += due.eq(due - 1)
        m.d.sync += self.o_any.eq(due != 0)
        with m.If(due >= timing.postponed_refreshes):
            m.d.sync += self.o_urgent.eq(1)
        with m.Elif(due == 0):
            m.d.sync += self.o_urgent.eq(0)
        return m
