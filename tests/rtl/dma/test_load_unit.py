# SPDX-License-Identifier: Apache-2.0
"""LOAD from memory to the words of the vector memory: formats, gather, order and throughput."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from numpy.typing import NDArray

from weft_arch import float24, layouts
from weft_arch.config import BLOCK, Configuration, preset
from weft_arch.encoding import encode
from weft_arch.isa import ARGUMENT_BASE, Load, LoadFormat
from weft_arch.registers import Fault
from weft_rtl.dma.axi import axi4_signature, connect_flat, flat_members
from weft_rtl.dma.load_unit import LoadUnit
from weft_rtl.dma.memory_port import MemoryPort
from weft_rtl.interfaces import FaultReport, ResolvedInstruction, engine_signature, vector_write
from weft_sim.axi_memory import AxiMemory
from weft_sim.bench import Bench, Packer, StreamDriver, StreamMonitor, bench_test, run_cocotb

SIZE = 1 << 17
NUMBERS = SIZE - 8192
"""Where the tests keep row numbers."""

CONFIGS = {
    "tiny": preset("tiny"),
    "default": preset("default"),
    "wide": replace(preset("default"), array_cols=16, beat_bytes=16, max_burst_beats=8),
    "narrow": replace(preset("tiny"), beat_bytes=4, max_burst_beats=2),
}


class LoadPath(wiring.Component):
    """Load unit and memory port."""

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                **flat_members("m_axi", axi4_signature(config)),
                "engine": Out(engine_signature()),
                "o": Out(stream.Signature(vector_write(config))),
                "port_fault": Out(FaultReport),
                "i_limit": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = m.submodules.port = MemoryPort(self._config)
        unit = m.submodules.unit = LoadUnit(self._config)
        connect_flat(m, self, "m_axi", port.axi)
        connect(m, unit.read, port.load)
        connect(m, unit.vector_write, flipped(self.o))
        connect(m, unit.engine, flipped(self.engine))
        m.d.comb += [port.i_region_limit.eq(self.i_limit), self.port_fault.eq(port.fault)]
        return m


def resolved(load: Load, aux_a: int = 0) -> dict[str, int]:
    """A LOAD as the sequencer would hand it over."""
    word = int.from_bytes(encode(load), "little")
    return {
        "opcode": load.opcode,
        "address": load.address,
        "count": load.count,
        "aux_a": aux_a,
        "arguments": word >> ARGUMENT_BASE,
    }


def row_bytes(config: Configuration, load: Load) -> int:
    dim = load.words * config.lanes
    if load.format == LoadFormat.Q8:
        return layouts.q8_row_bytes(config, dim)
    return dim * (4 if load.format == LoadFormat.F32 else 2)


class LoadModel:
    """The writes that a LOAD makes."""

    def __init__(self, config: Configuration, memory: NDArray[np.uint8]) -> None:
        self._config = config
        self._memory = memory

    def writes(self, load: Load, aux_a: int = 0) -> list[dict[str, object]]:
        config, result = self._config, []
        for r in range(load.count):
            number = r
            if load.gather:
                number = int(self._memory[aux_a + 4 * r : aux_a + 4 * r + 4].view("<u4")[0])
            at = load.address + number * load.row_bytes
            raw = self._memory[at : at + row_bytes(config, load)]
            words = float24.encode(self._row(load, raw)).reshape(-1, config.lanes)
            for w, word in enumerate(words):
                address = (load.destination + r * load.destination_stride + w) % (1 << 14)
                result.append({"address": address, "data": [int(x) for x in word]})
        return result

    def _row(self, load: Load, raw: NDArray[np.uint8]) -> NDArray[np.float32]:
        if load.format == LoadFormat.F32:
            return float24.from_float32(raw.copy().view("<f4"))
        if load.format == LoadFormat.F16:
            return float24.from_float16_bits(raw.copy().view("<u2"))
        dim = load.words * self._config.lanes
        scales = float24.from_float16_bits(raw[: dim // BLOCK * 2].copy().view("<u2"))
        codes = raw[-dim:].view(np.int8).astype(np.float32)
        return float24.multiply(codes, np.repeat(scales, BLOCK))


class Path:
    """The bench around the load path."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.config = Configuration(**bench.parameters["config"])
        bench.dut.i_limit.value = SIZE
        self.memory = AxiMemory(bench, "m_axi", SIZE, max_beats=self.config.max_burst_beats)
        rng = np.random.default_rng(bench.seed)
        self.memory.data[:] = rng.integers(0, 256, SIZE, np.uint8)
        self.model = LoadModel(self.config, self.memory.data)
        self.expected: list[dict[str, object]] = []
        self.instructions = StreamDriver(bench, "engine__instruction", ResolvedInstruction)
        self.words = StreamMonitor(bench, "o", vector_write(self.config))
        self.done_cycles: list[int] = []
        self.faults: list[dict[str, int]] = []
        self._fault = Packer(FaultReport)
        bench.add_agent(self._watch)

    def run(self, load: Load, aux_a: int = 0) -> None:
        self.instructions.send(resolved(load, aux_a))
        self.expected += self.model.writes(load, aux_a)

    def _watch(self) -> None:
        dut = self.bench.dut
        if int(dut.engine__done.value):
            self.done_cycles.append(self.bench.cycle)
        for port in (dut.engine__fault, dut.port_fault):
            fault = self._fault.unpack(int(port.value))
            if fault["valid"]:
                self.faults.append(fault)

    async def until_done(self, count: int) -> None:
        while len(self.done_cycles) < count:
            await self.bench.cycles()


