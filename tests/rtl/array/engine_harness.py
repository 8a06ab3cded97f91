# SPDX-License-Identifier: Apache-2.0
"""What surrounds the array engine in its benches: memories, monitors, passes to run."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

import numpy as np
from amaranth import signed
from amaranth.lib import data
from engine_model import EngineModel

from weft_arch import float24
from weft_arch.config import BLOCK, preset
from weft_rtl.head.top_k import top_k_word
from weft_rtl.interfaces import (
    ArrayPass,
    PassInitial,
    TileSource,
    activation_block,
    float_word,
    score_word,
    vector_write,
)
from weft_sim.bench import Bench, Packer, StreamDriver, StreamMonitor

CONFIGS = {
    "tiny": preset("tiny"),
    "default": preset("default"),
    "wide": dataclasses.replace(
        preset("default"), array_cols=16, activation_bits=12, activation_blocks=512
    ),
}
ZERO, VECTOR, ACCUMULATOR = (initial.value for initial in PassInitial)
W8, W4, VALUES = (source.value for source in TileSource)


class MemoryAgents:
    """Activation buffer, vector memory and rescale memory around the engine."""

    def __init__(self, bench: Bench, model: EngineModel) -> None:
        self._dut, self._model = bench.dut, model
        self._random = bench.random_for("memories")
        config = model.config
        self._block = Packer(activation_block(config))
        self._word = Packer(float_word(config))
        self._write = Packer(vector_write(config))
        self.vector_memory = [_pattern(word) for word in model.vector_memory]
        self._pending: deque[tuple[Any, Any, int]] = deque([(None, None, 0)])
        self._late_write: int | None = None
        bench.dut.vector_read__request__ready.value = 1
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        dut, model = self._dut, self._model
        block = word = None
        if int(dut.activation__request.value):
            address = int(dut.activation__address.value) % model.config.activation_blocks
            codes, exponent = model.activations[address], model.exponents[address]
            block = self._block.pack({"codes": codes.tolist(), "exponent": int(exponent)})
        if int(dut.vector_read__request__valid.value):
            word = self.vector_memory[int(dut.vector_read__request__payload.value)]
        row = int(dut.rescale__row.value) % model.config.max_rows
        shift = int(model.rescale[int(dut.rescale__parity.value), row])
        self._pending.append((block, word, shift))
        block, word, shift = self._pending.popleft()
        noise = self._random.getrandbits(self._block.width)
        dut.activation__valid.value = int(block is not None)
        dut.activation__data.value = noise if block is None else block
        dut.vector_read__valid.value = int(word is not None)
        noise = self._random.getrandbits(self._word.width)
        dut.vector_read__data.value = noise if word is None else word
        dut.rescale__data.value = shift
        # The vector memory may take a cycle to write.
        if self._late_write is not None:
            write = self._write.unpack(self._late_write)
            self.vector_memory[write["address"]] = self._word.pack(write["data"])
        self._late_write = None
        if int(dut.o_vector_write__valid.value):
            self._late_write = int(dut.o_vector_write__payload.value)


class StrobeMonitor:
    """Keeps the payloads of a strobe, and their cycles."""

    def __init__(self, bench: Bench, prefix: str, shape: Any) -> None:
        self._valid = getattr(bench.dut, f"{prefix}__valid")
        self._payload = getattr(bench.dut, f"{prefix}__payload")
        self._packer, self._bench = Packer(shape), bench
        self.received: list[Any] = []
        self.cycles: list[int] = []
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        if int(self._valid.value):
            self.received.append(self._packer.unpack(int(self._payload.value)))
            self.cycles.append(self._bench.cycle)


class CycleCounter:
    """The cycles in which each of some one-bit outputs was up."""

    def __init__(self, bench: Bench, *names: str) -> None:
        self._ports = {name: getattr(bench.dut, name) for name in names}
        self._bench = bench
        self.cycles: dict[str, list[int]] = {name: [] for name in names}
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        for name, port in self._ports.items():
            if int(port.value):
                self.cycles[name].append(self._bench.cycle)


class EngineHarness:
    """An engine, its surroundings, its model, and the check that they agree."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.config = config = CONFIGS[bench.parameters["config"]]
        self.model = EngineModel(config, np.random.default_rng(bench.seed))
        self._codes = StreamDriver(bench, "i_codes")
        self._scales = StreamDriver(bench, "i_scales", stall=0.0)
        self._passes = StreamDriver(bench, "i_pass", ArrayPass)
        exponents = data.ArrayLayout(signed(8), BLOCK)
        self._exponents = StreamMonitor(bench, "o_value_exponents", exponents)
        self.writes = StrobeMonitor(bench, "o_vector_write", vector_write(config))
        self.scores = StrobeMonitor(bench, "o_scores", score_word(config))
        self.top_k = StrobeMonitor(bench, "o_top_k", top_k_word(config))
        self.counter = CycleCounter(bench, "o_mac", "o_pass_done", "o_idle", "o_wait_weights")
        self.memories = MemoryAgents(bench, self.model)
        self._set_codebook()

    def _set_codebook(self) -> None:
        packer = Packer(data.ArrayLayout(signed(8), 16))
        self.bench.dut.i_codebook.value = packer.pack(self.model.codebook.tolist())

    def send(self, fields: dict[str, int]) -> None:
        """Run a pass on the model, and send it with its weights."""
        defaults = {
            "activation_base": self.bench.random.randrange(self.config.activation_blocks // 2),
            "activation_stride": fields["k_blocks"],
            "source": W8,
            "initial": ZERO,
            "accumulator_base": 0,
            "accumulator_stride": 1,
            "accumulator_per_tile": 0,
            "to_vector_memory": 0,
            "to_accumulator": 0,
            "to_scores": 0,
            "to_top_k": 0,
            "parity": 0,
            "last": 1,
        }
        fields = defaults | fields
        span = fields["rows"] * fields["activation_stride"] + fields["k_blocks"]
        fields["activation_base"] %= max(self.config.activation_blocks - span, 1)
        model = self.model
        n_codes, n_scales = len(model.codes), len(model.scales)
        model.run(fields)
        self._codes.send_all(model.codes[n_codes:])
        self._scales.send_all(model.scales[n_scales:])
        self._passes.send(fields)

    async def new_codebook(self) -> None:
        """Let the engine finish, then set another codebook."""
        await self.finished()
        self.model.codebook = self.model.rng.integers(-128, 128, 16)
        self._set_codebook()

    async def finished(self) -> None:
        """Wait until all passes are done."""
        await self._passes.drained()
        while len(self.counter.cycles["o_pass_done"]) < self.model.expected.passes_done:
            await self.bench.cycles(1)
        await self.bench.cycles(2)
        assert int(self.bench.dut.o_idle.value)

    async def check(self, *, cycles: bool = False) -> None:
        """Compare everything that came out with the model; ``cycles``: also when."""
        await self.finished()
        expected = self.model.expected
        assert self._exponents.received == expected.value_exponents
        _same(self.writes.received, expected.vector_writes)
        _same(self.scores.received, expected.scores)
        _same(self.top_k.received, expected.top_k)
        assert len(self.counter.cycles["o_pass_done"]) == expected.passes_done
        words = [_pattern(word) for word in self.model.vector_memory]
        assert self.memories.vector_memory == words
        rows = self.counter.cycles["o_mac"]
        assert len(rows) == len(expected.row_cycles)
        if cycles:
            assert [row - rows[0] for row in rows] == expected.row_cycles


def _pattern(word: np.ndarray) -> int:
    return sum(int(x) << 24 * lane for lane, x in enumerate(float24.encode(word)))


def _same(got: list[Any], expected: list[Any]) -> None:
    for index, (a, b) in enumerate(zip(got, expected, strict=False)):
        assert a == b, f"result {index}: got {a}, expected {b}"
    assert len(got) == len(expected)


class PassMaker:
    """Draws passes of all kinds; no pass overwrites what it reads itself, except in place."""

    def __init__(self, harness: EngineHarness, rows: list[int]) -> None:
        self._harness, self._rows = harness, rows
        self._random = harness.bench.random_for("passes")
        self._quarter = harness.config.vector_memory_words // 4
        self._count = 0
        self._before: tuple[int, int] = (0, 1)

    def matmul(self, **given: int) -> dict[str, int]:
        """A matmul, starting from zero, in place, from a bias, or from the results before it."""
        draw = self._random
        n_tiles = given.get("n_tiles", draw.randint(1, 4))
        rows = given.get("rows", draw.choice(self._rows))
        self._count += 1
        stride = n_tiles + draw.randrange(3)
        region = self._count % 2 * self._quarter
        destination = region + draw.randrange(self._quarter - stride * rows)
        initial = draw.choice([ZERO, VECTOR])
        address, initial_stride = draw.choice(
            [(destination, stride), (3 * self._quarter + draw.randrange(64), 0), self._before]
        )
        self._before = (destination, stride)
        fields = {
            "rows": rows,
            "k_blocks": draw.choice([1, 1, 2, 3]),
            "n_tiles": n_tiles,
            "source": draw.choice([W8, W4]),
            "initial": initial,
            "initial_address": address,
            "initial_stride": initial_stride,
            "to_vector_memory": 1,
            "destination": destination,
            "destination_stride": stride,
            "last": draw.choice([0, 1, 1]),
        }
        return fields | given

    def head(self) -> dict[str, int]:
        """A matmul of one row whose results enter the top-k list."""
        fields = self.matmul(rows=1, to_top_k=1, clear_top_k=self._random.randrange(2))
        fields["to_vector_memory"] = self._random.randrange(2)
        if not fields["to_vector_memory"]:
            self._before = (3 * self._quarter, 0)
        fields["top_k_base"] = 8 * self._random.randrange(10_000)
        fields["top_k_limit"] = self._random.randrange(1 << 18)
        return fields

    def attention(self, rows: int, n_blocks: int) -> list[dict[str, int]]:
        """S(0), S(1), PV(0), S(2), PV(1) ... PV(last), as the attention controller has them."""
        draw, cols = self._random, self._harness.config.array_cols
        words = self._harness.config.accumulator_words
        k_blocks = draw.choice([1, 2]) if rows * (1 + BLOCK // cols * 2) <= words else 1
        n_tiles = BLOCK * k_blocks // cols
        order = [("S", 0)]
        for block in range(1, n_blocks):
            order += [("S", block), ("PV", block - 1)]
        order.append(("PV", n_blocks - 1))
        passes = []
        for kind, block in order:
            final = kind == "PV" and block == n_blocks - 1
            common = {"rows": rows, "parity": block % 2, "last": int(final)}
            if kind == "S":
                passes.append(
                    common
                    | {"n_tiles": BLOCK // cols, "k_blocks": k_blocks, "has_header": 1}
                    | {"to_scores": 1}
                )
                continue
            passes.append(
                common
                | {"n_tiles": n_tiles, "k_blocks": 1, "source": VALUES, "activation_stride": 1}
                | {"initial": ACCUMULATOR if block else ZERO, "accumulator_base": rows}
                | {"accumulator_stride": n_tiles, "accumulator_per_tile": 1}
                | {"to_accumulator": int(not final), "to_vector_memory": int(final)}
                | {"destination": 2 * self._quarter, "destination_stride": n_tiles}
            )
        return passes
