# SPDX-License-Identifier: Apache-2.0
"""The SoC's registers: every one by its meaning, interrupts, watchdog."""

from __future__ import annotations

import pytest
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from weft_arch.registers import Access
from weft_arch.soc import (
    SOC_ID_VALUE,
    SOC_REGISTERS,
    SOC_VERSION_VALUE,
    WATCHDOG_EXPIRED,
    CpuControl,
    SocInterrupt,
    soc_offset,
)
from weft_rtl.soc.soc_registers import CPU_RESET_CYCLES, SocRegisters
from weft_sim.bench import Bench, Stalls, bench_test, run_cocotb

CHANNELS = ("write_if.aw", "write_if.w", "write_if.b", "read_if.ar", "read_if.r")


class Host:
    def __init__(self, bench: Bench) -> None:
        self.dut = bench.dut
        self.bus = AxiLiteMaster(
            AxiLiteBus.from_prefix(bench.dut, "bus_"), bench.dut.clk, bench.dut.rst
        )
        for channel in CHANNELS:
            interface, name = channel.split(".")
            stalls = Stalls(bench.stall, bench.random_for(channel))
            port = getattr(getattr(self.bus, interface), f"{name}_channel")
            port.set_pause_generator(iter(stalls.now, None))
        self.dut.i_accelerator_irq.value = 0
        self.dut.i_buttons.value = 0

    async def read(self, name: str) -> int:
        return await self.bus.read_dword(soc_offset(name))

    async def write(self, name: str, value: int) -> None:
        await self.bus.write_dword(soc_offset(name), value)


@bench_test(deadline_cycles=20_000)
async def keeps_what_is_written(bench: Bench) -> None:
    host = Host(bench)
    assert await host.read("SOC_ID") == SOC_ID_VALUE
    assert await host.read("SOC_VERSION") == SOC_VERSION_VALUE
    for name, register in SOC_REGISTERS.items():
        if register.access == Access.READ_WRITE:
            assert await host.read(name) == 0, name
    for name, bits in (("LEDS", 8), ("BOOT_STATUS", 32), ("MAILBOX", 32)):
        value = bench.random.getrandbits(32)
        await host.write(name, value)
        assert await host.read(name) == value % (1 << bits), name
    assert int(bench.dut.o_leds.value) == await host.read("LEDS")
    for name in ("SOC_ID", "SOC_VERSION", "BUTTONS", "INTERRUPTS"):
        await host.write(name, 0x1234_5678)
    assert await host.read("SOC_ID") == SOC_ID_VALUE
    bench.dut.i_buttons.value = 0x5A
    assert await host.read("BUTTONS") == 0x5A
    end = max(r.offset for r in SOC_REGISTERS.values()) + 4
    for offset in (end, 0xFC):
        assert (await host.bus.read(offset, 4)).resp == AxiResp.DECERR
        assert (await host.bus.write(offset, b"1234")).resp == AxiResp.DECERR
    before = await host.read("LEDS")
    assert (await host.bus.write(soc_offset("LEDS"), b"\xff")).resp == AxiResp.DECERR
    assert await host.read("LEDS") == before


@bench_test(deadline_cycles=20_000)
async def tells_of_interrupts(bench: Bench) -> None:
    host, dut = Host(bench), bench.dut
    assert int(dut.o_link_irq.value) == 0
    await host.write("DOORBELL", 0xF0)
    assert await host.read("DOORBELL") == 1
    assert await host.read("INTERRUPTS") == SocInterrupt.DOORBELL == int(dut.o_cpu_irq.value)
    await host.write("DOORBELL", 0)
    dut.i_accelerator_irq.value = 1
    assert await host.read("INTERRUPTS") == SocInterrupt.ACCELERATOR
    assert int(dut.o_link_irq.value) == 1
    await host.write("CPU_CONTROL", CpuControl.ACCELERATOR_TO_CPU)
    await bench.cycles(2)
    assert int(dut.o_link_irq.value) == 0
    assert await host.read("INTERRUPTS") == SocInterrupt.ACCELERATOR
    await host.write("NOTIFY", 1)
    await bench.cycles(2)
    assert int(dut.o_link_irq.value) == 1
    assert await host.read("NOTIFY") == 1
    await host.write("NOTIFY", 0)
    await bench.cycles(2)
    assert int(dut.o_link_irq.value) == 0


@bench_test(deadline_cycles=20_000)
async def counts_and_resets_the_cpu(bench: Bench) -> None:
    host, dut = Host(bench), bench.dut
    low, at = await host.read("CYCLES_LOW"), bench.cycle
    later, then = await host.read("CYCLES_LOW"), bench.cycle
    assert bench.stall or later - low == then - at
    assert await host.read("CYCLES_HIGH") == 0
    held: list[int] = []
    bench.add_agent(lambda: held.append(int(dut.o_cpu_reset.value)))
    await host.write("CPU_CONTROL", CpuControl.HOLD)
    await bench.cycles(3)
    assert int(dut.o_cpu_reset.value) == 1
    await host.write("CPU_CONTROL", 0)
    await bench.cycles(3)
    assert int(dut.o_cpu_reset.value) == 0
    held.clear()
    await host.write("BOOT_STATUS", 3)
    await host.write("WATCHDOG", 500)
    await bench.cycles(100)
    assert 300 < await host.read("WATCHDOG") < 400
    await host.write("WATCHDOG", 0)
    await bench.cycles(600)
    assert sum(held) == 0
    await host.write("WATCHDOG", 100)
    await bench.cycles(1000)
    assert sum(held) == CPU_RESET_CYCLES, "once"
    assert await host.read("WATCHDOG") == 0
    assert await host.read("BOOT_STATUS") == WATCHDOG_EXPIRED | 3


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_soc_registers(stall: float) -> None:
    run_cocotb(SocRegisters(), __file__, parameters={"stall": stall})
