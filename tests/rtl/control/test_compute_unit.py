# SPDX-License-Identifier: Apache-2.0
"""The compute unit, whole: instructions in, vector memory, row scalars and top-k list out."""

from __future__ import annotations

import dataclasses
import sys
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft_arch import float24, isa
from weft_arch.config import BLOCK, preset
from weft_arch.registers import Fault
from weft_rtl.control.compute_unit import ComputeUnit
from weft_rtl.interfaces import (
    FaultReport,
    ResolvedInstruction,
    activation_block,
    activation_write,
    float_word,
    row_scalar_write,
    vector_write,
)
from weft_sim.bench import Bench, Packer, StreamDriver, StreamMonitor, bench_test, run_cocotb

sys.path.insert(0, str(Path(__file__).parent))
from compute_model import ComputeModel, resolved

CONFIGS = {
    "tiny": preset("tiny"),
    "default": preset("default"),
    "wide": dataclasses.replace(
        preset("default"), array_cols=16, activation_bits=12, activation_blocks=512
    ),
}


class Memories:
    """The activation buffer and the vector memory around the unit."""

    def __init__(self, bench: Bench, model: ComputeModel) -> None:
        self._dut, config = bench.dut, model.config
        self._block, self._word = Packer(activation_block(config)), Packer(float_word(config))
        self._vector_write = Packer(vector_write(config))
        self.probabilities = StreamMonitor(bench, "activation_write", activation_write(config))
        self._seen_blocks = 0
        self.vector_writes: list[dict[str, Any]] = []
        self._activations = [
            self._block.pack({"codes": codes.tolist(), "exponent": int(exponent)})
            for codes, exponent in zip(model.activations, model.exponents, strict=True)
        ]
        self._vectors = [
            self._word.pack([int(x) for x in float24.encode(word)]) for word in model.vector_memory
        ]
        self._random = bench.random_for("memories")
        self._pending: deque[tuple[int | None, int | None]] = deque([(None, None)])
        bench.dut.vector_read__request__ready.value = 1
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        dut = self._dut
        block = word = None
        if int(dut.activation__request.value):
            block = self._activations[int(dut.activation__address.value) % len(self._activations)]
        if int(dut.vector_read__request__valid.value):
            word = self._vectors[int(dut.vector_read__request__payload.value) % len(self._vectors)]
        self._pending.append((block, word))
        block, word = self._pending.popleft()
        noise = self._random.getrandbits(self._block.width)
        dut.activation__valid.value = int(block is not None)
        dut.activation__data.value = noise if block is None else block
        dut.vector_read__valid.value = int(word is not None)
        dut.vector_read__data.value = (noise >> 8) & 0xFFFFFF if word is None else word
        for write in self.probabilities.received[self._seen_blocks :]:
            address = write["address"] % len(self._activations)
            self._activations[address] = self._block.pack(write["block"])
            self._seen_blocks += 1
        if int(dut.o_vector_write__valid.value):
            write = self._vector_write.unpack(int(dut.o_vector_write__payload.value))
            self.vector_writes.append(write)
            self._vectors[write["address"] % len(self._vectors)] = self._word.pack(write["data"])


class Pulses:
    """Row scalars, and how far everything was when an instruction was done."""

    def __init__(self, bench: Bench, memories: Memories) -> None:
        self._bench, self._memories = bench, memories
        self._row_scalar, self._fault = Packer(row_scalar_write()), Packer(FaultReport)
        self.row_scalars: list[Any] = []
        self.progress: list[tuple[int, int]] = []
        self.faults: list[dict[str, int]] = []
        self.mac_cycles: list[int] = []
        bench.add_agent(self._at_edge)
        bench.add_report(lambda: f"{len(self.progress)} instructions done")

    def _at_edge(self) -> None:
        dut = self._bench.dut
        if int(dut.engine__done.value):
            self.progress.append((len(self._memories.vector_writes), len(self.row_scalars)))
        if int(dut.o_row_scalar__valid.value):
            self.row_scalars.append(self._row_scalar.unpack(int(dut.o_row_scalar__payload.value)))
        fault = self._fault.unpack(int(dut.engine__fault.value))
        if fault["valid"]:
            self.faults.append(fault)
        if int(dut.o_mac.value):
            self.mac_cycles.append(self._bench.cycle)


