# SPDX-License-Identifier: Apache-2.0
"""Causal attention of one head over a KV cache in memory, queries and outputs from and to DRAM.

The queries are worked on in chunks of 64 rows, of which the earlier half goes through one kv block
in vain. A chunk of a long reach comes first, because its keys and values keep the array busy while
the next queries are loaded, and one of 32 rows last, which leaves little to store.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from weft.benchmarks.product import run_program, write_rows
from weft.benchmarks.result import Progress, Result, measure
from weft.compiler.building_blocks import f24
from weft.devices import find_preset, open_device
from weft.forecast import forecast
from weft_arch import layouts
from weft_arch.config import BLOCK, Configuration
from weft_arch.device import Device
from weft_arch.isa import (
    Attend,
    Halt,
    Instruction,
    Load,
    LoadFormat,
    OperandB,
    Scalar,
    Store,
    StoreKV,
    StreamKV,
    Vector,
    VectorDestination,
    VectorOp,
)

__all__ = ["AttentionPlan", "attention", "attention_program", "run_attention"]

HEAD_DIM = 64
PARTS = 4
"""Parts of the first queries and of the last outputs, so that little is waited for."""
K_BLOCKS = HEAD_DIM // BLOCK
QUERY_BUFFERS, RESULT_BUFFERS = 3, 4
"""A chunk after a long one is done before the long one's outputs are stored."""


class Token(IntEnum):
    """Dependency tokens; the FREE ones are there at the beginning, one for each buffer."""

    STAGED = 1
    STAGE_FREE = 2
    QUERIES = 3
    CODES_FREE = 4
    ATTENDED = 5
    NORMALISED = 6
    RESULT_FREE = 7


class Register(IntEnum):
    """Scalar registers."""

    POSITION = 1
    CONTEXT = 2


