# SPDX-License-Identifier: Apache-2.0
"""Two managers on two subordinates, with errors where nobody is."""

from __future__ import annotations

import random
from typing import Any

import cocotb
import pytest
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiLiteRam, AxiResp

from weft_arch.soc import LINK_BASE, SOC_WINDOW_BYTES
from weft_rtl.soc.register_bus import RegisterBus
from weft_sim.bench import Bench, Stalls, bench_test, run_cocotb

CHANNELS = ("write_if.aw", "write_if.w", "write_if.b", "read_if.ar", "read_if.r")


def stalled(bench: Bench, made: Any, name: str) -> Any:
    """The same manager or subordinate, with stalls on each channel."""
    for channel in CHANNELS:
        interface, part = channel.split(".")
        stalls = Stalls(bench.stall, bench.random_for(f"{name}/{channel}"))
        port = getattr(getattr(made, interface), f"{part}_channel")
        port.set_pause_generator(iter(stalls.now, None))
    return made


def _bus(dut: Any, name: str) -> AxiLiteBus:
    return AxiLiteBus.from_prefix(dut, f"{name}_")


class System:
    def __init__(self, bench: Bench) -> None:
        dut = bench.dut
        dut.i_hold.value = 0
        self.managers = {
            name: stalled(
                bench,
                AxiLiteMaster(AxiLiteBus.from_prefix(dut, f"{name}_"), dut.clk, dut.rst),
                name,
            )
            for name in ("link", "cpu")
        }
        self.memories = {
            name: stalled(
                bench,
                AxiLiteRam(_bus(dut, name), dut.clk, dut.rst, size=size),
                name,
            )
            for name, size in (("accelerator", 4096), ("soc", SOC_WINDOW_BYTES))
        }


@bench_test(deadline_cycles=100_000)
async def both_reach_both(bench: Bench) -> None:
    system = System(bench)
    expected: dict[int, int] = {}

    async def work(name: str, half: int) -> None:
        """Accesses to the even or odd words of both."""
        rng = random.Random(f"{bench.seed}/{name}")
        bus = system.managers[name]
        for _ in range(60):
            base, words = rng.choice([(0, 1024), (LINK_BASE, SOC_WINDOW_BYTES // 4)])
            at = base + 4 * (2 * rng.randrange(words // 2) + half)
            if rng.random() < 0.5 or at not in expected:
                expected[at] = rng.getrandbits(32)
                await bus.write_dword(at, expected[at])
            else:
                assert await bus.read_dword(at) == expected[at], f"{name} at {at:#x}"

    tasks = [cocotb.start_soon(work(name, k)) for k, name in enumerate(system.managers)]
    for task in tasks:
        await task
    for at, value in expected.items():
        memory = system.memories["soc" if at >= LINK_BASE else "accelerator"]
        assert memory.read_dword(at & (LINK_BASE - 1)) == value


@bench_test(deadline_cycles=20_000)
async def answers_errors(bench: Bench) -> None:
    system = System(bench)
    for name, bus in system.managers.items():
        for at in (0x1000, 0xFFFC, LINK_BASE + SOC_WINDOW_BYTES, 0x2_0000, 0xFFFF_FFFC):
            assert (await bus.read(at, 4)).resp == AxiResp.DECERR, f"{name} at {at:#x}"
            assert (await bus.write(at, b"1234")).resp == AxiResp.DECERR, f"{name} at {at:#x}"
        await bus.write(0x100, b"\xaa\xbb\xcc\xdd")
        await bus.write(0x102, b"\x11")
        assert await bus.read_dword(0x100) == 0xDD11_BBAA


@bench_test(deadline_cycles=20_000)
async def holds(bench: Bench) -> None:
    """While held nothing begins, and what was under way ends."""
    system = System(bench)
    cpu, idle = system.managers["cpu"], bench.dut.o_idle
    bench.dut.i_hold.value = 1
    access = cocotb.start_soon(cpu.write_dword(8, 77))
    await bench.cycles(200)
    assert int(idle.value) == 1
    assert not access.done()
    bench.dut.i_hold.value = 0
    while int(idle.value):
        await bench.cycles(1)
    bench.dut.i_hold.value = 1
    await access
    await bench.cycles(2)
    assert int(idle.value) == 1
    assert system.memories["accelerator"].read_dword(8) == 77


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_register_bus(stall: float) -> None:
    run_cocotb(RegisterBus(), __file__, parameters={"stall": stall})
