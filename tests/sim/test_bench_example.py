# SPDX-License-Identifier: Apache-2.0
"""The example bench: how a block is tested, and that the bench helpers catch what they should."""

from __future__ import annotations

import pytest
from amaranth import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb

OPERANDS = data.StructLayout({"a": signed(8), "b": signed(8)})


class Multiplier(wiring.Component):
    """Registers a product per cycle.

    Members: ``i`` takes operands, ``o`` delivers products one cycle later.

    Args:
        bug: "" for none, "drop" takes valid back, "change" overwrites a waiting payload, "wrong"
            delivers a wrong product for a = -128, "hang" never is ready.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, bug: str = "") -> None:
        self._bug = bug
        super().__init__(
            {"i": In(stream.Signature(OPERANDS)), "o": Out(stream.Signature(signed(16)))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        product = self.i.payload.a * self.i.payload.b
        if self._bug == "hang":
            m.d.sync += self.o.payload.eq(product)
            return m
        free = ~self.o.valid | self.o.ready
        m.d.comb += self.i.ready.eq(1 if self._bug == "change" else free)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        if self._bug == "drop":
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            wrong = (self.i.payload.a == -128) if self._bug == "wrong" else 0
            m.d.sync += [self.o.payload.eq(product ^ wrong), self.o.valid.eq(1)]
        return m


@bench_test(deadline_cycles=5_000)
async def multiplies(bench: Bench) -> None:
    driver = StreamDriver(bench, "i", OPERANDS)
    monitor = StreamMonitor(bench, "o", signed(16))
    corners = [-128, -1, 0, 1, 127]
    cases = [{"a": a, "b": b} for a in corners for b in corners]
    draw = bench.random.randrange
    cases += [{"a": draw(-128, 128), "b": draw(-128, 128)} for _ in range(500)]
    driver.send_all(cases)
    await monitor.expect([case["a"] * case["b"] for case in cases])
    assert driver.sent == len(cases)
    if bench.stall == 0:
        first, last = monitor.received_cycles[0], monitor.received_cycles[len(cases) - 1]
        assert last - first == len(cases) - 1, "the multiplier takes one product per cycle"


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_multiplier(stall: float) -> None:
    run_cocotb(Multiplier(), __file__, tests="multiplies", parameters={"stall": stall})


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        ("drop", "took back valid before ready"),
        ("change", "changed its payload"),
        ("wrong", "got -?[0-9]+, expected -?[0-9]+"),
        ("hang", r"(?s)did not finish within 5000 cycles.*driver i: 0 taken, 525 queued"),
    ],
    ids=["drop", "change", "wrong", "hang"],
)
def test_a_broken_block_is_found(bug: str, message: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=message):
        run_cocotb(Multiplier(bug), __file__, tests="multiplies", parameters={"stall": 0.5})
