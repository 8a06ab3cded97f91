# SPDX-License-Identifier: Apache-2.0
"""The AXI4 port: order, priority, checks, errors, quiescence and throughput."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from weft_arch.config import Configuration, preset
from weft_arch.registers import Fault
from weft_rtl.dma.axi import axi4_signature, connect_flat, flat_members
from weft_rtl.dma.memory_port import MemoryPort
from weft_rtl.dma.ports import Burst, Transfer, write_beat
from weft_rtl.interfaces import FaultReport
from weft_sim.axi_memory import AxiMemory
from weft_sim.bench import Bench, Packer, StreamDriver, bench_test, run_cocotb

SIZE = 1 << 16
CLIENTS = ("fetch", "load", "stream")


class FlatMemoryPort(wiring.Component):
    """The memory port with its bus under the usual names."""

    def __init__(self, config: Configuration) -> None:
        self._port = MemoryPort(config)
        members = dict(self._port.signature.members)
        del members["axi"]
        self._names = list(members)
        super().__init__({**members, **flat_members("m_axi", axi4_signature(config))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.port = self._port
        connect_flat(m, self, "m_axi", self._port.axi)
        for name in self._names:
            inner, outer = getattr(self._port, name), getattr(self, name)
            if self.signature.members[name].is_signature:
                connect(m, inner, flipped(outer))
            elif name.startswith("i_"):
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        return m


class Surroundings:
    """Drivers of the clients, what came back to each, and the memory."""

    def __init__(self, bench: Bench, *, memory: Callable[..., Any] | None = None) -> None:
        dut = bench.dut
        self.bench = bench
        self.config = Configuration(**bench.parameters["config"])
        for name, value in (
            ("i_region_base", 0x1000),
            ("i_region_limit", SIZE - 64),
            ("i_write_base", 0x4000),
            ("i_write_limit", 0xC000),
            ("i_quiesce", 0),
            ("i_stream_low", 0),
        ):
            getattr(dut, name).value = value
        self.reads = {name: StreamDriver(bench, f"{name}__burst", Burst) for name in CLIENTS}
        self.received: dict[str, list[int]] = {name: [] for name in CLIENTS}
        self.received_cycles: dict[str, list[int]] = {name: [] for name in CLIENTS}
        self.commands = StreamDriver(bench, "write__command", Transfer)
        self.data = StreamDriver(bench, "write__data", write_beat(self.config))
        self.done = 0
        self.faults: list[dict[str, int]] = []
        self.counted = {"o_read_beat": 0, "o_write_beat": 0, "o_written_bytes": 0}
        self.idle_cycles = 0
        self._fault = Packer(FaultReport)
        bench.add_agent(self._watch)
        bench.add_report(lambda: f"faults: {self.faults}, done: {self.done}")
        contents = np.random.default_rng(bench.seed).integers(0, 256, SIZE, np.uint8)
        self.memory: Any = None
        if memory is None:
            self.memory = AxiMemory(bench, "m_axi", SIZE, max_beats=self.config.max_burst_beats)
            self.memory.data[:] = contents
        self.contents = contents

    def _watch(self) -> None:
        dut = self.bench.dut
        for name in CLIENTS:
            if int(getattr(dut, f"{name}__valid").value):
                self.received[name].append(int(getattr(dut, f"{name}__data").value))
                self.received_cycles[name].append(self.bench.cycle)
        self.done += int(dut.write__done.value)
        for name in self.counted:
            self.counted[name] += int(getattr(dut, name).value)
        self.idle_cycles += int(dut.o_read_idle.value)
        fault = self._fault.unpack(int(dut.fault.value))
        if fault["valid"]:
            self.faults.append(fault)

    def expected(self, bursts: list[dict[str, int]]) -> list[int]:
        """The beats of bursts, from the memory's contents at the start."""
        beat = self.config.beat_bytes
        return [
            int.from_bytes(self.contents[at : at + beat].tobytes(), "little")
            for b in bursts
            for at in range(b["address"], b["address"] + b["beats"] * beat, beat)
        ]

    def random_bursts(self, count: int) -> list[dict[str, int]]:
        draw, config = self.bench.random.randrange, self.config
        bursts = []
        for _ in range(count):
            start = draw(config.max_burst_beats)
            page = draw(0x1000 // (config.beat_bytes * config.max_burst_beats), SIZE // 1024)
            address = (page * config.max_burst_beats + start) * config.beat_bytes
            bursts.append(
                {"address": address, "beats": draw(1, config.max_burst_beats - start + 1)}
            )
        return bursts

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.bench.cycles()


def transfer(address: int, beats: int, last: int = 0) -> dict[str, int]:
    return {"address": address, "beats": beats, "last": last}


@bench_test(deadline_cycles=30_000)
async def reads_and_writes(bench: Bench) -> None:
    s = Surroundings(bench)
    beat = s.config.beat_bytes
    wanted = {name: s.random_bursts(40 if name == "stream" else 12) for name in CLIENTS}
    for name, bursts in wanted.items():
        s.reads[name].send_all(bursts)
    # Writes to memory that is not read: what the reads see stays as it was.
    draw = bench.random.randrange
    image, counts = s.memory.data.copy(), np.zeros(SIZE, np.uint16)
    commands, strobes = [], 0
    wanted_addresses = [b for bursts in wanted.values() for b in bursts]
    busy = np.zeros(SIZE, bool)
    for b in wanted_addresses:
        busy[b["address"] : b["address"] + b["beats"] * beat] = True
    while len(commands) < 25:
        beats = draw(1, 3 * s.config.max_burst_beats) if draw(2) else 1
        address = draw(0x4000 // beat, 0xC000 // beat - beats) * beat
        if busy[address : address + beats * beat].any():
            continue
        busy[address : address + beats * beat] = True
        commands.append(transfer(address, beats, len(commands) % 3 == 0))
        for k in range(beats):
            data, strobe = draw(1 << (8 * beat)), draw(1 << beat)
            s.data.send({"data": data, "strobe": strobe})
            strobes += strobe.bit_count()
            for lane in range(beat):
                if strobe >> lane & 1:
                    image[address + k * beat + lane] = data >> (8 * lane) & 255
                    counts[address + k * beat + lane] += 1
    s.commands.send_all(commands)
    n_last = sum(c["last"] for c in commands)
    await s.until(lambda: s.done == n_last)
    for name, bursts in wanted.items():
        expected = s.expected(bursts)
        await s.until(lambda n=name, e=expected: len(s.received[n]) >= len(e))
        assert s.received[name] == expected
    await bench.cycles(100)
    assert int(bench.dut.o_quiet.value) == 1
    assert not s.faults
    assert np.array_equal(s.memory.data, image)
    assert np.array_equal(s.memory.written, counts)
    assert s.done == n_last
    n_beats = sum(b["beats"] for b in wanted_addresses)
    assert s.counted["o_read_beat"] == n_beats
    assert s.counted["o_write_beat"] == sum(c["beats"] for c in commands)
    assert s.counted["o_written_bytes"] == strobes
    assert [n for _, n, _ in s.memory.reads if n > s.config.max_burst_beats] == []


@bench_test(deadline_cycles=3_000)
async def streams_at_full_rate(bench: Bench) -> None:
    s = Surroundings(bench)
    n, beat = s.config.max_burst_beats, s.config.beat_bytes
    bursts = [{"address": 0x1000 + k * n * beat, "beats": n} for k in range(1024 // n)]
    s.reads["stream"].send_all(bursts)
    await s.until(lambda: len(s.received["stream"]) == 1024)
    cycles = s.received_cycles["stream"]
    rate = 1023 / (cycles[-1] - cycles[0])
    assert rate >= 0.97, f"{rate:.3f} beats per cycle"
    assert s.received["stream"] == s.expected(bursts)
    # from the first burst's offer to its data: the port's own latency beside the memory's
    assert cycles[0] - s.memory.reads[0][2] <= 43


@bench_test(deadline_cycles=3_000)
async def loads_overtake_the_stream(bench: Bench) -> None:
    s = Surroundings(bench)
    n, beat = s.config.max_burst_beats, s.config.beat_bytes
    s.reads["stream"].send_all(
        {"address": 0x1000 + k * n * beat, "beats": n} for k in range(1024 // n)
    )
    await bench.cycles(200)
    s.reads["load"].send({"address": 0x8000, "beats": 4})
    s.reads["fetch"].send({"address": 0x9000, "beats": 4})
    asked = bench.cycle
    await s.until(lambda: len(s.received["stream"]) == 1024)
    at = {address: k for k, (address, _, _) in enumerate(s.memory.reads)}
    assert at[0x8000] < len(s.memory.reads) - 3
    issued = next(cycle for address, _, cycle in s.memory.reads if address == 0x8000)
    assert issued - asked < 12 + n, "the load waited behind the stream"
    # What was asked for before it comes first, no more.
    assert s.received_cycles["load"][0] - asked < 128 + 3 * n + 60
    assert s.received["load"] == s.expected([{"address": 0x8000, "beats": 4}])
    assert s.received["fetch"] == s.expected([{"address": 0x9000, "beats": 4}])


@bench_test(deadline_cycles=3_000)
async def a_low_stream_takes_turns_with_loads(bench: Bench) -> None:
    s = Surroundings(bench)
    n, beat = s.config.max_burst_beats, s.config.beat_bytes
    count = 512 // n
    for low in (0, 1):
        bench.dut.i_stream_low.value = low
        began = len(s.memory.reads)
        for name, base in (("stream", 0x1000), ("load", 0x8000)):
            s.reads[name].send_all(
                {"address": base + k * n * beat, "beats": n} for k in range(count)
            )
        await s.until(lambda b=began: len(s.memory.reads) == b + 2 * count)
        loads = [address >= 0x8000 for address, _, _ in s.memory.reads[began:]]
        # The first burst or two are whosever came first.
        if low:
            assert sum(loads[2 : count + 2]) == count // 2
        else:
            assert sum(loads[: count + 2]) >= count - 1


@bench_test(deadline_cycles=3_000)
async def single_beat_writes_overlap(bench: Bench) -> None:
    s = Surroundings(bench)
    beat = s.config.beat_bytes
    for k in range(200):
        s.commands.send(transfer(0x4000 + 32 * k, 1, k == 199))
        s.data.send({"data": 0, "strobe": 1})
    await s.until(lambda: s.done == 1)
    first, last = s.memory.writes[0][2], s.memory.writes[-1][2]
    assert last - first < 200 * 2 + 5
    assert s.memory.written[0x4000 : 0x4000 + 32 * 200 : 32].all()
    s.commands.send(transfer(0x8000, 1024, 1))
    for k in range(1024):
        s.data.send({"data": k, "strobe": (1 << beat) - 1})
    start = bench.cycle
    await s.until(lambda: s.done == 2)
    assert bench.cycle - start < 1024 / 0.97 + 60


FAULTS = {
    # name: (client, address of the transfer, beats, address of the fault, cause)
    "unaligned": ("load", 0x2002, 2, 0x2002, Fault.UNALIGNED_ADDRESS),
    "below": ("fetch", 0xFF0, 1, 0xFF0, Fault.ADDRESS_OUT_OF_RANGE),
    "beyond": ("stream", SIZE - 128, 16, SIZE - 128, Fault.ADDRESS_OUT_OF_RANGE),
    "wrap": ("load", (1 << 32) - 64, 8, (1 << 32) - 64, Fault.ADDRESS_OUT_OF_RANGE),
    "write_unaligned": ("write", 0x4001, 1, 0x4001, Fault.UNALIGNED_ADDRESS),
    "write_below": ("write", 0x3F80, 1, 0x3F80, Fault.ADDRESS_OUT_OF_RANGE),
    "write_beyond": ("write", 0xBF80, 64, 0xC000, Fault.ADDRESS_OUT_OF_RANGE),
    "read_error": ("stream", 0x5100, 8, 0x5100, Fault.READ_ERROR),
    "write_error": ("write", 0x5100, 8, 0x5100, Fault.WRITE_ERROR),
}


@bench_test(deadline_cycles=3_000)
async def fault(bench: Bench) -> None:
    client, address, beats, place, cause = FAULTS[bench.parameters["fault"]]
    s = Surroundings(bench)
    if cause in (Fault.READ_ERROR, Fault.WRITE_ERROR):
        s.memory.bad.add(address)
    s.reads["stream"].send({"address": 0x2000, "beats": 8})
    s.commands.send(transfer(0x6000, 4, 1))
    for _ in range(4):
        s.data.send({"data": 1, "strobe": 1})
    await s.until(lambda: s.done == 1 and len(s.received["stream"]) == 8)
    if client == "write":
        s.commands.send(transfer(address, beats, 1))
        for _ in range(beats):
            s.data.send({"data": 1, "strobe": 1})
    else:
        s.reads[client].send({"address": address, "beats": beats})
    await s.until(lambda: bool(s.faults))
    assert s.faults == [{"valid": 1, "cause": cause, "address": place}]
    # Nothing more is issued, neither reads nor writes; what was issued completes.
    await bench.cycles(60)
    n_reads, n_writes = len(s.memory.reads), len(s.memory.writes)
    assert int(bench.dut.o_quiet.value) == 1
    s.reads["load"].send({"address": 0x2000, "beats": 8})
    s.commands.send(transfer(0x6000, 1, 1))
    s.data.send({"data": 1, "strobe": 1})
    await bench.cycles(60)
    assert (len(s.memory.reads), len(s.memory.writes)) == (n_reads, n_writes)
    assert len(s.faults) == 1
    assert s.done == 1, "a write that failed is not done"
    # A reset clears the fault.
    await bench.reset()
    before = len(s.received["load"])
    s.reads["load"].send({"address": 0x3000, "beats": 8})
    await s.until(lambda: len(s.received["load"]) == before + 8)


@bench_test(deadline_cycles=10_000)
async def quiesces(bench: Bench) -> None:
    s = Surroundings(bench)
    n, beat = s.config.max_burst_beats, s.config.beat_bytes
    bursts = [{"address": 0x1000 + k * n * beat, "beats": n} for k in range(1024 // n)]
    s.reads["stream"].send_all(bursts)
    s.commands.send(transfer(0x8000, 256, 1))
    for _ in range(100):  # the client stops in the middle of its data
        s.data.send({"data": 1, "strobe": 1})
    await bench.cycles(bench.random.randrange(100, 160))
    bench.dut.i_quiesce.value = 1
    await bench.cycles(2)
    n_reads, n_writes = len(s.memory.reads), len(s.memory.writes)
    await s.until(lambda: int(bench.dut.o_quiet.value) == 1)
    # an address already offered is all that may still be transferred
    assert len(s.memory.reads) <= n_reads + 1
    assert len(s.memory.writes) <= n_writes + 1
    assert len(s.received["stream"]) == n * len(s.memory.reads)
    sent = sum(beats for _, beats, _ in s.memory.writes)
    assert s.counted["o_write_beat"] == sent
    await bench.cycles(100)
    assert int(bench.dut.o_quiet.value) == 1
    bench.dut.i_quiesce.value = 0
    for _ in range(156):
        s.data.send({"data": 1, "strobe": 1})
    await s.until(lambda: s.done == 1 and len(s.received["stream"]) == 1024)
    assert s.received["stream"] == s.expected(bursts)


@bench_test(deadline_cycles=20_000)
async def works_with_another_memory(bench: Bench) -> None:
    """Against the memory model of cocotbext-axi, which nobody here wrote."""
    from cocotbext.axi import AxiBus, AxiRam

    s = Surroundings(bench, memory=AxiRam)
    ram = AxiRam(AxiBus.from_prefix(bench.dut, "m_axi"), bench.dut.clk, bench.dut.rst, size=SIZE)
    ram.write(0, s.contents.tobytes())
    if bench.stall:
        for name in ["ar", "r"]:
            channel = getattr(ram.read_if, f"{name}_channel")
            channel.set_pause_generator(_pauses(bench, name))
        for name in ["aw", "w", "b"]:
            channel = getattr(ram.write_if, f"{name}_channel")
            channel.set_pause_generator(_pauses(bench, name))
    wanted = {name: s.random_bursts(10) for name in CLIENTS}
    for name, bursts in wanted.items():
        s.reads[name].send_all(b for b in bursts)
    for name, bursts in wanted.items():
        expected = s.expected(bursts)
        await s.until(lambda n=name, e=expected: len(s.received[n]) >= len(e))
        assert s.received[name] == expected
    beat = s.config.beat_bytes
    image = s.contents.copy()
    for k in range(10):
        s.commands.send(transfer(0x5000 + 776 * k, 7 * k + 1, k == 9))
        for j in range(7 * k + 1):
            data = bench.random.getrandbits(8 * beat)
            s.data.send({"data": data, "strobe": (1 << (beat - 1)) - 1})
            at = 0x5000 + 776 * k + j * beat
            image[at : at + beat - 1] = list(data.to_bytes(beat, "little"))[:-1]
    await s.until(lambda: s.done == 1)
    assert ram.read(0, SIZE) == image.tobytes()
    assert not s.faults


def _pauses(bench: Bench, name: str) -> Any:
    rng = bench.random_for(f"pause/{name}")
    while True:
        yield int(rng.random() < bench.stall)


@pytest.mark.parametrize("name", ["tiny", "default"])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_memory_port(name: str, stall: float) -> None:
    config = preset(name)
    tests = ["reads_and_writes", "quiesces", "works_with_another_memory"]
    if stall == 0.0:
        tests += ["streams_at_full_rate", "loads_overtake_the_stream"]
        tests += ["a_low_stream_takes_turns_with_loads", "single_beat_writes_overlap"]
    run_cocotb(
        FlatMemoryPort(config),
        __file__,
        tests=",".join(tests),
        parameters={"stall": stall, "config": config},
    )


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    run_cocotb(
        FlatMemoryPort(preset("default")),
        __file__,
        tests="fault",
        parameters={"config": preset("default"), "fault": name},
    )
