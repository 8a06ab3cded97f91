# SPDX-License-Identifier: Apache-2.0
"""Matrix products that fit the chip: A, its codes and C have places of their own.

Nothing waits for room, so the program is short: no loop, no tokens but those that say that data
have come. Rows go in groups, so that the array begins when the first of them are there; weights are
streamed once for each group. Results are stored tile by tile, as soon as they are made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from weft.benchmarks.product import ProductPlan
from weft_arch.config import BLOCK, Configuration
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

__all__ = ["AtOncePlan", "at_once_plans", "at_once_program"]

GROUP_ROWS = 8, 16, 32
"""Rows of a group, where they divide all; the array takes as long for fewer."""
SLICE_TILES = 1, 2, 4
"""Tiles of columns that are stored together."""


class Token(IntEnum):
    """Dependency tokens."""

    STAGED = 1
    BEGUN = 2
    QUANTIZED = 3
    DONE = 4


@dataclass(frozen=True, kw_only=True)
class AtOncePlan(ProductPlan):
    """How such a product is cut up."""

    group_rows: int
    """rows that the array takes at a time"""
    part_rows: int
    """rows of a group that are loaded and quantised at a time"""
    slice_tiles: int
    """tiles of columns that are multiplied and stored at a time"""

    @property
    def fits(self) -> bool:
        """Whether the chip has room for all of A and C."""
        words = self.rows * (self.row_words + self.n_tiles)
        blocks = self.rows * self.k_blocks
        return (
            words <= self.config.vector_memory_words
            and blocks <= self.config.activation_blocks
            and self.group_rows <= self.config.max_rows
        )

    def result(self, row: int, tile: int) -> int:
        """First word of the results of a group from ``row``, and of a slice from ``tile`` on."""
        return self.rows * self.row_words + row * self.n_tiles + tile * self.group_rows

    def weight_order(self) -> NDArray[np.intp]:
        """Column by column."""
        return np.arange(self.n_tiles * self.k_blocks)


def at_once_plans(
    config: Configuration, rows: int, columns: int, depth: int
) -> Iterable[AtOncePlan]:
    """All plans of this kind for a product that fits ``config``."""
    groups = {size for size in GROUP_ROWS if rows % size == 0} or {rows}
    for group in groups:
        parts = {group, group // 2} if group % 2 == 0 else {group}
        for part in parts:
            for tiles in SLICE_TILES:
                plan = AtOncePlan(
                    config=config,
                    rows=rows,
                    columns=columns,
                    depth=depth,
                    group_rows=group,
                    part_rows=part,
                    slice_tiles=tiles,
                )
                short = len(at_once_program(plan)) <= config.instruction_words
                if plan.n_tiles % tiles == 0 and plan.fits and short:
                    yield plan


def at_once_program(plan: AtOncePlan) -> list[Instruction]:
    """The program: everything that comes, group by group, and then what is made of it."""
    rows = range(0, plan.rows, plan.group_rows)
    return [
        *(each for row in rows for each in _bring(plan, row)),
        *(each for row in rows for each in _multiply(plan, row)),
        Halt(),
    ]


def _bring(plan: AtOncePlan, row: int) -> Iterable[Instruction]:
    """Load and quantise a group, and stream the weights for it. The first part of all has the bus
    for itself: the array can do nothing before."""
    first_waits = row == 0 and plan.part_rows < plan.rows
    end = row + plan.group_rows
    for part in range(row, end, plan.part_rows):
        begins = first_waits and part == 0
        yield from _quantize(plan, part, begins=begins, last=part + plan.part_rows == end)
    yield StreamWeights(
        wait_a=Token.BEGUN if first_waits else 0,
        address=plan.weights,
        count=plan.n_tiles * plan.k_blocks,
    )


def _quantize(plan: AtOncePlan, row: int, *, begins: bool, last: bool) -> Iterable[Instruction]:
    yield Load(
        signal_a=Token.STAGED,
        signal_b=Token.BEGUN if begins else 0,
        address=plan.a + 2 * row * plan.depth,
        count=plan.part_rows,
        format=LoadFormat.F16,
        words=plan.row_words,
        destination=row * plan.row_words,
        destination_stride=plan.row_words,
        row_bytes=2 * plan.depth,
    )
    yield Vector(
        wait_a=Token.STAGED,
        signal_a=Token.QUANTIZED if last else 0,
        operation=VectorOp.COPY,
        to=VectorDestination.ACTIVATIONS,
        count=plan.part_rows,
        words=plan.row_words,
        a=row * plan.row_words,
        a_outer=plan.row_words,
        d=row * plan.k_blocks,
        d_outer=plan.k_blocks,
        group_words=plan.config.words_per_block,
        fill=int(plan.depth < BLOCK),
    )


def _multiply(plan: AtOncePlan, row: int) -> Iterable[Instruction]:
    """A group with all weights; each slice is stored when it is done."""
    for tile in range(0, plan.n_tiles, plan.slice_tiles):
        yield Matmul(
            wait_a=Token.QUANTIZED if tile == 0 else 0,
            signal_a=Token.DONE,
            address=row * plan.k_blocks,
            count=plan.group_rows,
            activation_stride=plan.k_blocks,
            k_blocks=plan.k_blocks,
            n_tiles=plan.slice_tiles,
            destination=plan.result(row, tile),
            destination_stride=plan.slice_tiles,
        )
        yield Store(
            wait_a=Token.DONE,
            address=plan.c + 4 * (row * plan.columns + tile * plan.config.array_cols),
            count=plan.group_rows,
            words=plan.slice_tiles,
            source=plan.result(row, tile),
            source_stride=plan.slice_tiles,
            row_bytes=4 * plan.columns,
        )