class Harness:
    """A compute unit, its surroundings, its model, and the check that they agree."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.config = CONFIGS[bench.parameters["config"]]
        self.model = ComputeModel(self.config, np.random.default_rng(bench.seed))
        self.instructions = StreamDriver(bench, "engine__instruction", ResolvedInstruction)
        self._codes = StreamDriver(
            bench, "i_codes", stall=bench.parameters.get("slow_weights", bench.stall)
        )
        self._scales = StreamDriver(bench, "i_scales", stall=0.0)
        self.memories = Memories(bench, self.model)
        self.pulses = Pulses(bench, self.memories)
        bench.dut.i_read_index.value = 0
        self._sent_codes = self._sent_scales = 0

    def send(self, instruction: dict[str, int]) -> None:
        """Queue an instruction that the model has just made, and its weights."""
        model = self.model
        self.instructions.send(instruction)
        self._codes.send_all(model.codes[self._sent_codes :])
        self._scales.send_all(model.scales[self._sent_scales :])
        self._sent_codes, self._sent_scales = len(model.codes), len(model.scales)

    async def finished(self) -> None:
        """Wait until all instructions are done."""
        while len(self.pulses.progress) < len(self.model.progress):
            await self.bench.cycles(1)
        assert not self.pulses.faults

    async def check(self) -> None:
        """Compare everything that came out with the model."""
        await self.finished()
        assert await self.read_top_k() == self.model.top_k()
        got, expected = self.memories.vector_writes, self.model.vector_writes
        for index, (a, b) in enumerate(zip(got, expected, strict=False)):
            assert a == b, f"vector write {index}: got {a}, expected {b}"
        assert len(got) == len(expected)
        assert self.pulses.row_scalars == self.model.row_scalars
        # When an instruction is reported done its results are there.
        pairs = zip(self.pulses.progress, self.model.progress, strict=True)
        for index, (seen, due) in enumerate(pairs):
            assert seen[0] >= due[0], f"instruction {index} was done before its vector writes"
            assert seen[1] >= due[1], f"instruction {index} was done before its row scalars"
        assert not int(self.bench.dut.engine__busy.value)

    async def read_top_k(self) -> list[tuple[int, int]]:
        found = []
        for k in range(self.config.top_k_entries):
            self.bench.dut.i_read_index.value = k
            await self.bench.cycles(2)
            found.append((int(self.bench.dut.o_value.value), int(self.bench.dut.o_index.value)))
        return found


class InstructionMaker:
    """Draws instructions; activations that are read are never those of the probabilities."""

    def __init__(self, harness: Harness) -> None:
        self._config = harness.config
        self._model = harness.model
        self._random = harness.bench.random_for("instructions")

    def attend(self, n_keys: int, **given: int) -> dict[str, int]:
        draw, config = self._random, self._config
        k_blocks = given.get("k_blocks", draw.choice([1, 1, 2, 3, 4, 8]))
        words = config.words_per_block * k_blocks
        most = min(config.max_rows, config.accumulator_words // (1 + words))
        rows = min(given.get("rows", draw.choice([1, 2, 3, 8, 13, 64])), most)
        rows_per_position = given.get("rows_per_position", draw.choice([1, 2, 3, 8, 63]))
        half = config.activation_blocks // 2
        stride = k_blocks + draw.randrange(2)
        destination_stride = words + draw.randrange(3)
        instruction = isa.Attend(
            activation_stride=stride,
            k_blocks=k_blocks,
            rows_per_position=rows_per_position,
            causal=given.get("causal", draw.randrange(2)),
            probabilities=half + draw.randrange(half - 2 * rows),
            destination=draw.randrange(config.vector_memory_words - rows * destination_stride),
            destination_stride=destination_stride,
            row_scalar=draw.randrange(256 - rows),
            wide_keys=given.get("wide_keys", draw.randrange(2)),
        )
        position = max(0, n_keys - 1 - (rows - 1) // rows_per_position)
        address = draw.randrange(max(1, half - rows * stride))
        return self._model.attend(instruction, address, rows, position, n_keys)

    def matmul(self, **given: int) -> dict[str, int]:
        draw, config = self._random, self._config
        rows = given.pop("rows", draw.choice([1, 2, 5, 8, 16]))
        k_blocks, n_tiles = draw.choice([1, 2, 4]), draw.randint(1, 5)
        stride = n_tiles + draw.randrange(3)
        destination = draw.randrange(config.vector_memory_words - rows * stride)
        initial, initial_stride = draw.choice([(destination, stride), (draw.randrange(64), 0)])
        fields = {
            "format": isa.WeightFormat(draw.randrange(2)),
            "activation_stride": k_blocks,
            "k_blocks": k_blocks,
            "n_tiles": n_tiles,
            "init": isa.InitMode(draw.randrange(2)),
            "initial": initial,
            "initial_stride": initial_stride,
            "destination": destination,
            "destination_stride": stride,
        }
        instruction = isa.Matmul(**(fields | given))
        span = rows * instruction.k_blocks
        address = draw.randrange(max(1, config.activation_blocks // 2 - span))
        return self._model.matmul(instruction, address, rows)

    def head(self, **given: int) -> dict[str, int]:
        base = self._random.randrange(1000) * self._config.lanes
        fields = {"top_k_base": base, "top_k_limit": base + self._random.randrange(80)}
        return self.matmul(rows=1, to_top_k=1, to_vector_memory=0, **(fields | given))


@bench_test(deadline_cycles=400_000)
async def mixed_instructions(bench: Bench) -> None:
    harness = Harness(bench)
    maker = InstructionMaker(harness)
    model, draw = harness.model, bench.random_for("order")
    harness.send(model.set_codebook())
    for turn in range(2):
        for n_keys in draw.sample([1, 20, 32, 33, 64, 70, 96, 100, 128], 6):
            harness.send(maker.attend(n_keys))
            if draw.random() < 0.4:
                harness.send(maker.matmul())
        harness.send(maker.head(clear_top_k=1))
        harness.send(maker.head())
        harness.send(maker.matmul())
        if turn:
            harness.send(maker.head(clear_top_k=0, n_tiles=9))
        harness.send(model.set_codebook())
        harness.send(maker.matmul(format=isa.WeightFormat.W4))
    await harness.check()


@bench_test(deadline_cycles=60_000)
async def no_gaps(bench: Bench) -> None:
    """MATMULs follow each other without a gap; attention of many keys keeps the array busy."""
    harness = Harness(bench)
    maker = InstructionMaker(harness)
    for rows in (1, 1, 2, 8, 16, 16):
        harness.send(maker.matmul(rows=rows, n_tiles=3, init=isa.InitMode.ZERO))
    harness.send(maker.head(n_tiles=3, clear_top_k=1, init=isa.InitMode.ZERO))
    harness.send(maker.head(n_tiles=3, init=isa.InitMode.ZERO))
    await harness.finished()
    cycles = harness.pulses.mac_cycles
    # The last tile's only row enters at the tile's start.
    tile = max(harness.config.array_cols, 8)
    assert cycles[-1] - cycles[0] == harness.model.row_cycles - tile
    before, start = harness.model.row_cycles, len(cycles)
    harness.send(maker.attend(8 * BLOCK, k_blocks=2, rows=12, wide_keys=0))
    await harness.finished()
    busy = harness.model.row_cycles - before
    taken = cycles[-1] - cycles[start]
    print(f"attention: {busy} cycles of rows in {taken} cycles")
    assert busy > 0.8 * taken
    await harness.check()


@bench_test(deadline_cycles=4_000)
async def refuses_bad_operands(bench: Bench) -> None:
    config = CONFIGS[bench.parameters["config"]]
    driver = StreamDriver(bench, "engine__instruction", ResolvedInstruction)
    for name in ("i_codes__valid", "i_scales__valid", "i_read_index"):
        getattr(bench.dut, name).value = 0
    fault = Packer(FaultReport)
    attend = isa.Attend(k_blocks=1, rows_per_position=1, activation_stride=1)
    matmul = isa.Matmul(k_blocks=1, n_tiles=1)
    keys = {"aux_b": 5}
    replace = dataclasses.replace
    too_many = config.accumulator_words // (1 + 8 * config.words_per_block) + 1
    cases: list[dict[str, int]] = [
        resolved(matmul, count=0),
        resolved(matmul, count=config.max_rows + 1),
        resolved(matmul, count=1 << 23),
        resolved(replace(matmul, k_blocks=0), count=1),
        resolved(replace(matmul, n_tiles=0), count=1),
        resolved(replace(matmul, to_top_k=1), count=2),
        resolved(attend, count=0, **keys),
        resolved(attend, count=config.max_rows + 1, **keys),
        resolved(attend, count=1),
        resolved(attend, count=1, aux_b=1 << 23),
        resolved(replace(attend, causal=1), count=1, aux_a=1 << 31, **keys),
        resolved(replace(attend, k_blocks=0), count=1, **keys),
        resolved(replace(attend, k_blocks=9), count=1, **keys),
        resolved(replace(attend, k_blocks=8), count=too_many, **keys),
        resolved(replace(attend, rows_per_position=0), count=1, **keys),
    ]
    for case in cases:
        driver.send(case)
        reports = []
        for _ in range(12):
            await bench.cycles(1)
            report = fault.unpack(int(bench.dut.engine__fault.value))
            assert not int(bench.dut.engine__done.value)
            if report["valid"]:
                reports.append(report)
        expected = {"cause": int(Fault.ILLEGAL_OPERAND), "address": case["opcode"]}
        assert [{k: int(r[k]) for k in expected} for r in reports] == [expected], case
        await bench.reset()


@pytest.mark.parametrize(
    ("config", "stall", "slow_weights"),
    [("tiny", 0.0, 0.0), ("tiny", 0.3, 0.6), ("default", 0.0, 0.0), ("wide", 0.2, 0.0)],
)
def test_mixed_instructions(config: str, stall: float, slow_weights: float) -> None:
    run_cocotb(
        ComputeUnit(CONFIGS[config]),
        __file__,
        tests="mixed_instructions",
        parameters={"config": config, "stall": stall, "slow_weights": slow_weights},
    )


@pytest.mark.parametrize("config", ["tiny", "default"])
def test_no_gaps(config: str) -> None:
    parameters = {"config": config, "stall": 0.0}
    run_cocotb(ComputeUnit(CONFIGS[config]), __file__, tests="no_gaps", parameters=parameters)


@pytest.mark.parametrize("config", ["tiny", "default"])
def test_refuses_bad_operands(config: str) -> None:
    run_cocotb(
        ComputeUnit(CONFIGS[config]),
        __file__,
        tests="refuses_bad_operands",
        parameters={"config": config, "stall": 0.0},
    )
