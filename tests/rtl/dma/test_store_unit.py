# SPDX-License-Identifier: Apache-2.0
"""STORE, STORE_KV and STORE_TOP_K: every byte of memory, and when they are done."""

from __future__ import annotations

from collections import deque
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
from weft_arch.isa import ARGUMENT_BASE, Instruction, Store, StoreKV, StoreTopK
from weft_arch.registers import Fault
from weft_rtl.dma.axi import axi4_signature, connect_flat, flat_members
from weft_rtl.dma.memory_port import MemoryPort
from weft_rtl.dma.store_unit import StoreUnit
from weft_rtl.interfaces import (
    MEMORY_READ_LATENCY,
    VECTOR_ADDRESS,
    FaultReport,
    ResolvedInstruction,
    engine_signature,
    float_word,
    quantized_group,
    vector_read_signature,
)
from weft_sim.axi_memory import AxiMemory
from weft_sim.bench import Bench, Packer, Stalls, StreamDriver, bench_test, run_cocotb

SIZE = 1 << 18

CONFIGS = {
    "tiny": preset("tiny"),
    "default": preset("default"),
    "wide": replace(preset("default"), array_cols=16, beat_bytes=16, max_burst_beats=8),
    "narrow": replace(preset("tiny"), beat_bytes=4, max_burst_beats=2),
}


class StorePath(wiring.Component):
    """Store unit and memory port."""

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                **flat_members("m_axi", axi4_signature(config)),
                "engine": Out(engine_signature()),
                "vector_read": Out(vector_read_signature(config)),
                "i_groups": In(stream.Signature(quantized_group())),
                "o_read_index": Out(range(config.top_k_entries)),
                "i_value": In(24),
                "i_index": In(32),
                "port_fault": Out(FaultReport),
                "i_limit": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = m.submodules.port = MemoryPort(self._config)
        unit = m.submodules.unit = StoreUnit(self._config)
        connect_flat(m, self, "m_axi", port.axi)
        connect(m, unit.write, port.write)
        connect(m, unit.engine, flipped(self.engine))
        connect(m, unit.vector_read, flipped(self.vector_read))
        connect(m, flipped(self.i_groups), unit.i_groups)
        m.d.comb += [
            port.i_write_limit.eq(self.i_limit),
            self.port_fault.eq(port.fault),
            self.o_read_index.eq(unit.o_read_index),
            unit.i_value.eq(self.i_value),
            unit.i_index.eq(self.i_index),
        ]
        return m


class VectorMemory:
    """Answers the unit's reads with the vector memory's latency."""

    def __init__(self, bench: Bench, config: Configuration) -> None:
        self._dut = bench.dut
        self._packer = Packer(float_word(config))
        rng = np.random.default_rng(bench.seed + 1)
        shape = (1 << VECTOR_ADDRESS.width, config.lanes)
        self.words = float24.decode(rng.integers(0, 1 << 24, shape, np.uint32))
        self._stalls = Stalls(bench.stall, bench.random_for("vector"))
        self._pipeline: deque[int | None] = deque([None] * (MEMORY_READ_LATENCY - 1))
        self._ready = False
        self._dut.vector_read__valid.value = 0
        self._dut.vector_read__request__ready.value = 0
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        dut = self._dut
        granted = self._ready and int(dut.vector_read__request__valid.value)
        self._pipeline.append(int(dut.vector_read__request__payload.value) if granted else None)
        address = self._pipeline.popleft()
        dut.vector_read__valid.value = int(address is not None)
        if address is not None:
            patterns = [int(x) for x in float24.encode(self.words[address])]
            dut.vector_read__data.value = self._packer.pack(patterns)
        self._ready = not self._stalls.now()
        dut.vector_read__request__ready.value = int(self._ready)


class TopKList:
    """The top-k unit's read port."""

    def __init__(self, bench: Bench, config: Configuration) -> None:
        self._dut = bench.dut
        rng = bench.random_for("top_k")
        self.entries = [
            (rng.getrandbits(23) & ~(1 << 22) | 1 << 16, rng.getrandbits(17))
            for _ in range(config.top_k_entries - 2)
        ]
        self.entries += [(int(float24.encode(-float24.MAX)), 0xFFFF_FFFF)] * 2
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        value, index = self.entries[int(self._dut.o_read_index.value)]
        self._dut.i_value.value = value
        self._dut.i_index.value = index


