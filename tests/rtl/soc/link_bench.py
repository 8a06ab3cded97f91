# SPDX-License-Identifier: Apache-2.0
"""The host's own session and device, talking to the gateware inside a simulation."""

from __future__ import annotations

from typing import Any

from cocotb.task import resume
from cocotbext.axi import AxiLiteBus, AxiLiteSlave

from weft.link.faults import FaultInjector
from weft_arch import registers
from weft_arch.config import Configuration
from weft_arch.registers import Control, Status
from weft_sim.axi_memory import AxiMemory
from weft_sim.bench import Bench, Stalls, StreamDriver, StreamMonitor

MEMORY_BYTES = 1 << 16
CLOCK_HZ = 40_000
"""A slow clock, so that what the host waits for is few cycles."""
PROGRAM_CYCLES = 700
_LINE_STALL = 0.6
"""A line is slower than memory; at a byte per cycle the receive buffer would run over."""


class Registers:
    """What the bridge's AXI4-Lite port reaches: plain registers, and a program that takes a while.

    Members:
        writes: how often each offset was written.
        runs: programs started.
    """

    def __init__(self, bench: Bench, config: Configuration) -> None:
        self._bench = bench
        self.values = {
            registers.offset("ID"): registers.ID_VALUE,
            registers.offset("VERSION"): registers.VERSION_VALUE,
        }
        self.writes: dict[int, int] = {}
        self.runs = 0
        self._ends = -1
        self.slave: Any = AxiLiteSlave(
            AxiLiteBus.from_prefix(bench.dut, "bus_"), bench.dut.clk, bench.dut.rst, target=self
        )
        for interface, name in (("write", "aw"), ("write", "w"), ("write", "b"), ("read", "ar")):
            stalls = Stalls(bench.stall, bench.random_for(name))
            port = getattr(getattr(self.slave, f"{interface}_if"), f"{name}_channel")
            port.set_pause_generator(iter(stalls.now, None))
        bench.dut.i_irq.value = 0
        bench.add_agent(self._at_edge)

    async def read(self, address: int, size: int, **_: Any) -> bytes:
        if address >= registers.WINDOW_BYTES:
            raise ValueError
        value = self.values.get(address, 0)
        if address == registers.offset("STATUS"):
            value = Status.RUNNING if self._ends >= 0 else Status.DONE
        elif address == registers.offset("CYCLES_LOW"):
            value = self._bench.cycle
        return (int(value) >> 8 * (address % 4)).to_bytes(4, "little")[:size]

    async def write(self, address: int, data: bytes, **_: Any) -> None:
        value = int.from_bytes(data, "little")
        self.values[address] = value
        self.writes[address] = self.writes.get(address, 0) + 1
        if address == registers.offset("CONTROL") and value & Control.START:
            self.runs += 1
            self._ends = self._bench.cycle + PROGRAM_CYCLES
        elif address == registers.offset("INTERRUPT_PENDING"):
            self._bench.dut.i_irq.value = 0

    def _at_edge(self) -> None:
        if 0 <= self._ends <= self._bench.cycle:
            self._ends = -1
            self._bench.dut.i_irq.value = 1


class BenchLine:
    """A line whose far end is the design, with faults both ways."""

    def __init__(self, bench: Bench, *, rate: float = 0.0) -> None:
        self._bench = bench
        self._driver = StreamDriver(bench, "i", stall=_LINE_STALL)
        self._monitor = StreamMonitor(bench, "o")
        self._taken = 0
        self.faults = [FaultInjector.seeded(f"{bench.seed}/{way}", rate) for way in ("to", "from")]
        self.name, self.session, self.now = "bench", 77, 0.0
        self.bytes_per_second = CLOCK_HZ / 5
        self.latency_seconds = 1000 / CLOCK_HZ

    @property
    def total_faults(self) -> int:
        return sum(f.total for f in self.faults)

    def send(self, data: bytes) -> None:
        self._driver.send_all(self.faults[0].damage(data))

    def receive(self, timeout: float) -> bytes:
        return self._receive(timeout)

    @resume
    async def _receive(self, timeout: float) -> bytes:
        until = self._bench.cycle + int(timeout * CLOCK_HZ) + 1
        received = self._monitor.received
        while len(received) == self._taken and self._bench.cycle < until:
            await self._bench.cycles(min(50, until - self._bench.cycle))
        data = bytes(received[self._taken :])
        self._taken = len(received)
        self.now = self._bench.cycle / CLOCK_HZ
        return self.faults[1].damage(data)

    def close(self) -> None:
        pass


class Board:
    """The design with memory, registers and a line to it."""

    def __init__(self, bench: Bench, config: Configuration, *, rate: float = 0.0) -> None:
        self.memory = AxiMemory(bench, "axi_", MEMORY_BYTES, max_beats=16, latency=20)
        self.registers = Registers(bench, config)
        self.line = BenchLine(bench, rate=rate)
