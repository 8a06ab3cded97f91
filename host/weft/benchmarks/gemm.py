# SPDX-License-Identifier: Apache-2.0
"""Matrix products C[M, N] = A[M, K] * B[K, N], everything from and to DRAM.

A comes as float16 rows and is quantised on the way in, B as W8 tiles, C goes out as F32. M is done
in groups of rows; while the array works on one group, the next one is loaded and quantised and the
one before is stored. Within a group, output columns are done in slices with two result buffers.
"""

from dataclasses import dataclass

import numpy as np

from weft.benchmarks.result import Progress, Result, read_counters
from weft.compiler.hazards import check_hazards
from weft.devices import find_preset, open_device
from weft.errors import WeftError
from weft.quantize import WeightFormat, quantize
from weft_arch import layouts, registers
from weft_arch.config import BLOCK, Configuration
from weft_arch.device import Device
from weft_arch.encoding import encode_program
from weft_arch.isa import (
    Halt,
    Instruction,
    Load,
    LoadFormat,
    Matmul,
    Store,
    StreamWeights,
    Vector,
    VectorDestination,
    VectorOp,
)

__all__ = ["GemmPlan", "gemm_from_dram", "gemm_program", "run_gemm"]

LOADED, STAGE_FREE, QUANTIZED, CODES_FREE, DONE, RESULT_FREE, FIRST_LOADED = range(1, 8)
"""Dependency tokens. Every buffer is double: two FREE tokens each to begin with."""

PIECE_ROWS = 4
"""Most rows that are loaded and quantised at a time: the last piece delays the first product."""
SLICE_TILES = 4
"""Most tiles of output columns per MATMUL: what is left to store when the array is done."""


