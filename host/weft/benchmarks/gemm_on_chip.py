# SPDX-License-Identifier: Apache-2.0
"""A 256 x 256 x 256 matrix product whose operand A and result stay on the chip; B is streamed.

A is quantised into the activation buffer beforehand. The rows are multiplied in four groups. The
vector memory has room for the results of two, so those of the first two are quantised over their
operands, which nobody needs any more, while the array works on the next ones; those of the last two
stay floats.
"""

from collections.abc import Iterable

import numpy as np

from weft.benchmarks.product import random_operands, run_program, write_rows
from weft.benchmarks.result import Progress, Result, measure
from weft.compiler.memory_image import weight_tiles
from weft.devices import find_preset, open_device
from weft.forecast import forecast
from weft.quantize import WeightFormat
from weft_arch.config import BLOCK, Configuration
from weft_arch.device import Device
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

__all__ = ["SIZE", "gemm_on_chip", "run_on_chip"]

SIZE = 256
GROUPS = 4
K_BLOCKS = SIZE // BLOCK
A, WEIGHTS, C = 1 << 16, 1 << 18, 1 << 19
END = C + 4 * SIZE * SIZE // 2
LOADED, FREE, DONE, QUANTIZED = 1, 2, 3, 4


def _quantize_a(config: Configuration) -> Iterable[Instruction]:
    """A into the activation buffer, 32 rows at a time."""
    words = SIZE // config.lanes
    yield Vector(signal_a=FREE, words=1)
    for row in range(0, SIZE, BLOCK):
        yield Load(
            wait_a=FREE,
            signal_a=LOADED,
            address=A + 2 * SIZE * row,
            count=BLOCK,
            format=LoadFormat.F16,
            words=words,
            destination_stride=words,
            row_bytes=2 * SIZE,
        )
        yield _quantized(config, BLOCK, 0, row, wait=LOADED, signal=FREE)
    yield Load(wait_a=FREE, words=1)
    yield Halt()


def _quantized(
    config: Configuration, rows: int, word: int, row: int, *, wait: int, signal: int
) -> Instruction:
    words = SIZE // config.lanes
    return Vector(
        wait_a=wait,
        signal_a=signal,
        operation=VectorOp.COPY,
        to=VectorDestination.ACTIVATIONS,
        count=rows,
        words=words,
        a=word,
        a_outer=words,
        d=row * K_BLOCKS,
        d_outer=K_BLOCKS,
        group_words=config.words_per_block,
    )


def _multiply(config: Configuration) -> Iterable[Instruction]:
    """The measured program."""
    rows, n_tiles = SIZE // GROUPS, SIZE // config.array_cols
    for group in range(GROUPS):
        yield StreamWeights(address=WEIGHTS, count=n_tiles * K_BLOCKS)
        half = group % 2 * rows * n_tiles
        yield Matmul(
            wait_a=QUANTIZED if group >= GROUPS // 2 else 0,
            signal_a=DONE,
            address=group * rows * K_BLOCKS,
            count=rows,
            activation_stride=K_BLOCKS,
            k_blocks=K_BLOCKS,
            n_tiles=n_tiles,
            destination=half,
            destination_stride=n_tiles,
        )
        if group < GROUPS // 2:
            yield _quantized(config, rows, half, group * rows, wait=DONE, signal=QUANTIZED)
    yield Vector(wait_a=DONE, words=1)
    yield Vector(wait_a=DONE, words=1)
    yield Halt()


def _store(config: Configuration) -> Iterable[Instruction]:
    """The results that are floats: the second half of the rows."""
    words = SIZE // config.lanes
    yield Store(address=C, count=SIZE // 2, words=words, source_stride=words, row_bytes=4 * SIZE)
    yield Halt()


def _run(device: Device, program: list[Instruction]) -> None:
    run_program(device, program, write_base=C, write_limit=END)


def run_on_chip(device: Device, a: np.ndarray, b: np.ndarray) -> tuple[dict[str, int], np.ndarray]:
    """The counters of the product alone, and the rows of C that are floats on the chip.

    ``a`` is float16 [256, 256], ``b`` float32 [256, 256] (column n of B is row n, quantised here).
    """
    config = device.config
    write_rows(device, A, a)
    write_rows(device, WEIGHTS, weight_tiles(config, b, WeightFormat.W8))
    _run(device, list(_quantize_a(config)))
    multiply = list(_multiply(config))
    counters = measure(device, lambda: _run(device, multiply))
    _run(device, list(_store(config)))
    raw = device.read_memory(C, END - C)
    return counters, raw.view("<f4").reshape(SIZE // 2, SIZE)


def gemm_on_chip(name: str, progress: Progress) -> Result:
    """Useful MACs / (cycles * cells), from start command to interrupt."""
    config = find_preset("default")
    a, b = random_operands(SIZE, SIZE, SIZE)
    program = list(_multiply(config))
    with open_device("rtl", config, memory_bytes=END, progress=progress) as device:
        counters, _ = run_on_chip(device, a, b)
    return Result(
        name=name,
        preset=config.name,
        value=SIZE**3 / config.cells / counters["cycles"],
        unit="fraction",
        target="99 %",
        cycles=counters["cycles"],
        forecast=forecast(program, config).cycles,
        counters=counters,
    )
