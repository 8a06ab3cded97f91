# SPDX-License-Identifier: Apache-2.0
"""The weight stream from memory to the weight buffer's outputs: order, room and throughput."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from amaranth import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from numpy.typing import NDArray

from weft_arch import layouts
from weft_arch.config import BLOCK, Configuration, preset
from weft_arch.encoding import encode
from weft_arch.isa import ARGUMENT_BASE, Instruction, StreamKV, StreamWeights, WeightFormat
from weft_arch.registers import Fault
from weft_rtl.dma.axi import axi4_signature, connect_flat, flat_members
from weft_rtl.dma.memory_port import MemoryPort
from weft_rtl.dma.stream_unit import StreamUnit
from weft_rtl.interfaces import FaultReport, ResolvedInstruction, engine_signature
from weft_rtl.memory.weight_buffer import WeightBuffer
from weft_sim.axi_memory import AxiMemory
from weft_sim.bench import Bench, Packer, StreamDriver, StreamMonitor, bench_test, run_cocotb

SIZE = 1 << 17

CONFIGS = {
    "tiny": preset("tiny"),
    "default": preset("default"),
    "wide": replace(preset("default"), array_cols=16, beat_bytes=16, max_burst_beats=8),
    "narrow": replace(preset("tiny"), beat_bytes=4, max_burst_beats=2),
}


class StreamPath(wiring.Component):
    """Stream unit, memory port and weight buffer."""

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                **flat_members("m_axi", axi4_signature(config)),
                "engine": Out(engine_signature()),
                "o_codes": Out(stream.Signature(unsigned(8 * BLOCK))),
                "o_scales": Out(stream.Signature(unsigned(16 * config.array_cols))),
                "o_wait_space": Out(1),
                "o_beat": Out(1),
                "i_limit": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = m.submodules.port = MemoryPort(self._config)
        unit = m.submodules.unit = StreamUnit(self._config)
        buffer = m.submodules.buffer = WeightBuffer(self._config)
        connect_flat(m, self, "m_axi", port.axi)
        connect(m, unit.read, port.stream)
        connect(m, unit.o_beats, buffer.i_beats)
        connect(m, buffer.o_codes, flipped(self.o_codes))
        connect(m, buffer.o_scales, flipped(self.o_scales))
        connect(m, unit.engine, flipped(self.engine))
        m.d.comb += [
            port.i_region_limit.eq(self.i_limit),
            unit.i_code_word_freed.eq(buffer.o_code_word_freed),
            unit.i_scale_tile_freed.eq(buffer.o_scale_tile_freed),
            self.o_wait_space.eq(unit.o_wait_space),
            self.o_beat.eq(unit.o_beat),
        ]
        return m


def resolved(instruction: Instruction) -> dict[str, int]:
    """An instruction as the sequencer would hand it over, scalar registers being zero."""
    word = int.from_bytes(encode(instruction), "little")
    return {
        "opcode": instruction.opcode,
        "address": instruction.address,
        "count": instruction.count,
        "arguments": word >> ARGUMENT_BASE,
    }


class Expectation:
    """The words that instructions make of the memory's contents."""

    def __init__(self, config: Configuration, contents: NDArray[np.uint8]) -> None:
        self._config = config
        self._contents = contents
        self.codes: list[int] = []
        self.scales: list[int] = []

    def _codes(self, at: int, size: int) -> int:
        for word in self._contents[at : at + size].reshape(-1, BLOCK):
            self.codes.append(int.from_bytes(word.tobytes(), "little"))
        return at + size

    def _tiles(self, at: int, tiles: int, bits: int) -> int:
        scale_bytes = 2 * self._config.array_cols
        for _ in range(tiles):
            raw = self._contents[at : at + scale_bytes].tobytes()
            self.scales.append(int.from_bytes(raw, "little"))
            at = self._codes(at + scale_bytes, self._config.tile_bytes(bits) - scale_bytes)
        return at

    def add(self, instruction: Instruction) -> None:
        if isinstance(instruction, StreamWeights):
            bits = 4 if instruction.format == WeightFormat.W4 else 8
            self._tiles(instruction.address, instruction.count, bits)
            return
        assert isinstance(instruction, StreamKV)
        layout = layouts.KVLayout(self._config, instruction.k_blocks)
        n = -(-instruction.count // BLOCK)
        tiles = BLOCK // self._config.array_cols * instruction.k_blocks
        order = [("K", 0)] if n else []
        for b in range(1, n):
            order += [("K", b), ("V", b - 1)]
        if n:
            order.append(("V", n - 1))
        for part, b in order:
            at = instruction.address + b * layout.block_bytes
            if part == "K":
                self._tiles(self._codes(at, BLOCK), tiles, 8)
            else:
                self._codes(at + layout.key_bytes, layout.value_bytes)


class Path:
    """The bench around the stream path."""

    def __init__(self, bench: Bench, *, held: bool = False) -> None:
        self.bench = bench
        self.config = Configuration(**bench.parameters["config"])
        bench.dut.i_limit.value = SIZE
        self.memory = AxiMemory(bench, "m_axi", SIZE, max_beats=self.config.max_burst_beats)
        rng = np.random.default_rng(bench.seed)
        self.memory.data[:] = rng.integers(0, 256, SIZE, np.uint8)
        self.expectation = Expectation(self.config, self.memory.data)
        self.instructions = StreamDriver(bench, "engine__instruction", ResolvedInstruction)
        self.codes = StreamMonitor(bench, "o_codes", passive=held)
        self.scales = StreamMonitor(bench, "o_scales", passive=held)
        if held:
            self.take_words(False)
        self.done_cycles: list[int] = []
        self.beats = self.waits = 0
        self.faults: list[dict[str, int]] = []
        self._fault = Packer(FaultReport)
        bench.add_agent(self._watch)

    def run(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            self.instructions.send(resolved(instruction))
            self.expectation.add(instruction)

    def take_words(self, ready: bool) -> None:
        """Without the monitors' own ready: take all words, or none."""
        self.bench.dut.o_codes__ready.value = int(ready)
        self.bench.dut.o_scales__ready.value = int(ready)

    async def until_done(self, count: int) -> None:
        while len(self.done_cycles) < count:
            await self.bench.cycles()

    def _watch(self) -> None:
        dut = self.bench.dut
        if int(dut.engine__done.value):
            self.done_cycles.append(self.bench.cycle)
        self.beats += int(dut.o_beat.value)
        self.waits += int(dut.o_wait_space.value)
        fault = self._fault.unpack(int(dut.engine__fault.value))
        if fault["valid"]:
            self.faults.append(fault)


@bench_test(deadline_cycles=60_000)
async def streams(bench: Bench) -> None:
    path = Path(bench)
    draw, beat = bench.random.randrange, path.config.beat_bytes
    instructions: list[Instruction] = []
    for k in range(24):
        address = draw(SIZE // 2 // beat) * beat
        if k % 3 == 2:
            count = bench.random.choice([0, 1, 31, 32, 33, 64, 65, 100])
            instructions.append(StreamKV(address=address, count=count, k_blocks=draw(1, 4)))
        else:
            form = bench.random.choice(list(WeightFormat))
            instructions.append(
                StreamWeights(address=address, count=bench.random.choice([0, 1, 2, 9]), format=form)
            )
    path.run(instructions)
    await path.codes.expect(path.expectation.codes)
    await path.scales.expect(path.expectation.scales)
    await path.until_done(len(instructions))
    await bench.cycles(20)
    assert len(path.done_cycles) == len(instructions)
    assert int(bench.dut.engine__busy.value) == 0
    total = len(path.expectation.codes) * BLOCK
    total += len(path.expectation.scales) * 2 * path.config.array_cols
    assert path.beats * beat == total


@bench_test(deadline_cycles=10_000)
async def keeps_the_bus_busy(bench: Bench) -> None:
    """Short instructions, far apart in memory, leave no gaps in the data."""
    path = Path(bench)
    size = path.config.tile_bytes(8)
    tiles = 4
    path.run([StreamWeights(address=(k * 977 * 8) % 65536, count=tiles) for k in range(24)])
    path.run([StreamKV(address=4096, count=64, k_blocks=1)])
    await path.until_done(25)
    cycles = path.memory.read_cycles
    assert len(cycles) == path.beats
    rate = (len(cycles) - 1) / (cycles[-1] - cycles[0])
    assert rate >= 0.97, f"{rate:.3f} beats per cycle"
    assert path.done_cycles[0] - cycles[tiles * size // path.config.beat_bytes - 1] <= 4
    await path.codes.expect(path.expectation.codes)


@bench_test(deadline_cycles=20_000)
async def waits_for_room(bench: Bench) -> None:
    """With nobody taking words, exactly what fits is asked for; then it goes on."""
    path = Path(bench, held=True)
    path.run([StreamWeights(address=0, count=100), StreamWeights(address=0, count=100, format=1)])
    await bench.cycles(2900)
    beats = path.config.weight_buffer_bytes // path.config.beat_bytes
    assert path.waits > 500
    # codes fill their part; a few words have left it on their way out
    assert beats <= path.beats < 1.2 * beats
    path.take_words(True)
    await path.codes.expect(path.expectation.codes)
    await path.scales.expect(path.expectation.scales)


@bench_test(deadline_cycles=2_000)
async def refuses_no_k_blocks(bench: Bench) -> None:
    path = Path(bench)
    path.instructions.send(resolved(StreamKV(address=0, count=5, k_blocks=0)))
    await bench.cycles(50)
    opcode = StreamKV.opcode
    assert path.faults == [{"valid": 1, "cause": Fault.ILLEGAL_OPERAND, "address": opcode}]
    assert path.done_cycles == []


@pytest.mark.parametrize(
    ("name", "stall"),
    [(n, s) for n in ("tiny", "default") for s in (0.0, 0.4)] + [("wide", 0.4), ("narrow", 0.4)],
)
def test_stream_unit(name: str, stall: float) -> None:
    config = CONFIGS[name]
    tests = "streams"
    if stall == 0.0:
        tests += ",keeps_the_bus_busy,waits_for_room,refuses_no_k_blocks"
    run_cocotb(
        StreamPath(config), __file__, tests=tests, parameters={"stall": stall, "config": config}
    )
