# SPDX-License-Identifier: Apache-2.0
"""How a matrix product from and to DRAM is cut up, and where everything is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft.benchmarks.product import ProductPlan
from weft.errors import WeftError
from weft_arch.config import BLOCK, Configuration

__all__ = ["GemmPlan"]

MOST_PIECES, LEAST_PIECE_BLOCKS = 8, 2
"""Small pieces begin early, but results that start and end in vector memory piece by piece keep its
ports busy for a cycle in every `piece_blocks`."""
MOST_SLICE_TILES = 16
STREAM_SHARE = 0.6
"""Of the bus: where weights take less than this with groups of 32 rows, groups are not larger."""
MOST_STAGES = 3
"""Staging buffers where the pieces are an odd number."""


@dataclass(frozen=True, kw_only=True)
class GemmPlan(ProductPlan):
    """Sizes and on-chip places (words, blocks) of a product in groups of rows."""

    group_rows: int
    """rows that are on the chip at a time; all groups are equal"""
    piece_blocks: int
    """blocks of K that are loaded, quantised and given back at a time"""
    slice_tiles: int
    """tiles of columns whose results are on the chip at a time"""

    @classmethod
    def make(cls, config: Configuration, rows: int, columns: int, depth: int) -> "GemmPlan":
        """A plan that fits ``config``; a `WeftError` if there is none."""
        k_blocks, n_tiles = -(-depth // BLOCK), columns // config.array_cols
        # Just so many rows that the weights, streamed once for each group, leave the bus some time.
        stream_cycles = config.tile_bytes(8) / config.memory_bytes_per_cycle
        wanted_rows = BLOCK if stream_cycles <= STREAM_SHARE * BLOCK else config.max_rows
        most_rows = min(wanted_rows, config.max_rows, config.activation_blocks // k_blocks)
        group_rows = _largest_divisor(rows, most_rows)
        piece_blocks = min(max(-(-k_blocks // MOST_PIECES), LEAST_PIECE_BLOCKS), k_blocks)
        while k_blocks % piece_blocks:
            piece_blocks += 1
        pieces = k_blocks // piece_blocks
        stages = _stages(pieces) * _sets(rows // max(group_rows, 1), pieces)
        stage = stages * group_rows * piece_blocks * config.words_per_block
        room = (config.vector_memory_words - stage) // (2 * max(group_rows, 1))
        if group_rows < 1 or room < 1:
            raise WeftError(f"the product's {depth} channels do not fit preset {config.name}.")
        # An even number of slices, so that every group begins with the same result buffer.
        slice_tiles = _largest_divisor(n_tiles // 2, min(MOST_SLICE_TILES, room))
        return cls(
            config=config,
            rows=rows,
            columns=columns,
            depth=depth,
            group_rows=group_rows,
            piece_blocks=piece_blocks,
            slice_tiles=slice_tiles,
        )

    @property
    def pieces(self) -> int:
        """Pieces of K."""
        return self.k_blocks // self.piece_blocks

    @property
    def stages(self) -> int:
        """Staging buffers: so many that every group of rows begins with the same one."""
        return _stages(self.pieces)

    @property
    def groups(self) -> int:
        """Groups of rows."""
        return self.rows // self.group_rows

    @property
    def sets(self) -> int:
        """Sets of staging buffers and activation blocks, for alternate groups."""
        return _sets(self.groups, self.pieces)

    @property
    def piece_words(self) -> int:
        """Words of a row's piece; also how far apart rows are where pieces are staged."""
        whole = self.piece_blocks * self.config.words_per_block
        return min(whole, self.depth // self.config.lanes)

    def stage(self, which: int, piece: int) -> int:
        """First word of a piece's staging buffer, in a set."""
        number = which * self.stages + piece % self.stages
        return number * self.group_rows * self.piece_words

    def codes(self, which: int) -> int:
        """First activation block of a set."""
        return which * self.group_rows * self.k_blocks

    @property
    def results(self) -> int:
        """First word of the two result buffers; the staging buffers come before."""
        return self.stage(self.sets, 0)

    def result(self, slice_number: int) -> int:
        """First word of a slice's results."""
        return self.results + slice_number % 2 * self.group_rows * self.slice_tiles

    def weight_order(self) -> NDArray[np.intp]:
        """Numbers n * k_blocks + k of the tiles in memory: the first slice piece by piece, the
        slices between column by column, the last slice both ways (the last group has no need to
        give pieces back, but wants to have little left to store)."""
        number = np.arange(self.n_tiles * self.k_blocks).reshape(self.n_tiles, self.k_blocks)

        def by_pieces(tiles: NDArray[np.intp]) -> NDArray[np.intp]:
            return tiles.reshape(len(tiles), self.pieces, -1).swapaxes(0, 1).reshape(-1)

        first, last = number[: self.slice_tiles], number[-self.slice_tiles :]
        between = number[self.slice_tiles : -self.slice_tiles].reshape(-1)
        return np.concatenate([by_pieces(first), between, by_pieces(last), last.reshape(-1)])


def _sets(groups: int, pieces: int) -> int:
    # With one piece, the next group would wait for all of the one before it.
    return 2 if groups == 2 and pieces == 1 else 1


def _stages(pieces: int) -> int:
    return 2 if pieces % 2 == 0 else _largest_divisor(pieces, MOST_STAGES)


def _largest_divisor(number: int, limit: int) -> int:
    return max((d for d in range(1, min(number, limit) + 1) if number % d == 0), default=0)
