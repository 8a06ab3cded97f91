# SPDX-License-Identifier: Apache-2.0
"""Registers, counters, start, fault and reset through an AXI4-Lite manager."""

from __future__ import annotations

from typing import Any

import cocotb
import pytest
from cocotb.triggers import ValueChange
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from weft_arch import registers
from weft_arch.config import preset
from weft_arch.registers import COUNTERS, REGISTERS, Access, Control, Fault, Interrupt, Status
from weft_rtl.control.host_interface import HostInterface
from weft_rtl.interfaces import FaultReport
from weft_sim.bench import Bench, Stalls, bench_test, pack, run_cocotb

CONFIG = preset("tiny")
PLAIN = ("PROGRAM_BASE", "PROGRAM_LENGTH", "REGION_BASE", "REGION_LIMIT", "WRITE_BASE")


class Host:
    def __init__(self, bench: Bench) -> None:
        self.bench, self.dut = bench, bench.dut
        self.bus = AxiLiteMaster(
            AxiLiteBus.from_prefix(bench.dut, "bus_"), bench.dut.clk, bench.dut.rst
        )
        for channel in ("write_if.aw", "write_if.w", "write_if.b", "read_if.ar", "read_if.r"):
            interface, name = channel.split(".")
            stalls = Stalls(bench.stall, bench.random_for(channel))
            port = getattr(getattr(self.bus, interface), f"{name}_channel")
            port.set_pause_generator(iter(stalls.now, None))
        for name in ("i_halted", "i_fault", "i_program_counter", "i_scalar_value"):
            getattr(self.dut, name).value = 0
        self.dut.i_quiet.value = 1
        for index in range(len(COUNTERS)):
            if hasattr(self.dut, f"i_events__{index}"):
                getattr(self.dut, f"i_events__{index}").value = 0
        for index in range(6):
            getattr(self.dut, f"i_engine__{index}").value = 0
        self.starts = self.resets = 0
        bench.add_agent(self._watch)

    def _watch(self) -> None:
        self.starts += int(self.dut.o_start.value)
        self.resets += int(self.dut.o_machine_reset.value)

    async def read(self, name: str) -> int:
        return await self.bus.read_dword(registers.offset(name))

    async def write(self, name: str, value: int) -> None:
        await self.bus.write_dword(registers.offset(name), value)

    async def pulse(self, name: str, value: int = 1) -> None:
        port = getattr(self.dut, name)
        port.value = value
        await self.bench.cycles(1)
        port.value = 0

    async def counter(self, name: str) -> int:
        low = await self.read(f"{name}_LOW")
        return low | await self.read(f"{name}_HIGH") << 32

    async def until(self, mask: Status, value: Status) -> None:
        while await self.read("STATUS") & mask != value:
            pass

    async def start(self) -> None:
        self.dut.i_halted.value = 0
        await self.write("CONTROL", Control.START)
        await self.bench.cycles(5)


@bench_test(deadline_cycles=20_000)
async def keeps_registers(bench: Bench) -> None:
    host = Host(bench)
    assert await host.read("ID") == registers.ID_VALUE
    assert await host.read("VERSION") == registers.VERSION_VALUE
    low, high = await host.read("FINGERPRINT_LOW"), await host.read("FINGERPRINT_HIGH")
    assert low | high << 32 == CONFIG.fingerprint
    assert await host.read("GEOMETRY") == 4 | 8 << 8 | 10 << 16
    values = {name: bench.random.getrandbits(32) for name in PLAIN}
    for name, value in values.items():
        await host.write(name, value)
    for register in REGISTERS.values():  # writing these changes nothing
        if register.access == Access.READ_ONLY:
            await host.bus.write_dword(register.offset, 0xFFFF_FFFF)
    for name, value in values.items():
        assert await host.read(name) == value
    # Single bytes and halves.
    offset, value = registers.offset("WRITE_LIMIT"), 0
    await host.write("WRITE_LIMIT", 0)
    for _ in range(20):
        at, size = bench.random.choice([(0, 1), (1, 1), (2, 1), (3, 1), (0, 2), (2, 2), (1, 3)])
        raw = bench.random.randbytes(size)
        await host.bus.write(offset + at, raw)
        mask = ((1 << 8 * size) - 1) << 8 * at
        value = value & ~mask | int.from_bytes(raw, "little") << 8 * at
        assert await host.read("WRITE_LIMIT") == value == int(bench.dut.o_write_limit.value)
    # What the machine shows.
    for index, name in enumerate(("SEQUENCER", "STREAM", "COMPUTE", "VECTOR", "LOAD", "STORE")):
        word = bench.random.getrandbits(24)
        getattr(bench.dut, f"i_engine__{index}").value = word
        assert await host.read(f"ENGINE_{name}") == word
    bench.dut.i_program_counter.value = 4097
    assert await host.read("PROGRAM_COUNTER") == 4097
    # Outside: holes read 0, beyond the window is an error.
    assert await host.bus.read_dword(0x3FC) == 0
    assert await host.bus.read_dword(0x078) == 0
    for offset in (0x400, 0xFFC):
        assert (await host.bus.read(offset, 4)).resp == AxiResp.DECERR
        assert (await host.bus.write(offset, b"1234")).resp == AxiResp.DECERR
    assert host.starts == 0


