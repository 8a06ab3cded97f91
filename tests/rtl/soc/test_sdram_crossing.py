# SPDX-License-Identifier: Apache-2.0
"""The queue between two clocks: there and back, whatever the other clock is."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth import ClockDomain, Module, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped
from cocotb.clock import Clock

from weft_rtl.soc.sdram_crossing import Crossing
from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb

WORDS = 400


class ThereAndBack(wiring.Component):
    """A queue to the clock ``clk_other``, and one back."""

    i: stream.Interface
    o: stream.Interface
    clk_other: Signal

    def __init__(self, *, places: int) -> None:
        self._places = places
        byte = stream.Signature(8)
        super().__init__({"i": In(byte), "o": Out(byte), "clk_other": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        other: Any = ClockDomain("other")
        m.domains += other
        m.d.comb += other.clk.eq(self.clk_other)
        m.submodules.reset = ResetSynchronizer(ResetSignal("sync"), domain="other")
        m.submodules.there = there = Crossing(
            8, w_domain="sync", r_domain="other", places=self._places
        )
        m.submodules.back = back = Crossing(
            8, w_domain="other", r_domain="sync", places=self._places
        )
        connect(m, flipped(self.i), there.i)
        connect(m, there.o, back.i)
        connect(m, back.o, flipped(self.o))
        return m


@bench_test(deadline_cycles=20_000)
async def keeps_order(bench: Bench) -> None:
    driver, monitor = StreamDriver(bench, "i", 8), StreamMonitor(bench, "o", 8)
    Clock(bench.dut.clk_other, bench.parameters["period_ps"], unit="ps").start()
    words = [bench.random.randrange(256) for _ in range(WORDS)]
    driver.send_all(words)
    await monitor.expect(words)
    first, *_, last = monitor.received_cycles
    print(f"{last - first} cycles for {WORDS} words")
    assert last - first <= bench.parameters["most_cycles"]


@pytest.mark.parametrize(
    ("period_ps", "places", "stall", "most_cycles"),
    [
        # The other clock as fast or faster: a word per cycle, but for what is late on its way.
        (10_000, 16, 0.0, 420),
        (7_502, 16, 0.0, 420),
        (7_502, 4, 0.0, 20_000),
        (7_502, 16, 0.5, 20_000),
        # Slower: a word in each of its cycles.
        (23_002, 16, 0.0, 960),
        (23_002, 4, 0.5, 20_000),
    ],
)
def test_crossing(period_ps: int, places: int, stall: float, most_cycles: int) -> None:
    run_cocotb(
        ThereAndBack(places=places),
        __file__,
        tests="keeps_order",
        parameters={"stall": stall, "period_ps": period_ps, "most_cycles": most_cycles},
    )
