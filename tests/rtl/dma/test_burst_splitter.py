# SPDX-License-Identifier: Apache-2.0
"""Transfers are cut into legal bursts that cover them exactly."""

from __future__ import annotations

import dataclasses

import pytest

from weft_arch.config import Configuration, preset
from weft_rtl.dma.burst_splitter import BurstSplitter
from weft_rtl.dma.ports import Burst, Transfer
from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb


def split(config: Configuration, transfer: dict[str, int]) -> list[dict[str, int]]:
    """The bursts of a transfer: they end at multiples of the longest burst."""
    beat, longest = config.beat_bytes, config.max_burst_beats
    address, left = transfer["address"], transfer["beats"]
    bursts = []
    while left:
        beats = min(left, longest - address // beat % longest)
        left -= beats
        last = int(transfer["last"] and not left)
        bursts.append({"address": address, "beats": beats, "last": last})
        address = (address + beats * beat) % (1 << 32)
    return bursts


@bench_test(deadline_cycles=20_000)
async def splits(bench: Bench) -> None:
    config = Configuration(**bench.parameters["config"])
    driver = StreamDriver(bench, "i", Transfer)
    monitor = StreamMonitor(bench, "o", Burst)
    beat, longest = config.beat_bytes, config.max_burst_beats
    transfers = [
        {"address": 4096 - longest * beat + start * beat, "beats": beats, "last": beats % 2}
        for start in range(0, longest, max(longest // 4, 1))
        for beats in (1, 2, longest - 1, longest, longest + 1, 3 * longest)
    ]
    draw = bench.random.randrange
    transfers += [
        {"address": draw(1 << 20) * beat, "beats": draw(1, 6 * longest), "last": draw(2)}
        for _ in range(100)
    ]
    transfers.append({"address": (1 << 32) - beat * 2, "beats": 5, "last": 1})
    driver.send_all(transfers)
    await monitor.expect([b for t in transfers for b in split(config, t)])


@bench_test(deadline_cycles=2_000)
async def one_burst_per_cycle(bench: Bench) -> None:
    config = Configuration(**bench.parameters["config"])
    driver = StreamDriver(bench, "i", Transfer)
    monitor = StreamMonitor(bench, "o", Burst)
    driver.send({"address": 0, "beats": 100 * config.max_burst_beats, "last": 0})
    await monitor.wait_for(100)
    assert monitor.received_cycles[99] - monitor.received_cycles[0] == 99


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(("beat_bytes", "max_burst_beats"), [(8, 16), (16, 256), (4, 2)])
def test_burst_splitter(beat_bytes: int, max_burst_beats: int, stall: float) -> None:
    config = dataclasses.replace(
        preset("default"), beat_bytes=beat_bytes, max_burst_beats=max_burst_beats
    )
    run_cocotb(
        BurstSplitter(config),
        __file__,
        tests="splits" if stall else "splits,one_burst_per_cycle",
        parameters={"stall": stall, "config": config},
    )
