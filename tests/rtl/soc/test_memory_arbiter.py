# SPDX-License-Identifier: Apache-2.0
"""The memory arbiter: three managers at once, who comes first, and that nothing is lost."""

from __future__ import annotations

import random
import re
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotbext.axi import AxiBus, AxiMaster

from weft_arch.config import preset
from weft_rtl.soc.memory_arbiter import MANAGERS, PATIENCE_BURSTS, MemoryArbiter
from weft_sim.axi_memory import AxiMemory
from weft_sim.bench import Bench, Stalls, bench_test, run_cocotb

TINY = preset("tiny")
BEAT = TINY.beat_bytes
BURST = TINY.max_burst_beats
REGION = 1 << 14
"""Bytes that each manager writes and reads alone."""


def managers(bench: Bench) -> dict[str, Any]:
    """An AXI manager on each port, with stalls on each channel."""
    bench.dut.i_hold.value = 0
    found: dict[str, Any] = {}
    for name in MANAGERS:
        bus = AxiBus.from_prefix(bench.dut, f"{name}_")
        found[name] = master = AxiMaster(bus, bench.dut.clk, bench.dut.rst, max_burst_len=BURST)
        for interface, channel in (("read", "ar"), ("read", "r"), ("write", "aw")):
            stalls = Stalls(bench.stall, bench.random_for(f"{name}/{channel}"))
            port = getattr(getattr(master, f"{interface}_if"), f"{channel}_channel")
            port.set_pause_generator(iter(stalls.now, None))
        for channel in ("w", "b"):
            stalls = Stalls(bench.stall, bench.random_for(f"{name}/{channel}"))
            port = getattr(master.write_if, f"{channel}_channel")
            port.set_pause_generator(iter(stalls.now, None))
    return found


@bench_test(deadline_cycles=60_000)
async def everybody_gets_their_own(bench: Bench) -> None:
    """Random writes and reads of all three at once, each in a region of its own."""
    memory = AxiMemory(bench, "memory_", len(MANAGERS) * REGION, max_beats=BURST, latency=20)
    masters = managers(bench)
    expected = np.zeros_like(memory.data)

    async def work(index: int, name: str) -> None:
        rng = random.Random(f"{bench.seed}/{name}")
        master, base = masters[name], index * REGION
        for _ in range(25):
            beats = rng.choice([1, 2, 15, 16, 40])
            at = base + rng.randrange(REGION // BEAT - beats) * BEAT
            data = rng.randbytes(beats * BEAT)
            await master.write(at, data, awid=0)
            expected[at : at + len(data)] = np.frombuffer(data, np.uint8)
            at = base + rng.randrange(REGION // BEAT - beats) * BEAT
            got = await master.read(at, beats * BEAT, arid=0)
            assert bytes(got.data) == expected[at : at + beats * BEAT].tobytes(), name

    tasks = [cocotb.start_soon(work(index, name)) for index, name in enumerate(MANAGERS)]
    for task in tasks:
        await task
    np.testing.assert_array_equal(memory.data, expected)


@bench_test(deadline_cycles=20_000)
async def alone_it_loses_nothing(bench: Bench) -> None:
    """Long reads keep the memory's data channel busy in every cycle; so do writes."""
    memory = AxiMemory(bench, "memory_", REGION, max_beats=BURST, latency=20)
    accelerator = managers(bench)["accelerator"]
    data = bench.random.randbytes(REGION // 2)
    await accelerator.write(0, data, awid=0)
    got = await accelerator.read(0, len(data), arid=0)
    assert bytes(got.data) == data
    beats = len(data) // BEAT
    cycles = memory.read_cycles
    assert len(cycles) == beats
    assert cycles[-1] - cycles[0] == beats - 1, "a gap between beats"
    first, last = memory.writes[0][2], memory.writes[-1][2]
    assert last - first <= beats, "writes are taken as fast as their data"


@bench_test(deadline_cycles=20_000)
async def the_accelerator_comes_first(bench: Bench) -> None:
    """While it always asks, each other manager gets a burst after `PATIENCE_BURSTS` of it."""
    memory = AxiMemory(bench, "memory_", 3 * REGION, max_beats=BURST, latency=20)
    masters = managers(bench)
    tasks = [cocotb.start_soon(masters["accelerator"].read(0, REGION, arid=0))]
    await bench.cycles(40)
    for index, name in ((1, "cpu"), (2, "link")):
        at = index * REGION
        tasks += [cocotb.start_soon(masters[name].read(at, 6 * BURST * BEAT, arid=0))]
    for task in tasks:
        await task
    owners = "".join(str(address // REGION) for address, _, _ in memory.reads).rstrip("0")
    assert owners.strip("0").count("0") >= 40, "it asked all the time"
    gaps = [len(gap) for gap in re.split("[12]", owners)[1:-1]]
    assert max(gaps) == PATIENCE_BURSTS
    guests = owners.replace("0", "")
    assert len(guests) >= 10
    assert "11" not in guests[:10]
    assert "22" not in guests[:10]


@bench_test(deadline_cycles=30_000)
async def holds_the_accelerator_alone(bench: Bench) -> None:
    """While held it begins nothing, what it has begun ends, and the others go on."""
    memory = AxiMemory(bench, "memory_", 3 * REGION, max_beats=BURST, latency=20)
    masters = managers(bench)
    data = bench.random.randbytes(REGION)
    reading = cocotb.start_soon(masters["accelerator"].read(0, REGION, arid=0))
    writing = cocotb.start_soon(masters["accelerator"].write(0, data, awid=0))
    await bench.cycles(200)
    assert int(bench.dut.o_quiet.value) == 0
    bench.dut.i_hold.value = 1
    await bench.cycles(4)
    for _ in range(3000):
        if int(bench.dut.o_quiet.value):
            break
        await bench.cycles(1)
    begun = len(memory.reads), len(memory.writes)
    await masters["cpu"].write(REGION, data[:BEAT], awid=0)
    got = await masters["cpu"].read(REGION, BEAT, arid=0)
    assert bytes(got.data) == data[:BEAT]
    assert int(bench.dut.o_quiet.value) == 1
    assert (len(memory.reads), len(memory.writes)) == (begun[0] + 1, begun[1] + 1)
    assert not reading.done()
    assert not writing.done()
    bench.dut.i_hold.value = 0
    await reading
    await writing
    assert memory.data[:REGION].tobytes() == data


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_memory_arbiter(stall: float) -> None:
    run_cocotb(
        MemoryArbiter(TINY),
        __file__,
        tests=["everybody_gets_their_own", "holds_the_accelerator_alone"],
        parameters={"stall": stall},
    )


def test_order_and_throughput() -> None:
    run_cocotb(
        MemoryArbiter(TINY),
        __file__,
        tests=["alone_it_loses_nothing", "the_accelerator_comes_first"],
    )