@bench_test(deadline_cycles=60_000)
async def loads(bench: Bench) -> None:
    path = Path(bench)
    draw, config = bench.random.randrange, path.config
    beat, per_block = config.beat_bytes, config.words_per_block
    n_loads = 30
    at = NUMBERS
    for k in range(n_loads):
        form = bench.random.choice(list(LoadFormat))
        words = draw(1, 8) * per_block if form == LoadFormat.Q8 else draw(1, 20)
        load = Load(
            address=draw(SIZE // 4 // beat) * beat,
            count=bench.random.choice([0, 1, 2, 3, 5]),
            format=form,
            words=words,
            destination=draw(1 << 14),
            destination_stride=draw(1 << 12),
            row_bytes=draw(1024 // beat) * beat,
            gather=int(k % 3 == 0),
        )
        if load.gather:
            at += 4 * draw(4)
            numbers = np.array([draw(24) for _ in range(load.count)], "<u4")
            path.memory.data[at : at + 4 * load.count] = numbers.view(np.uint8)
        path.run(load, at)
        at += 4 * load.count
    await path.words.expect(path.expected)
    await path.until_done(n_loads)
    await bench.cycles(20)
    assert len(path.done_cycles) == n_loads
    assert int(bench.dut.engine__busy.value) == 0
    assert not path.faults


@bench_test(deadline_cycles=40_000)
async def converts_corners(bench: Bench) -> None:
    """Every exponent of both float formats with fractions about the rounding points, and every
    code with odd scales."""
    path = Path(bench)
    config = path.config
    singles = np.array(
        [
            sign << 31 | exponent << 23 | fraction
            for exponent in (0, 1, 2, 127, 253, 254, 255)
            for fraction in (0, 1, 0x7F, 0x80, 0x81, 0x17F, 0x180, 0x7FFF7F, 0x7FFF80, 0x7FFFFF)
            for sign in (0, 1)
        ],
        "<u4",
    )
    halves = np.array(
        [
            sign << 15 | exponent << 10 | fraction
            for exponent in range(32)
            for fraction in (0, 1, 2, 0x155, 0x1FF, 0x200, 0x3FF)
            for sign in (0, 1)
        ],
        "<u2",
    )
    at = 0
    for raw, form in ((singles, LoadFormat.F32), (halves, LoadFormat.F16)):
        size = raw.itemsize * config.lanes
        words = raw.nbytes // size
        path.memory.data[at : at + words * size] = raw.view(np.uint8)[: words * size]
        path.run(Load(address=at, count=1, format=form, words=words))
        at += -(-raw.nbytes // 64) * 64
    # 40 blocks of Q8 with scales of all sizes, subnormal ones too
    words = 40 * config.words_per_block
    scales = bench.random.sample(range(1 << 16), 40)
    path.memory.data[at : at + 80] = np.array(scales, "<u2").view(np.uint8)
    codes = np.resize(np.arange(-128, 128, dtype=np.int8), words * config.lanes)
    start = at + layouts.q8_row_bytes(config, words * config.lanes) - len(codes)
    path.memory.data[start : start + len(codes)] = codes.view(np.uint8)
    path.run(Load(address=at, count=1, format=LoadFormat.Q8, words=words))
    await path.words.expect(path.expected)


@bench_test(deadline_cycles=10_000)
async def keeps_its_rate(bench: Bench) -> None:
    path = Path(bench)
    config, beat = path.config, path.config.beat_bytes
    for form, per_step, latency in (
        (LoadFormat.F32, beat // 4, 1),
        (LoadFormat.F16, beat // 2, 1),
        (LoadFormat.Q8, beat // 4, 5),
    ):
        # Two words are in work at once, from the first step to the vector memory.
        steps = config.lanes // per_step
        cycles_per_word = max(steps, (steps + latency + 1) / 2)
        words = 8 * config.words_per_block
        load = Load(address=0x2000, count=8, format=form, words=words, destination_stride=words)
        size = row_bytes(config, load)
        load = Load(
            address=0x2000,
            count=4,
            format=form,
            words=words,
            destination_stride=words,
            row_bytes=size + 3 * beat,
        )
        first = len(path.memory.read_cycles)
        start = len(path.words.received)
        # two instructions in a row: the second one's rows come without a gap
        path.run(load)
        path.run(load)
        await path.until_done(2 + len(path.done_cycles))
        beats = 2 * 4 * size // beat
        assert len(path.memory.read_cycles) - first == beats
        cycles = path.words.received_cycles
        spent = cycles[-1] - cycles[start]
        # A row of Q8 waits a few cycles for its first scale.
        most = 8 * words * cycles_per_word + (8 * 6 if form == LoadFormat.Q8 else 0)
        assert spent <= most / 0.97, f"{form.name}: {spent} cycles for {beats} beats"
    await path.words.expect(path.expected)


@bench_test(deadline_cycles=10_000)
async def gathers_many_rows(bench: Bench) -> None:
    """More row numbers than a chunk holds, from every place in a beat."""
    path = Path(bench)
    draw = bench.random.randrange
    at = NUMBERS
    for offset in range(0, 16, 4):
        numbers = np.array([draw(512) for _ in range(75)], "<u4")
        address = at + offset
        path.memory.data[address : address + numbers.nbytes] = numbers.view(np.uint8)
        path.run(
            Load(
                address=256,
                count=75,
                words=1,
                format=LoadFormat.F16,
                gather=1,
                row_bytes=64,
                destination_stride=1,
            ),
            address,
        )
        at += 512
    await path.words.expect(path.expected)
    await path.until_done(4)


ILLEGAL = {
    "words": (Load(address=0, count=1, words=0), 0, Fault.ILLEGAL_OPERAND, Load.opcode),
    "broken_block": (
        Load(address=0, count=1, words=1, format=LoadFormat.Q8),
        0,
        Fault.ILLEGAL_OPERAND,
        Load.opcode,
    ),
    "numbers": (Load(count=1, words=1, gather=1), 0x1002, Fault.UNALIGNED_ADDRESS, 0x1002),
    "row": (Load(address=0x1004, count=1, words=2), 0, Fault.UNALIGNED_ADDRESS, 0x1004),
    "region": (Load(address=SIZE, count=1, words=2), 0, Fault.ADDRESS_OUT_OF_RANGE, SIZE),
}


@bench_test(deadline_cycles=2_000)
async def refuses(bench: Bench) -> None:
    path = Path(bench)
    load, aux_a, cause, address = ILLEGAL[bench.parameters["case"]]
    path.instructions.send(resolved(load, aux_a))
    await bench.cycles(100)
    assert path.faults == [{"valid": 1, "cause": cause, "address": address}]
    assert path.done_cycles == []
    assert int(bench.dut.engine__busy.value) == 1


@pytest.mark.parametrize(
    ("name", "stall"),
    [(n, s) for n in ("tiny", "default") for s in (0.0, 0.4)] + [("wide", 0.4), ("narrow", 0.4)],
)
def test_load_unit(name: str, stall: float) -> None:
    config = CONFIGS[name]
    tests = "loads"
    if stall == 0.0:
        tests += ",converts_corners,keeps_its_rate,gathers_many_rows"
    run_cocotb(
        LoadPath(config), __file__, tests=tests, parameters={"stall": stall, "config": config}
    )


@pytest.mark.parametrize("case", ILLEGAL)
def test_fault(case: str) -> None:
    config = preset("default")
    run_cocotb(
        LoadPath(config), __file__, tests="refuses", parameters={"config": config, "case": case}
    )
