# SPDX-License-Identifier: Apache-2.0
"""The side path of low-rank adapters (LoRA): which products it adds to a layer, and in what order.

A matrix W with an adapter gives y = W x + B (A x). The products with the A of all matrices that
have the same input stand before the first product with that input, side by side; their results are
quantised while the array is busy with W; the product with B is then added to that with W::

    stream    A of wq, wv | wk wv | B of wv | wq | B of wq | ...
    COMPUTE   A x           W x     + B (Ax)  W x  + B (Ax)
    VECTOR         quantise A x
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from weft.compiler.weight_parts import WeightPart, blocks_of
from weft_arch.config import Configuration

__all__ = ["INPUTS", "NO_LOW_RANK", "LowRankPlan", "LowRankTiles", "plan_low_rank"]

INPUTS = (("wk", "wv", "wq"), ("wo",), ("w_gate", "w_up"), ("w_down",))
"""Matrices of a layer by the input that they share."""


@dataclass(frozen=True, kw_only=True)
class LowRankTiles:
    """Adjacent 8-bit weight tiles of an adapter: rows of A or of B of a matrix, tile n * k_blocks +
    k for output channels n and block k."""

    name: str
    is_a: bool
    first_tile: int
    """of the rows"""
    n_tiles: int
    k_blocks: int

    @property
    def tiles(self) -> int:
        """Weight tiles altogether."""
        return self.n_tiles * self.k_blocks


@dataclass(frozen=True, kw_only=True)
class LowRankPlan:
    """What a layer's side path is made of. Adapters with the same plan share their programs; an
    adapter whose ranks are smaller, or that leaves out a layer, has zeros there.

    ``a`` and ``b`` are the tiles that stand before and behind the products of the parts of a layer,
    part by part.
    """

    a: tuple[tuple[LowRankTiles, ...], ...] = ()
    b: tuple[tuple[LowRankTiles, ...], ...] = ()
    parts: tuple[WeightPart, ...] = ()
    tile_bytes: int = 0

    @property
    def used(self) -> bool:
        """Whether there is a side path."""
        return bool(self.parts)

    def before(self, part: WeightPart) -> tuple[LowRankTiles, ...]:
        """The A that are multiplied before a part of a layer is."""
        return self.a[self.parts.index(part)] if self.used else ()

    def behind(self, part: WeightPart) -> tuple[LowRankTiles, ...]:
        """The B whose products are added to that with a part of a layer."""
        return self.b[self.parts.index(part)] if self.used else ()

    def in_order(self) -> list[LowRankTiles]:
        """All tiles of a layer in the order of their use, in which they lie in memory."""
        both = zip(self.a, self.b, strict=True)
        return [tiles for a, b in both for tiles in (*a, *b)]

    def bytes_before(self, tiles: LowRankTiles) -> int:
        """Where tiles begin, from the first of their layer."""
        order = self.in_order()
        return sum(each.tiles for each in order[: order.index(tiles)]) * self.tile_bytes

    @property
    def layer_bytes(self) -> int:
        """Bytes of a layer of an adapter."""
        return sum(tiles.tiles for tiles in self.in_order()) * self.tile_bytes

    @property
    def words(self) -> int:
        """Vector memory words of a row of A x, at most."""
        return max((sum(each.n_tiles for each in a) for a in self.a), default=0)

    @property
    def blocks(self) -> int:
        """Activation blocks of a row of A x, at most."""
        return max((sum(self.rank_blocks(each) for each in a) for a in self.a), default=0)

    def rank_blocks(self, a: LowRankTiles) -> int:
        """Blocks that the results of an A are quantised to: those that its B is multiplied with."""
        return next(b.k_blocks for behind in self.b for b in behind if b.name == a.name)

    def place(self, name: str) -> tuple[int, int]:
        """Where the quantised A x of a matrix lies: its first block in a row, and blocks per
        row."""
        side_by_side = next(a for a in self.a if any(each.name == name for each in a))
        blocks = [self.rank_blocks(each) for each in side_by_side]
        index = [each.name for each in side_by_side].index(name)
        return sum(blocks[:index]), sum(blocks)


NO_LOW_RANK = LowRankPlan()
"""Of a program without a side path."""


def plan_low_rank(
    config: Configuration, parts: Sequence[WeightPart], ranks: Mapping[str, int]
) -> LowRankPlan:
    """The side path for matrices with a rank; ``parts`` are a layer's. Whatever a rank is padded
    to, a tile of the array in A or a block in B, is zero and changes no result."""

    def part_of(name: str) -> WeightPart:
        return next(part for part in parts if name in part.names)

    def a_before(part: WeightPart) -> Iterable[LowRankTiles]:
        names = next(names for names in INPUTS if part.names[0] in names)
        first = next(p for p in parts if set(names).intersection(p.names))
        for name in names if part is first else ():
            if name in ranks:
                n_tiles = -(-ranks[name] // config.array_cols)
                yield LowRankTiles(
                    name=name,
                    is_a=True,
                    first_tile=0,
                    n_tiles=n_tiles,
                    k_blocks=part_of(name).k_blocks,
                )

    def b_behind(part: WeightPart) -> Iterable[LowRankTiles]:
        for name, n_tiles in zip(part.names, part.n_tiles, strict=True):
            if name in ranks:
                yield LowRankTiles(
                    name=name,
                    is_a=False,
                    first_tile=part.first_tile,
                    n_tiles=n_tiles,
                    k_blocks=blocks_of(ranks[name]),
                )

    return LowRankPlan(
        a=tuple(tuple(a_before(part)) for part in parts),
        b=tuple(tuple(b_behind(part)) for part in parts),
        parts=tuple(parts),
        tile_bytes=config.tile_bytes(8),
    )
