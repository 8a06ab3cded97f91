# SPDX-License-Identifier: Apache-2.0
"""The softmax unit against `weft_arch.attention`: whole instructions of several kv blocks."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth import signed
from amaranth.lib import data

from weft_arch import attention, float24
from weft_arch.config import BLOCK, Configuration, preset
from weft_rtl.attention.softmax_unit import SoftmaxUnit
from weft_rtl.interfaces import SoftmaxJob, activation_write, row_scalar_write, score_word
from weft_sim.bench import (
    Bench,
    Packer,
    StreamDriver,
    StreamMonitor,
    bench_test,
    run_cocotb,
)


def configuration(parameters: dict[str, Any]) -> Configuration:
    return dataclasses.replace(
        preset("tiny"),
        array_cols=parameters["lanes"],
        activation_bits=parameters["bits"],
        weight_buffer_bytes=2048,
        max_rows=32,
    )


@dataclass
class Block:
    """One job with its stimulus and what must come of it."""

    job: dict[str, int]
    scores: np.ndarray
    value_exponents: np.ndarray
    codes: np.ndarray
    exponent: np.ndarray
    rescale: np.ndarray
    row_scalars: list[dict[str, int]]


def scores_of(rng: np.random.Generator, kind: str, rows: int, keys: int) -> np.ndarray:
    """F24 scores [rows, keys]."""
    shape = (rows, keys)
    if kind == "huge":
        x = rng.uniform(-2100, 2100, shape)
    elif kind == "overflow":
        x = rng.normal(0, 1, shape) * 2.0 ** rng.integers(-30, 100, shape)
    elif kind == "rising":
        x = np.arange(keys)[None, :] * rng.uniform(0, 12, (rows, 1)) + rng.normal(0, 1, shape)
    elif kind == "falling":
        x = -np.arange(keys)[None, :] * rng.uniform(0, 12, (rows, 1)) - rng.integers(0, 40, shape)
    elif kind == "integers":
        x = rng.integers(-3, 4, shape).astype(float)
    elif kind == "halfway":
        x = rng.integers(-(1 << 16), 1 << 16, shape) / 8192.0
    else:
        x = rng.normal(0, 6, shape)
    return float24.round_to_f24(x)


def instruction(rng: np.random.Generator, bits: int, max_rows: int) -> list[Block]:
    """The kv blocks of one random ATTEND."""
    rows = int(rng.choice([1, 2, 3, 5, max_rows, int(rng.integers(1, max_rows + 1))]))
    rows_per_position = int(rng.choice([1, 2, 3, 7, 63]))
    causal = bool(rng.integers(0, 2))
    n_keys = int(rng.integers(1, 6 * BLOCK)) if rng.integers(0, 4) else BLOCK
    last_row_position = (rows - 1) // rows_per_position
    position = max(0, n_keys - 1 - last_row_position)
    kind = str(
        rng.choice(
            ["normal", "huge", "overflow", "rising", "falling", "integers", "halfway", "normal"]
        )
    )
    n_blocks = -(-n_keys // BLOCK)
    scores = scores_of(rng, kind, rows, n_blocks * BLOCK)
    limits = attention.key_limits(rows, position, n_keys, causal, rows_per_position)
    probabilities = int(rng.integers(0, 1 << 13))
    row_scalar = int(rng.integers(0, 256 - rows))
    state = attention.initial_state(rows)
    blocks = []
    for b in range(n_blocks):
        low, high = [(-14, -2), (-128, 128), (-128, -90), (110, 128)][int(rng.integers(0, 4))]
        value_exponents = rng.integers(low, high, BLOCK)
        part = scores[:, b * BLOCK : (b + 1) * BLOCK]
        visible = attention.visible_keys(limits, b * BLOCK)
        block = attention.softmax_block(state, part, visible, value_exponents, bits)
        state = block.state
        final = b == n_blocks - 1
        reciprocals = float24.encode(attention.finish(state))
        blocks.append(
            Block(
                job={
                    "rows": rows,
                    "first": int(b == 0),
                    "final": int(final),
                    "parity": b % 2,
                    "key_base": b * BLOCK,
                    "first_limit": int(limits[0]),
                    "causal": int(causal),
                    "rows_per_position": rows_per_position,
                    "probabilities": probabilities + (b % 2) * rows,
                    "row_scalar": row_scalar,
                },
                scores=part,
                value_exponents=value_exponents,
                codes=block.codes,
                exponent=block.exponent,
                rescale=block.rescale,
                row_scalars=[
                    {"address": row_scalar + m, "value": int(reciprocals[m])} for m in range(rows)
                ]
                if final
                else [],
            )
        )
    return blocks


class ScoreDriver:
    """Sends the score words of a job in the order of the array, with the array's spacing."""

    def __init__(self, bench: Bench, config: Configuration) -> None:
        self.bench = bench
        self.lanes = config.lanes
        self.packer = Packer(score_word(config))
        bench.dut.i_scores__valid.value = 0

    async def send(self, block: Block, gap: float) -> None:
        port = self.bench.dut.i_scores__payload
        valid = self.bench.dut.i_scores__valid
        patterns = float24.encode(block.scores)
        rows = block.job["rows"]
        for word in range(BLOCK // self.lanes):
            started = self.bench.cycle
            for row in range(rows):
                lanes = patterns[row, word * self.lanes : (word + 1) * self.lanes]
                port.value = self.packer.pack(
                    {
                        "row": row,
                        "word": word,
                        "parity": block.job["parity"],
                        "data": [int(x) for x in lanes],
                    }
                )
                valid.value = 1
                await self.bench.cycles(1)
                valid.value = 0
                while self.bench.random.random() < gap:
                    await self.bench.cycles(1)
            port.value = self.bench.random.getrandbits(self.packer.width)
            await self.bench.cycles(max(0, 8 - (self.bench.cycle - started)))


class Recorder:
    """Counts the pulses and keeps the row scalars."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.ready_cycles: list[int] = []
        self.finals = 0
        self.row_scalars: list[Any] = []
        self.packer = Packer(row_scalar_write())
        bench.add_agent(self._at_edge)
        bench.add_report(lambda: f"{len(self.ready_cycles)} jobs, {self.finals} finals done")

    def _at_edge(self) -> None:
        dut = self.bench.dut
        if int(dut.o_probabilities_ready.value):
            self.ready_cycles.append(self.bench.cycle)
        if int(dut.o_row_scalar__valid.value):
            self.row_scalars.append(self.packer.unpack(int(dut.o_row_scalar__payload.value)))
        if int(dut.o_final_done.value):
            self.finals += 1


async def read_rescale(bench: Bench, parity: int, rows: int) -> list[int]:
    found = []
    bench.dut.rescale__parity.value = parity
    for row in range(rows + 2):
        bench.dut.rescale__row.value = min(row, rows - 1)
        await bench.cycles(1)
        if row >= 2:
            found.append(int(bench.dut.rescale__data.value))
    return found


@bench_test(deadline_cycles=200_000)
async def computes_attention(bench: Bench) -> None:
    config = configuration(bench.parameters)
    rng = np.random.default_rng(bench.seed)
    instructions = [
        instruction(rng, config.activation_bits, config.max_rows)
        for _ in range(bench.parameters["instructions"])
    ]
    jobs = [block for blocks in instructions for block in blocks]
    job_driver = StreamDriver(bench, "i_job", SoftmaxJob)
    exponent_driver = StreamDriver(bench, "i_value_exponents", data.ArrayLayout(signed(8), BLOCK))
    writes = StreamMonitor(bench, "o_activation_write", activation_write(config))
    scores = ScoreDriver(bench, config)
    recorder = Recorder(bench)
    bench.dut.rescale__row.value = 0
    bench.dut.rescale__parity.value = 0
    await bench.cycles(2)

    unchecked: deque[tuple[int, Block]] = deque()

    async def check_done(before: int) -> None:
        """Check the rescale values of all jobs up to number ``before``, when these are done."""
        while unchecked and unchecked[0][0] <= before:
            number, block = unchecked.popleft()
            while len(recorder.ready_cycles) <= number:
                await bench.cycles(1)
            found = await read_rescale(bench, block.job["parity"], block.job["rows"])
            assert found == block.rescale.tolist(), f"rescale of job {number}"

    queued = 0
    for number, block in enumerate(jobs):
        # As the controller does: probabilities of two blocks before must be out, and all of those
        # of the instruction before. The job itself may be there while the scores of the block
        # before still come.
        await check_done(number - 1 if block.job["first"] else number - 2)
        ahead = number + 1 < len(jobs) and not jobs[number + 1].job["first"]
        for job in jobs[queued : number + 1 + (ahead and bench.random.random() < 0.7)]:
            job_driver.send(job.job)
            exponent_driver.send([int(x) for x in job.value_exponents])
            queued += 1
        if job_driver.sent <= number:
            while job_driver.sent <= number:
                await bench.cycles(1)
            await bench.cycles(1)  # scores come two cycles after the job, or later
        unchecked.append((number, block))
        await scores.send(block, bench.stall * 0.3)
    await check_done(len(jobs))
    expected = [
        {
            "address": (block.job["probabilities"] + row) % (1 << 14),
            "block": {
                "codes": [int(x) for x in block.codes[row]],
                "exponent": int(block.exponent[row]),
            },
        }
        for block in jobs
        for row in range(block.job["rows"])
    ]
    await writes.expect(expected)
    await bench.cycles(30)
    assert recorder.row_scalars == [s for block in jobs for s in block.row_scalars]
    assert recorder.finals == len(instructions)
    assert len(recorder.ready_cycles) == len(jobs)
    assert int(bench.dut.o_idle.value)
    position = 0
    for block, ready in zip(jobs, recorder.ready_cycles, strict=True):
        cycles = writes.received_cycles[position : position + block.job["rows"]]
        position += block.job["rows"]
        assert set(np.diff(cycles)) <= {BLOCK // min(config.lanes, 8)}, "8 lanes of a row"
        late = [row for row, cycle in enumerate(cycles) if cycle > ready + 1 + row]
        assert not late, f"who reads a row per cycle overtakes rows {late}"
        assert block.job["rows"] < 32 or ready < cycles[-1], "ready only with the last row"


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(("lanes", "bits"), [(8, 10), (4, 8), (16, 12)])
def test_softmax_unit(lanes: int, bits: int, stall: float) -> None:
    parameters = {"lanes": lanes, "bits": bits, "stall": stall, "instructions": 16}
    run_cocotb(
        SoftmaxUnit(configuration(parameters)),
        __file__,
        tests="computes_attention",
        parameters=parameters,
    )