@dataclass(frozen=True, kw_only=True)
class GemmPlan:
    """Sizes and memory addresses of a product."""

    rows: int
    columns: int
    depth: int
    program: int = 0
    activations: int
    weights: int
    results: int
    end: int
    group_rows: int
    """most rows that are quantised and multiplied at a time"""
    piece_rows: int
    """rows that are loaded at a time"""
    slice_tiles: int
    """tiles of output columns per MATMUL"""

    @classmethod
    def make(cls, config: Configuration, rows: int, columns: int, depth: int) -> "GemmPlan":
        """A plan that fits ``config``; sizes must be multiples of 32."""
        if rows % BLOCK or columns % BLOCK or depth % BLOCK:
            raise WeftError(f"the product {rows} x {columns} x {depth} is not in multiples of 32.")
        k_blocks, lanes = depth // BLOCK, config.lanes
        group_rows = min(config.max_rows, rows, config.activation_blocks // (2 * k_blocks))
        half = config.vector_memory_words // 4
        piece_rows = min(group_rows, half * lanes // depth, PIECE_ROWS)
        slice_tiles = min(columns // config.array_cols, half // group_rows, SLICE_TILES)
        while (columns // config.array_cols) % slice_tiles:
            slice_tiles -= 1
        while group_rows % piece_rows:
            piece_rows -= 1
        activations = 1 << 16
        weights = activations + 2 * rows * depth
        tiles = columns // config.array_cols * k_blocks
        results = weights + tiles * config.tile_bytes(8)
        return cls(
            rows=rows,
            columns=columns,
            depth=depth,
            activations=activations,
            weights=weights,
            results=results,
            end=results + 4 * rows * columns,
            group_rows=group_rows,
            piece_rows=piece_rows,
            slice_tiles=slice_tiles,
        )

    def groups(self) -> list[tuple[int, int]]:
        """(first row, rows) of each group."""
        starts = range(0, self.rows, self.group_rows)
        return [(start, min(self.group_rows, self.rows - start)) for start in starts]


def gemm_program(config: Configuration, plan: GemmPlan) -> list[Instruction]:
    """The program, unrolled: every instruction is one tensor operation."""
    program: list[Instruction] = [
        Vector(signal_a=token, signal_b=token, words=1)
        for token in (STAGE_FREE, CODES_FREE, RESULT_FREE)
    ]
    tiles = plan.columns // config.array_cols * (plan.depth // BLOCK)
    for number, (first_row, rows) in enumerate(plan.groups()):
        program += _quantize_group(config, plan, number, first_row, rows)
        # The first weights give way to the first rows, without which nothing can begin.
        wait = FIRST_LOADED if number == 0 else 0
        program.append(StreamWeights(wait_a=wait, address=plan.weights, count=tiles))
        program += _multiply_group(config, plan, number, first_row, rows)
    # Take back what is left, so that the program ends as it began.
    program += [
        Load(wait_a=STAGE_FREE, wait_b=STAGE_FREE, words=1),
        Vector(wait_a=CODES_FREE, wait_b=CODES_FREE, words=1),
        Store(wait_a=RESULT_FREE, wait_b=RESULT_FREE, words=1),
        Halt(),
    ]
    return program


def _codes(config: Configuration, plan: GemmPlan, number: int) -> int:
    """First activation block of a group."""
    return number % 2 * plan.group_rows * (plan.depth // BLOCK)


def _quantize_group(
    config: Configuration, plan: GemmPlan, number: int, first_row: int, rows: int
) -> list[Instruction]:
    k_blocks, words = plan.depth // BLOCK, plan.depth // config.lanes
    quarter = config.vector_memory_words // 4
    program: list[Instruction] = []
    for row in range(0, rows, plan.piece_rows):
        size = min(plan.piece_rows, rows - row)
        last = row + size == rows
        stage = (first_row + row) // plan.piece_rows % 2 * quarter
        program += [
            Load(
                wait_a=STAGE_FREE,
                signal_a=LOADED,
                signal_b=FIRST_LOADED if number == 0 and last else 0,
                address=plan.activations + 2 * plan.depth * (first_row + row),
                count=size,
                format=LoadFormat.F16,
                words=words,
                destination=stage,
                destination_stride=words,
                row_bytes=2 * plan.depth,
            ),
            Vector(
                wait_a=LOADED,
                wait_b=CODES_FREE if row == 0 else 0,
                signal_a=STAGE_FREE,
                signal_b=QUANTIZED if last else 0,
                operation=VectorOp.COPY,
                to=VectorDestination.ACTIVATIONS,
                count=size,
                words=words,
                a=stage,
                a_outer=words,
                d=_codes(config, plan, number) + row * k_blocks,
                d_outer=k_blocks,
                group_words=config.words_per_block,
            ),
        ]
    return program


def _multiply_group(
    config: Configuration, plan: GemmPlan, number: int, first_row: int, rows: int
) -> list[Instruction]:
    k_blocks = plan.depth // BLOCK
    slices = plan.columns // config.array_cols // plan.slice_tiles
    program: list[Instruction] = []
    for index in range(slices):
        half = (number * slices + index) % 2
        result = (2 + half) * (config.vector_memory_words // 4)
        column = index * plan.slice_tiles * config.array_cols
        program += [
            Matmul(
                wait_a=RESULT_FREE,
                wait_b=QUANTIZED if index == 0 else 0,
                signal_a=DONE,
                signal_b=CODES_FREE if index == slices - 1 else 0,
                address=_codes(config, plan, number),
                count=rows,
                activation_stride=k_blocks,
                k_blocks=k_blocks,
                n_tiles=plan.slice_tiles,
                destination=result,
                destination_stride=plan.slice_tiles,
            ),
            Store(
                wait_a=DONE,
                signal_a=RESULT_FREE,
                address=plan.results + 4 * (first_row * plan.columns + column),
                count=rows,
                words=plan.slice_tiles,
                source=result,
                source_stride=plan.slice_tiles,
                row_bytes=4 * plan.columns,
            ),
        ]
    return program


def run_gemm(device: Device, plan: GemmPlan, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """C = A * B on a device: A float16 [M, K], B float32 [N, K] (quantised here), C float32."""
    config = device.config
    program = gemm_program(config, plan)
    check_hazards(program, config, scalars={}, write_base=plan.results, write_limit=plan.end)
    quantized = quantize(b, WeightFormat.W8)
    device.write_memory(plan.program, encode_program(program))
    device.write_memory(plan.activations, np.ascontiguousarray(a).view(np.uint8).reshape(-1))
    tiles = layouts.pack_tiles(config, quantized.codes, quantized.scales, 8)
    device.write_memory(plan.weights, tiles)
    for name, value in (
        ("PROGRAM_BASE", plan.program),
        ("PROGRAM_LENGTH", len(program)),
        ("REGION_BASE", 0),
        ("REGION_LIMIT", plan.end),
        ("WRITE_BASE", plan.results),
        ("WRITE_LIMIT", plan.end),
    ):
        device.write_register(registers.offset(name), value)
    device.start()
    device.wait(200_000_000)
    raw = device.read_memory(plan.results, 4 * plan.rows * plan.columns)
    return raw.view("<f4").reshape(plan.rows, plan.columns)


def gemm_from_dram(name: str, size: int, progress: Progress) -> Result:
    """Useful MACs / (cycles * cells) of a square product, from start command to interrupt."""
    config = find_preset("default")
    plan = GemmPlan.make(config, size, size, size)
    random = np.random.default_rng(1)
    a = random.standard_normal((size, size)).astype(np.float16)
    b = random.standard_normal((size, size)).astype(np.float32)
    with open_device("rtl", config, memory_bytes=plan.end, progress=progress) as device:
        before = read_counters(device)
        run_gemm(device, plan, a, b)
        after = read_counters(device)
    counters = {key: after[key] - before[key] for key in after}
    useful = size**3 / config.cells
    return Result(
        name=name,
        preset=config.name,
        value=useful / counters["cycles"],
        unit="fraction",
        target="85 %",
        cycles=counters["cycles"],
        counters=counters,
    )