class StoreModel:
    """What the stores make of the memory."""

    def __init__(self, config: Configuration, memory: NDArray[np.uint8]) -> None:
        self._config = config
        self.image = memory.copy()
        self.counts = np.zeros(len(memory), np.uint16)

    def _write(self, at: int, raw: bytes | NDArray[np.uint8], stride: int = 1) -> None:
        place = at + stride * np.arange(len(raw))
        self.image[place] = np.frombuffer(bytes(raw), np.uint8)
        self.counts[place] += 1

    def store(self, op: Store, words: NDArray[np.float32]) -> None:
        for r in range(op.count):
            place = (op.source + r * op.source_stride + np.arange(op.words)) % len(words)
            self._write(op.address + r * op.row_bytes, words[place].astype("<f4").tobytes())

    def store_top_k(self, op: StoreTopK, entries: list[tuple[int, int]]) -> None:
        words = [x for value, index in entries for x in (value << 8, index)]
        self._write(op.address, np.array(words, "<u4").tobytes())

    def store_kv(self, op: StoreKV, position: int, groups: deque[tuple[bytes, int]]) -> None:
        layout = layouts.KVLayout(self._config, op.k_blocks, bool(op.wide_keys))
        for r in range(op.count):
            for s in range(op.slots):
                base, at = op.address + s * op.slot_bytes, position + r
                for k in range(op.k_blocks if op.values else layout.key_blocks):
                    codes, exponent = groups.popleft()
                    if op.values:
                        if k == 0:
                            raw = exponent.to_bytes(1, "little", signed=True)
                            self._write(base + layout.exponent_offset(at), raw)
                        self._write(base + layout.value_offset(at, BLOCK * k), codes, BLOCK)
                    else:
                        scale = layouts.key_scale_bits(exponent).to_bytes(2, "little")
                        self._write(base + layout.key_scale_offset(at, k), scale)
                        self._write(base + layout.key_codes_offset(at, k), codes)