@dataclass(frozen=True)
class AttentionPlan:
    """Places of queries, results (words), codes (blocks) and of everything in memory (bytes)."""

    config: Configuration
    length: int

    @property
    def rows(self) -> int:
        """Most rows of a chunk."""
        return 2 * BLOCK

    @property
    def row_words(self) -> int:
        """Words of a query or of an output."""
        return HEAD_DIM // self.config.lanes

    def chunks(self) -> list[tuple[int, int]]:
        """(first position, rows) in the order in which they are worked on."""
        starts = [0, *range(BLOCK, self.length, self.rows)]
        ends = [*starts[1:], self.length]
        *chunks, first, last = [(a, b - a) for a, b in zip(starts, ends, strict=True)]
        return [first, *chunks, last]

    def stage(self, number: int) -> int:
        """First word of a chunk's queries."""
        return number % QUERY_BUFFERS * self.rows * self.row_words

    def result(self, number: int) -> int:
        """First word of a chunk's outputs."""
        return (QUERY_BUFFERS + number % RESULT_BUFFERS) * self.rows * self.row_words

    def codes(self, number: int) -> int:
        """First activation block of a chunk's queries."""
        return number % QUERY_BUFFERS * self.rows * K_BLOCKS

    def row_scalar(self, number: int) -> int:
        """First row scalar of a chunk."""
        return number % RESULT_BUFFERS * self.rows

    @property
    def probabilities(self) -> int:
        """First activation block of the probabilities."""
        return QUERY_BUFFERS * self.rows * K_BLOCKS

    @property
    def inputs(self) -> int:
        """Address of queries, keys and values, float16, one after the other."""
        return 1 << 16

    @property
    def input_bytes(self) -> int:
        """Bytes of one of the three."""
        return 2 * HEAD_DIM * self.length

    @property
    def cache(self) -> int:
        """Address of the KV slot."""
        return self.inputs + 3 * self.input_bytes

    @property
    def output(self) -> int:
        """Address of the outputs, F32."""
        layout = layouts.KVLayout(self.config, K_BLOCKS)
        return self.cache + layout.slot_bytes(self.length)

    @property
    def end(self) -> int:
        """First address after everything."""
        return self.output + 4 * HEAD_DIM * self.length

    @property
    def useful_cycles(self) -> int:
        """Array cycles of all kv blocks that hold at least one key that the row sees."""
        blocks = sum(row // BLOCK + 1 for row in range(self.length))
        return blocks * 2 * BLOCK * HEAD_DIM // self.config.cells


def _load(plan: AttentionPlan, which: int, position: int, rows: int, **more: int) -> Instruction:
    return Load(
        address=plan.inputs + which * plan.input_bytes + 2 * HEAD_DIM * position,
        count=rows,
        format=LoadFormat.F16,
        words=plan.row_words,
        destination_stride=plan.row_words,
        row_bytes=2 * HEAD_DIM,
        **more,
    )


def cache_program(plan: AttentionPlan) -> Iterable[Instruction]:
    """Quantise keys and values and put them into the KV cache."""
    yield Vector(signal_a=Token.STAGE_FREE, words=1)
    for position in range(0, plan.length, BLOCK):
        yield Scalar(destination=Register.POSITION, address=position)
        for values in (0, 1):
            yield _load(
                plan, 1 + values, position, BLOCK, wait_a=Token.STAGE_FREE, signal_a=Token.STAGED
            )
            yield Vector(
                wait_a=Token.STAGED,
                signal_a=Token.STAGE_FREE,
                operation=VectorOp.COPY,
                to=VectorDestination.VALUES if values else VectorDestination.KEYS,
                count=BLOCK,
                words=plan.row_words,
                a_outer=plan.row_words,
                group_words=plan.row_words if values else plan.config.words_per_block,
            )
            yield StoreKV(
                address=plan.cache,
                aux_a_reg=Register.POSITION,
                count=BLOCK,
                values=values,
                k_blocks=K_BLOCKS,
                slots=1,
            )
    yield Load(wait_a=Token.STAGE_FREE, words=1)
    yield Halt()


def attention_program(plan: AttentionPlan) -> Iterable[Instruction]:
    """The measured program. The vector unit works in order, so the queries of the chunk after the
    next are quantised before this one's outputs are normalised."""
    chunks = plan.chunks()
    for _ in range(QUERY_BUFFERS):
        yield Vector(signal_a=Token.STAGE_FREE, signal_b=Token.CODES_FREE, words=1)
    for _ in range(RESULT_BUFFERS):
        yield Vector(signal_a=Token.RESULT_FREE, words=1)
    ahead = QUERY_BUFFERS - 1
    for number, chunk in enumerate(chunks[:ahead]):
        yield from _queries(plan, number, chunk, PARTS if number == 0 else 1)
    for number, chunk in enumerate(chunks):
        position, rows = chunk
        context = position + rows
        yield Scalar(destination=Register.POSITION, address=position)
        yield Scalar(destination=Register.CONTEXT, address=context)
        yield StreamKV(address=plan.cache, count=context, k_blocks=K_BLOCKS)
        yield _attend(plan, number, rows)
        if number + ahead < len(chunks):
            yield from _queries(plan, number + ahead, chunks[number + ahead])
        yield from _output(plan, number, chunk, PARTS if number == len(chunks) - 1 else 1)
    # Take back what is left, so that the program ends as it began.
    for _ in range(QUERY_BUFFERS):
        yield Vector(wait_a=Token.STAGE_FREE, wait_b=Token.CODES_FREE, words=1)
    for _ in range(RESULT_BUFFERS):
        yield Vector(wait_a=Token.RESULT_FREE, words=1)
    yield Halt()


def _queries(
    plan: AttentionPlan, number: int, chunk: tuple[int, int], parts: int = 1
) -> Iterable[Instruction]:
    """Load and quantise, times log2(e) / sqrt(head_dim), because scores are powers of two; some
    rows are quantised while the next part of them is loaded."""
    position, rows = chunk[0], chunk[1] // parts
    for part in range(parts):
        first, last = part == 0, part == parts - 1
        word = plan.stage(number) + part * rows * plan.row_words
        yield _load(
            plan,
            0,
            position + part * rows,
            rows,
            wait_a=Token.STAGE_FREE if first else 0,
            signal_a=Token.STAGED,
            destination=word,
        )
        yield Vector(
            wait_a=Token.STAGED,
            wait_b=Token.CODES_FREE if first else 0,
            signal_a=Token.STAGE_FREE if last else 0,
            signal_b=Token.QUERIES if last else 0,
            operation=VectorOp.MUL,
            operand_b=OperandB.IMMEDIATE,
            address=f24(math.log2(math.e) / HEAD_DIM**0.5),
            to=VectorDestination.ACTIVATIONS,
            count=rows,
            words=plan.row_words,
            a=word,
            a_outer=plan.row_words,
            d=plan.codes(number) + part * rows * K_BLOCKS,
            d_outer=K_BLOCKS,
            group_words=plan.config.words_per_block,
        )


def _attend(plan: AttentionPlan, number: int, rows: int) -> Instruction:
    return Attend(
        wait_a=Token.QUERIES,
        wait_b=Token.RESULT_FREE,
        signal_a=Token.ATTENDED,
        signal_b=Token.CODES_FREE,
        address=plan.codes(number),
        count=rows,
        aux_a_reg=Register.POSITION,
        aux_b_reg=Register.CONTEXT,
        activation_stride=K_BLOCKS,
        k_blocks=K_BLOCKS,
        rows_per_position=1,
        causal=1,
        probabilities=plan.probabilities,
        destination=plan.result(number),
        destination_stride=plan.row_words,
        row_scalar=plan.row_scalar(number),
    )


def _output(
    plan: AttentionPlan, number: int, chunk: tuple[int, int], parts: int = 1
) -> Iterable[Instruction]:
    """Divide by the sums and store; some rows are stored while the next part is divided."""
    position, rows = chunk[0], chunk[1] // parts
    words = plan.row_words
    for part in range(parts):
        row = part * rows
        result = plan.result(number) + row * words
        yield Vector(
            wait_a=Token.ATTENDED if part == 0 else 0,
            signal_a=Token.NORMALISED,
            operation=VectorOp.MUL,
            operand_b=OperandB.ROW_SCALAR,
            count=rows,
            words=words,
            a=result,
            a_outer=words,
            b=plan.row_scalar(number) + row,
            b_outer=1,
            d=result,
            d_outer=words,
        )
        yield Store(
            wait_a=Token.NORMALISED,
            signal_a=Token.RESULT_FREE if part == parts - 1 else 0,
            address=plan.output + 4 * HEAD_DIM * (position + row),
            count=rows,
            words=words,
            source=result,
            source_stride=words,
            row_bytes=4 * HEAD_DIM,
        )


def run_attention(
    device: Device, plan: AttentionPlan, inputs: np.ndarray
) -> tuple[dict[str, int], np.ndarray]:
    """The counters of the attention alone, and its outputs float32 [length, head_dim].

    ``inputs``: float16 [3, length, head_dim], queries, keys and values.
    """
    write_rows(device, plan.inputs, inputs)
    run_program(device, list(cache_program(plan)), write_base=plan.cache, write_limit=plan.end)
    program = list(attention_program(plan))
    counters = measure(
        device,
        lambda: run_program(device, program, write_base=plan.output, write_limit=plan.end),
    )
    raw = device.read_memory(plan.output, 4 * HEAD_DIM * plan.length)
    return counters, raw.view("<f4").reshape(plan.length, HEAD_DIM)


def attention(name: str, length: int, progress: Progress) -> Result:
    """Array cycles of the kv blocks that are visible to a row / cycles, first to last byte."""
    config = find_preset("default")
    plan = AttentionPlan(config, length)
    inputs = np.random.default_rng(length).standard_normal((3, length, HEAD_DIM)).astype(np.float16)
    program = list(attention_program(plan))
    with open_device("rtl", config, memory_bytes=plan.end, progress=progress) as device:
        counters, _ = run_attention(device, plan, inputs)
    return Result(
        name=name,
        preset=config.name,
        value=plan.useful_cycles / counters["cycles"],
        unit="fraction",
        target="90 %",
        cycles=counters["cycles"],
        forecast=forecast(program, config).cycles,
        counters=counters,
    )
