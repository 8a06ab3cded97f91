# SPDX-License-Identifier: Apache-2.0
"""Weights that one MATMUL consumes, and the order in which a layer's stand in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from weft.model import ModelConfig
from weft_arch.config import BLOCK, Configuration

__all__ = ["WeightPart", "blocks_of", "head_part", "layer_parts"]


def blocks_of(width: int) -> int:
    """Blocks of 32 that hold ``width`` values."""
    return -(-width // BLOCK)


@dataclass(frozen=True)
class WeightPart:
    """Some weights side by side that one MATMUL consumes: [sum of rows padded to tiles, K]."""

    names: tuple[str, ...]
    first_tile: int
    """of each of the names"""
    n_tiles: tuple[int, ...]
    """tiles of output channels of each of the names"""
    k_blocks: int

    @property
    def tiles(self) -> int:
        """Weight tiles altogether."""
        return sum(self.n_tiles) * self.k_blocks


def layer_parts(
    model: ModelConfig,
    config: Configuration,
    products: Iterable[tuple[str, ...]],
    hidden_slices: Sequence[int],
) -> tuple[WeightPart, ...]:
    """The parts of a layer in the order of its ``products``; what makes the hidden channels is cut
    into slices of so many tiles."""
    parts: list[WeightPart] = []
    for names in products:
        whole = _part(model.layer_shapes(), config, names)
        if "w_up" not in names:
            parts.append(whole)
            continue
        starts = accumulate(hidden_slices, initial=0)
        parts.extend(
            replace(whole, first_tile=start, n_tiles=(size,) * len(names))
            for start, size in zip(starts, hidden_slices, strict=False)
        )
    return tuple(parts)


def head_part(model: ModelConfig, config: Configuration) -> WeightPart:
    """The head; an encoder has one without tiles."""
    if model.head == "none":
        return WeightPart(("lm_head",), 0, (0,), blocks_of(model.dim))
    return _part(model.model_shapes(), config, ("lm_head",))


def _part(
    shapes: dict[str, tuple[int, ...]], config: Configuration, names: tuple[str, ...]
) -> WeightPart:
    n_tiles = tuple(-(-shapes[name][0] // config.array_cols) for name in names)
    return WeightPart(names, 0, n_tiles, blocks_of(shapes[names[0]][1]))