class Path:
    """The bench around the store path."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.config = Configuration(**bench.parameters["config"])
        bench.dut.i_limit.value = SIZE
        self.memory = AxiMemory(bench, "m_axi", SIZE, max_beats=self.config.max_burst_beats)
        rng = np.random.default_rng(bench.seed)
        self.memory.data[:] = rng.integers(0, 256, SIZE, np.uint8)
        self.vectors = VectorMemory(bench, self.config)
        self.top_k = TopKList(bench, self.config)
        self.model = StoreModel(self.config, self.memory.data)
        self.instructions = StreamDriver(bench, "engine__instruction", ResolvedInstruction)
        self.groups = StreamDriver(bench, "i_groups", quantized_group())
        self.done_cycles: list[int] = []
        self.responses: list[int] = []
        self.faults: list[dict[str, int]] = []
        self._fault = Packer(FaultReport)
        bench.add_agent(self._watch)

    def send(self, op: Instruction, aux_a: int = 0) -> None:
        word = int.from_bytes(encode(op), "little")
        self.instructions.send(
            {
                "opcode": op.opcode,
                "address": op.address,
                "count": op.count,
                "aux_a": aux_a,
                "arguments": word >> ARGUMENT_BASE,
            }
        )

    def run(self, op: Instruction, aux_a: int = 0) -> None:
        self.send(op, aux_a)
        if isinstance(op, Store):
            self.model.store(op, self.vectors.words)
        elif isinstance(op, StoreTopK):
            self.model.store_top_k(op, self.top_k.entries)
        else:
            assert isinstance(op, StoreKV)
            n_groups = op.count * op.slots * op.k_blocks << (op.wide_keys and not op.values)
            groups = deque(self._group(op, k) for k in range(n_groups))
            for codes, exponent in groups:
                signed = [int(x) for x in np.frombuffer(codes, np.int8)]
                self.groups.send({"codes": signed, "exponent": exponent})
            self.model.store_kv(op, aux_a, groups)

    def _group(self, op: StoreKV, index: int) -> tuple[bytes, int]:
        rng = self.bench.random_for(
            f"group/{op}/{index if not op.values else index // op.k_blocks}"
        )
        exponent = rng.randrange(-128, 128) if op.values else rng.randrange(-14, 20)
        rng = self.bench.random_for(f"codes/{op}/{index}")
        return bytes(rng.randrange(256) for _ in range(BLOCK)), exponent

    async def until_done(self, count: int) -> None:
        while len(self.done_cycles) < count:
            await self.bench.cycles()

    def check(self) -> None:
        wrong = np.flatnonzero(self.memory.data != self.model.image)
        assert not len(wrong), f"{len(wrong)} bytes differ, the first at {wrong[0]:#x}"
        wrong = np.flatnonzero(self.memory.written != self.model.counts)
        assert not len(wrong), f"{len(wrong)} bytes written too often or not, {wrong[0]:#x}"

    def _watch(self) -> None:
        dut = self.bench.dut
        if int(dut.engine__done.value):
            self.done_cycles.append(self.bench.cycle)
        if int(dut.m_axi_bvalid.value) and int(dut.m_axi_bready.value):
            self.responses.append(self.bench.cycle)
        for port in (dut.engine__fault, dut.port_fault):
            fault = self._fault.unpack(int(port.value))
            if fault["valid"]:
                self.faults.append(fault)


def kv(
    path: Path,
    address: int,
    *,
    values: int,
    k_blocks: int,
    count: int,
    slots: int,
    context: int = 128,
    wide_keys: int = 0,
) -> StoreKV:
    layout = layouts.KVLayout(path.config, k_blocks, bool(wide_keys))
    return StoreKV(
        address=address,
        count=count,
        values=values,
        k_blocks=k_blocks,
        slots=slots,
        slot_bytes=layout.slot_bytes(context),
        wide_keys=wide_keys,
    )


@bench_test(deadline_cycles=60_000)
async def stores(bench: Bench) -> None:
    path = Path(bench)
    draw, beat = bench.random.randrange, path.config.beat_bytes
    at, n = 0x100, 0
    for _ in range(12):
        words = draw(1, 12)
        size = words * path.config.lanes * 4
        op = Store(
            address=at,
            count=bench.random.choice([0, 1, 2, 3]),
            words=words,
            source=draw(1 << 14),
            source_stride=draw(1 << 12),
            row_bytes=size + draw(3) * beat,
        )
        path.run(op)
        at += op.row_bytes * op.count + beat
        n += 1
        if n % 4 == 0:
            path.run(StoreTopK(address=at))
            at += -(-8 * path.config.top_k_entries // beat) * beat
            n += 1
    await path.until_done(n)
    await bench.cycles(100)
    assert len(path.done_cycles) == n
    assert int(bench.dut.engine__busy.value) == 0
    assert len(path.responses) == len(path.memory.writes)
    path.check()


@bench_test(deadline_cycles=200_000)
async def stores_keys_and_values(bench: Bench) -> None:
    path = Path(bench)
    n = 0
    for position, count, k_blocks, slots, wide_keys in (
        (0, 1, 1, 2, 0),
        (29, 6, 1, 1, 0),
        (31, 2, 2, 2, 0),
        (127, 1, 3, 1, 0),
        (64, 0, 1, 1, 0),
        (95, 2, 4, 1, 0),
        (30, 4, 1, 2, 1),
        (63, 2, 2, 1, 1),
        (61, 1, 4, 1, 1),
    ):
        for values in (0, 1):
            address = 0x10000 * (k_blocks % 4) + 0x8000 * wide_keys + 0x40 * n
            op = kv(
                path,
                address,
                values=values,
                k_blocks=k_blocks,
                count=count,
                slots=slots,
                wide_keys=wide_keys,
            )
            path.model.image[:] = path.memory.data
            path.model.counts[:] = path.memory.written
            path.run(op, position)
            n += 1
            await path.until_done(n)
            path.check()
    path.run(StoreTopK(address=SIZE - 1024))
    await path.until_done(n + 1)
    await bench.cycles(100)
    assert len(path.done_cycles) == n + 1
    path.check()


@bench_test(deadline_cycles=100_000)
async def gathers_values(bench: Bench) -> None:
    """Over beats and kv blocks, from any place; more groups than the transposer has room for."""
    path = Path(bench)
    cases = ((29, 40, 2, 3, 128), (3, 9, 1, 1, 32), (7, 2, 4, 16, 32), (0, 3, 3, 22, 32))
    for n, (position, count, k_blocks, slots, context) in enumerate(cases):
        op = kv(path, 64, values=1, k_blocks=k_blocks, count=count, slots=slots, context=context)
        path.model.image[:] = path.memory.data
        path.model.counts[:] = path.memory.written
        path.run(op, position)
        await path.until_done(n + 1)
        path.check()


@bench_test(deadline_cycles=20_000)
async def is_quick(bench: Bench) -> None:
    """A beat per cycle for rows; for a group of values 8 cycles or the 2 of each beat that is
    written; done with the last acknowledgement."""
    path = Path(bench)
    words = 64
    lanes, beat = path.config.lanes, path.config.beat_bytes
    path.run(
        Store(
            address=0,
            count=8,
            words=words,
            source_stride=words,
            row_bytes=words * lanes * 4,
        )
    )
    start = bench.cycle
    await path.until_done(1)
    beats = 8 * words * lanes * 4 // beat
    spent = path.done_cycles[0] - start
    assert spent <= beats / 0.97 + 60, f"{spent} cycles for {beats} beats"
    assert path.done_cycles[0] - path.responses[-1] <= 2
    start = bench.cycle
    path.run(kv(path, 0x10000, values=1, k_blocks=2, count=32, slots=2), 16)
    await path.until_done(2)
    spent = path.done_cycles[1] - start
    groups, slot_columns = 32 * 2 * 2, 32 // beat * 2
    # A batch is filled while the one before it is written.
    needed = max(8 * groups, slot_columns * (2 * (2 * BLOCK + 1) + 6)) + 2 * (4 * BLOCK + 14)
    assert spent <= needed + 60, f"{spent} cycles instead of {needed}"
    path.check()


ILLEGAL = {
    "words": (Store(address=0, count=1, words=0), Fault.ILLEGAL_OPERAND, Store.opcode),
    "k_blocks": (
        StoreKV(count=1, k_blocks=0, slots=1),
        Fault.ILLEGAL_OPERAND,
        StoreKV.opcode,
    ),
    "slots": (StoreKV(count=1, k_blocks=1, slots=0), Fault.ILLEGAL_OPERAND, StoreKV.opcode),
    "slot": (
        StoreKV(address=0x1004, count=1, k_blocks=1, slots=1),
        Fault.UNALIGNED_ADDRESS,
        0x1004,
    ),
    "row": (Store(address=0x1002, count=1, words=2), Fault.UNALIGNED_ADDRESS, 0x1002),
    "top_k": (StoreTopK(address=SIZE), Fault.ADDRESS_OUT_OF_RANGE, SIZE),
}


@bench_test(deadline_cycles=2_000)
async def refuses(bench: Bench) -> None:
    path = Path(bench)
    op, cause, address = ILLEGAL[bench.parameters["case"]]
    path.send(op)
    await bench.cycles(200)
    assert path.faults == [{"valid": 1, "cause": cause, "address": address}]
    assert path.done_cycles == []
    assert not path.memory.writes


@pytest.mark.parametrize(
    ("name", "stall"),
    [(n, s) for n in ("tiny", "default") for s in (0.0, 0.4)] + [("wide", 0.4), ("narrow", 0.4)],
)
def test_store_unit(name: str, stall: float) -> None:
    config = CONFIGS[name]
    tests = "stores,stores_keys_and_values,gathers_values" + (",is_quick" if stall == 0.0 else "")
    run_cocotb(
        StorePath(config), __file__, tests=tests, parameters={"stall": stall, "config": config}
    )


@pytest.mark.parametrize("case", ILLEGAL)
def test_fault(case: str) -> None:
    config = preset("default")
    run_cocotb(
        StorePath(config), __file__, tests="refuses", parameters={"config": config, "case": case}
    )
