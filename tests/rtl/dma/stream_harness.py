# SPDX-License-Identifier: Apache-2.0
"""For benches of the weight stream: the path from memory to the weight buffer's outputs."""

from __future__ import annotations

import numpy as np
from amaranth import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from numpy.typing import NDArray

from weft_arch import layouts
from weft_arch.config import BLOCK, Configuration
from weft_arch.encoding import encode
from weft_arch.isa import (
    ARGUMENT_BASE,
    Instruction,
    Resident,
    StreamKV,
    StreamWeights,
    WeightFormat,
)
from weft_rtl.dma.axi import axi4_signature, connect_flat, flat_members
from weft_rtl.dma.memory_port import MemoryPort
from weft_rtl.dma.stream_unit import StreamUnit
from weft_rtl.interfaces import FaultReport, ResolvedInstruction, engine_signature
from weft_rtl.memory.weight_buffer import WeightBuffer
from weft_sim.axi_memory import AxiMemory
from weft_sim.bench import Bench, Packer, StreamDriver, StreamMonitor

__all__ = ["SIZE", "StreamBench", "StreamPath", "resolved"]

SIZE = 1 << 17


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
        if self._config.resident_bytes:
            connect(m, unit.resident, buffer.resident)
        m.d.comb += [
            port.i_region_limit.eq(self.i_limit),
            unit.i_code_word_freed.eq(buffer.o_code_word_freed),
            unit.i_scale_tile_freed.eq(buffer.o_scale_tile_freed),
            self.o_wait_space.eq(unit.o_wait_space),
            self.o_beat.eq(unit.o_beat),
        ]
        return m


def resolved(instruction: Instruction, aux_a: int = 0) -> dict[str, int]:
    """An instruction as the sequencer would hand it over, scalar registers being zero."""
    word = int.from_bytes(encode(instruction), "little")
    return {
        "opcode": instruction.opcode,
        "address": instruction.address,
        "count": instruction.count,
        "aux_a": aux_a,
        "arguments": word >> ARGUMENT_BASE,
    }


class Expectation:
    """The words that instructions make of the memory's contents."""

    def __init__(self, config: Configuration, contents: NDArray[np.uint8]) -> None:
        self._config = config
        self._contents = contents
        self.codes: list[int] = []
        self.scales: list[int] = []
        self._kept_codes: dict[int, bytes] = {}
        self._kept_scales: dict[int, bytes] = {}

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

    def _keep(self, at: int, tiles: int, bits: int, place: int) -> None:
        cols, size = self._config.array_cols, self._config.tile_bytes(bits)
        for tile in range(tiles):
            raw = self._contents[at + tile * size :][:size].tobytes()
            first = place + tile * (bits // 4)
            self._kept_scales[first] = raw[: 2 * cols]
            for half in range(bits // 4):
                self._kept_codes[first + half] = raw[2 * cols + 16 * cols * half :][: 16 * cols]

    def _replay(self, place: int, tiles: int, bits: int) -> None:
        for first in range(place, place + tiles * (bits // 4), bits // 4):
            self.scales.append(int.from_bytes(self._kept_scales[first], "little"))
            raw = b"".join(self._kept_codes[first + half] for half in range(bits // 4))
            for at in range(0, len(raw), BLOCK):
                self.codes.append(int.from_bytes(raw[at : at + BLOCK], "little"))

    def add(self, instruction: Instruction, aux_a: int = 0) -> None:
        if isinstance(instruction, StreamWeights):
            bits = 4 if instruction.format == WeightFormat.W4 else 8
            if instruction.resident == Resident.KEEP:
                self._keep(instruction.address, instruction.count, bits, aux_a)
            elif instruction.resident == Resident.REPLAY:
                self._replay(instruction.address, instruction.count, bits)
            else:
                self._tiles(instruction.address, instruction.count, bits)
            return
        assert isinstance(instruction, StreamKV)
        wide = bool(instruction.wide_keys)
        layout = layouts.KVLayout(self._config, instruction.k_blocks, wide)
        n = -(-instruction.count // BLOCK)
        tiles = BLOCK // self._config.array_cols * layout.key_blocks
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


class StreamBench:
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
            self.send(instruction)

    def send(self, instruction: Instruction, aux_a: int = 0) -> None:
        self.instructions.send(resolved(instruction, aux_a))
        self.expectation.add(instruction, aux_a)

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
