# SPDX-License-Identifier: Apache-2.0
"""The order of a reset: hold, wait for quiet, reset, go on."""

from __future__ import annotations

from weft_rtl.soc.accelerator_reset import AcceleratorReset
from weft_sim.bench import Bench, bench_test, run_cocotb


@bench_test(deadline_cycles=2_000)
async def waits_for_quiet(bench: Bench) -> None:
    dut = bench.dut
    dut.i_request.value = dut.i_quiet.value = 0
    seen: list[tuple[int, int, int]] = []
    bench.add_agent(
        lambda: seen.append((int(dut.o_hold.value), int(dut.i_quiet.value), int(dut.o_reset.value)))
    )
    for wait in (0, 1, 60):
        seen.clear()
        dut.i_quiet.value = int(wait == 0)
        dut.i_request.value = 1
        await bench.cycles(16)  # as long as the link asks for it
        dut.i_request.value = 0
        await bench.cycles(wait)
        dut.i_quiet.value = 1
        await bench.cycles(40)
        resets = [k for k, (_, _, reset) in enumerate(seen) if reset]
        assert len(resets) == 4
        assert resets == list(range(resets[0], resets[0] + 4)), "once"
        assert all(hold for hold, _, _ in seen[resets[0] - 3 : resets[-1] + 1])
        assert all(quiet for _, quiet, _ in seen[resets[0] - 1 : resets[-1] + 1])
        assert seen[-1][0] == 0, "it goes on"


def test_accelerator_reset() -> None:
    run_cocotb(AcceleratorReset(), __file__)
