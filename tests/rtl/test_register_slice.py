# SPDX-License-Identifier: Apache-2.0
"""The register slice: order, throughput, and that nothing passes in the cycle in which it comes."""

from __future__ import annotations

import pytest

from weft_rtl.register_slice import RegisterSlice
from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb


@bench_test(deadline_cycles=3_000)
async def keeps_order(bench: Bench) -> None:
    driver, monitor = StreamDriver(bench, "i", 8), StreamMonitor(bench, "o", 8)
    cases = [bench.random.randrange(256) for _ in range(300)]
    driver.send_all(cases)
    await monitor.expect(cases)


@bench_test(deadline_cycles=500)
async def is_as_fast_as_a_wire(bench: Bench) -> None:
    driver, monitor = StreamDriver(bench, "i", 8), StreamMonitor(bench, "o", 8)
    driver.send_all(list(range(100)))
    await monitor.expect(list(range(100)))
    first, *_, last = monitor.received_cycles
    assert last - first == 99


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_register_slice(stall: float) -> None:
    run_cocotb(RegisterSlice(8), __file__, tests="keeps_order", parameters={"stall": stall})


def test_throughput() -> None:
    run_cocotb(RegisterSlice(8), __file__, tests="is_as_fast_as_a_wire")