@bench_test(deadline_cycles=20_000)
async def reaches_scalars(bench: Bench) -> None:
    host = Host(bench)
    scalars = [bench.random.getrandbits(32) for _ in range(16)]
    model = list(scalars)

    def memory() -> None:
        index = int(bench.dut.o_scalar_index.value)
        if int(bench.dut.o_scalar_write.value):
            scalars[index] = int(bench.dut.o_scalar_value.value)
            bench.dut.i_scalar_value.value = scalars[index]

    async def follow() -> None:
        while True:
            bench.dut.i_scalar_value.value = scalars[int(bench.dut.o_scalar_index.value)]
            await ValueChange(bench.dut.o_scalar_index)

    bench.add_agent(memory)
    cocotb.start_soon(follow())
    for _ in range(40):
        index, at = bench.random.randrange(16), bench.random.randrange(4)
        byte = bench.random.randrange(256)
        await host.bus.write(registers.scalar_offset(index) + at, bytes([byte]))
        model[index] = model[index] & ~(255 << 8 * at) | byte << 8 * at
        other = bench.random.randrange(16)
        assert await host.bus.read_dword(registers.scalar_offset(other)) == model[other]
    assert scalars == model
    await host.start()
    await host.write("SCALAR_5", ~model[5] & 0xFFFF_FFFF)
    assert scalars == model, "not while running"


@bench_test(deadline_cycles=40_000)
async def runs_and_faults(bench: Bench) -> None:
    host = Host(bench)
    dut = bench.dut
    await host.until(Status.RESETTING, Status(0))
    assert await host.read("STATUS") == 0
    await host.start()
    assert host.starts == 1
    await host.start()
    assert host.starts == 1, "ignored while running"
    assert await host.read("STATUS") == Status.RUNNING
    await host.pulse("i_halted")
    await host.until(Status.DONE, Status.DONE)
    assert await host.read("STATUS") == Status.DONE
    assert not int(dut.o_irq.value), "not enabled"
    assert await host.read("INTERRUPT_PENDING") == Interrupt.DONE
    await host.write("INTERRUPT_ENABLE", Interrupt.DONE | Interrupt.FAULT)
    await bench.cycles(2)
    assert int(dut.o_irq.value)
    await host.write("INTERRUPT_PENDING", Interrupt.FAULT)
    assert int(dut.o_irq.value)
    await host.write("INTERRUPT_PENDING", Interrupt.DONE)
    await bench.cycles(2)
    assert not int(dut.o_irq.value)

    await host.start()
    first = {"valid": 1, "cause": Fault.READ_ERROR, "address": 0x1234_5678}
    await host.pulse("i_fault", pack(FaultReport, first))
    await host.pulse("i_fault", pack(FaultReport, {**first, "cause": 1, "address": 9}))
    await bench.cycles(1)
    assert int(dut.o_stop.value)
    await host.pulse("i_halted")
    await host.until(Status.FAULT, Status.FAULT)
    assert await host.read("STATUS") == Status.FAULT
    assert await host.read("FAULT_CAUSE") == Fault.READ_ERROR
    assert await host.read("FAULT_ADDRESS") == 0x1234_5678
    assert await host.read("INTERRUPT_PENDING") == Interrupt.FAULT
    assert int(dut.o_irq.value)
    await host.start()
    assert host.starts == 2, "ignored until reset"

    dut.i_quiet.value = 0
    resets = host.resets
    await host.write("PROGRAM_BASE", 0xABCD)
    await host.write("CONTROL", Control.RESET | Control.START)
    await bench.cycles(100)
    assert await host.read("STATUS") == Status.RESETTING
    assert host.resets == resets
    assert host.starts == 2
    dut.i_quiet.value = 1
    await host.until(Status.RESETTING, Status(0))
    assert host.resets > resets
    assert await host.read("STATUS") == 0
    assert await host.read("FAULT_CAUSE") == Fault.NONE
    assert await host.read("PROGRAM_BASE") == 0xABCD
    assert await host.read("INTERRUPT_ENABLE") == 3
    await host.start()
    assert host.starts == 3
    await host.write("CONTROL", Control.RESET)  # from a hung program
    await host.until(Status.RESETTING, Status(0))
    assert await host.read("STATUS") == 0


@bench_test(deadline_cycles=40_000)
async def counts(bench: Bench) -> None:
    host = Host(bench)
    dut, rng = bench.dut, bench.random
    names = list(COUNTERS)
    limits = {"BYTES_READ": 8, "BYTES_WRITTEN": 8, "STREAM_BYTES": 8}
    model = dict.fromkeys(names, 0)
    running = [False, False]

    def events() -> None:
        # i_events of the cycle that ends now count if the machine runs in it.
        running[0] |= bool(int(dut.o_start.value))
        for index, name in enumerate(names[1:], 1):
            port = getattr(dut, f"i_events__{index}")
            if running[0]:
                model[name] += int(port.value)
            port.value = rng.randint(0, limits.get(name, 1)) if running[1] else 0
        model["CYCLES"] += running[0]
        if int(dut.i_halted.value) and running[0]:
            running[0] = False

    bench.add_agent(events)
    running[1] = True
    for clear in (False, True, False):
        if clear:
            await host.write("CONTROL", Control.CLEAR_COUNTERS)
            model.update(dict.fromkeys(names, 0))
            for name in rng.sample(names, 3):
                assert await host.counter(name) == 0
        await host.start()
        await bench.cycles(rng.randint(300, 900))
        for _ in range(10):  # values grow while running
            assert await host.counter("CYCLES") <= model["CYCLES"]
        await host.pulse("i_halted")
        await host.until(Status.DONE, Status.DONE)
        for name in names:
            assert await host.counter(name) == model[name], name
        assert model["STREAM_BYTES"] > 500


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(
    "name", ["keeps_registers", "reaches_scalars", "runs_and_faults", "counts"]
)
def test_host_interface(name: str, stall: float) -> None:
    parameters: dict[str, Any] = {"stall": stall}
    run_cocotb(HostInterface(CONFIG), __file__, tests=name, parameters=parameters)
