# SPDX-License-Identifier: Apache-2.0
"""Products with the weights of a layer, and what an adapter adds to them on the side."""

from collections.abc import Iterable
from typing import Any

from weft.compiler.building_blocks import BuildingBlocks
from weft.compiler.conventions import ADAPTER, Register, Token
from weft.compiler.low_rank import LowRankTiles
from weft.compiler.weight_parts import WeightPart
from weft_arch.isa import (
    InitMode,
    Instruction,
    Matmul,
    Scalar,
    ScalarOp,
    StreamWeights,
    VectorOp,
    WeightFormat,
)

__all__ = ["Products"]


class Products(BuildingBlocks):
    """Builds products. Where the plan has no side path, they are one instruction each."""

    def streams(self, parts: Iterable[WeightPart], skipped: int) -> Iterable[Instruction]:
        """The weights of a layer's parts that lie side by side, ``skipped`` bytes behind the
        layer's first, with those of the adapter between them, in the order of `product`."""
        waiting: list[WeightPart] = []
        for part in parts:
            if before := self.chip.low_rank.before(part):
                if waiting:
                    yield self.stream(waiting, skipped, Register.WEIGHTS)
                    skipped, waiting = skipped + self._bytes(waiting), []
                yield self._stream_low_rank(before)
            waiting.append(part)
            if behind := self.chip.low_rank.behind(part):
                yield self.stream(waiting, skipped, Register.WEIGHTS)
                skipped, waiting = skipped + self._bytes(waiting), []
                yield self._stream_low_rank(behind)
        if waiting:
            yield self.stream(waiting, skipped, Register.WEIGHTS)

    def _bytes(self, parts: Iterable[WeightPart]) -> int:
        """What to skip behind some parts."""
        return sum(part.tiles for part in parts) * self.tile_bytes

    def _stream_low_rank(self, tiles: tuple[LowRankTiles, ...]) -> Instruction:
        """The tiles of an adapter that lie side by side."""
        return StreamWeights(
            address=self.chip.low_rank.bytes_before(tiles[0]),
            address_reg=ADAPTER,
            count=sum(each.tiles for each in tiles),
            format=WeightFormat.W8,
        )

    def product(
        self,
        part: WeightPart,
        source: str,
        destination: int,
        *,
        wait_a: int = 0,
        wait_b: int = 0,
        signal_a: int = 0,
        signal_b: int = 0,
        residual: bool = False,
        bias: int | None = None,
    ) -> Iterable[Instruction]:
        """The MATMUL of a part of a layer (see `matmul`), and of what an adapter adds to it: first
        A x, for all matrices with this input, then B (A x) on top of the product."""
        waits = {"wait_a": wait_a, "wait_b": wait_b}
        signals = {"signal_a": signal_a, "signal_b": signal_b}
        before, behind = self.chip.low_rank.before(part), self.chip.low_rank.behind(part)
        if before:
            yield self._times_a(before, source, **waits)
            yield from self._quantize_low_rank(before)
            waits = {}
        own = {} if behind else signals
        yield self.matmul(part, source, destination, residual=residual, bias=bias, **waits, **own)
        words = sum(part.n_tiles)
        for number, tiles in enumerate(behind):
            last = number == len(behind) - 1
            at = destination + sum(part.n_tiles[: part.names.index(tiles.name)])
            yield self._times_b(tiles, at, words, **(signals if last else {}))

    def _times_a(self, tiles: tuple[LowRankTiles, ...], source: str, **fields: Any) -> Instruction:
        """A x of several matrices, side by side in "low_rank"."""
        words, k_blocks = sum(each.n_tiles for each in tiles), tiles[0].k_blocks
        return Matmul(
            count_reg=Register.ROWS,
            address=self.chip.activations[source].base,
            activation_stride=k_blocks,
            k_blocks=k_blocks,
            n_tiles=words,
            format=WeightFormat.W8,
            destination=self.chip.vector["low_rank"].base,
            destination_stride=words,
            signal_a=Token.LOW_RANK,
            **fields,
        )

    def _quantize_low_rank(self, tiles: tuple[LowRankTiles, ...]) -> Iterable[Instruction]:
        """The codes of A x, which `_times_b` multiplies: a LOW_RANK_CODES for each matrix."""
        plan, word = self.chip.low_rank, self.chip.vector["low_rank"].base
        for number, each in enumerate(tiles):
            block, row_blocks = plan.place(each.name)
            yield from self.quantize_rows(
                VectorOp.COPY,
                each.n_tiles * self.config.lanes,
                wait=Token.LOW_RANK if number == 0 else 0,
                signals=(Token.LOW_RANK_CODES, 0),
                a=word,
                a_outer=sum(other.n_tiles for other in tiles),
                d=self.chip.activations["low_rank"].base + block,
                d_outer=row_blocks,
            )
            word += each.n_tiles

    def _times_b(
        self, tiles: LowRankTiles, destination: int, stride: int, **fields: Any
    ) -> Instruction:
        """B (A x) of a matrix, added to what is there."""
        block, row_blocks = self.chip.low_rank.place(tiles.name)
        return Matmul(
            wait_a=Token.LOW_RANK_CODES if tiles.first_tile == 0 else 0,
            count_reg=Register.ROWS,
            address=self.chip.activations["low_rank"].base + block,
            activation_stride=row_blocks,
            k_blocks=tiles.k_blocks,
            n_tiles=tiles.n_tiles,
            format=WeightFormat.W8,
            init=InitMode.VECTOR_MEMORY,
            initial=destination,
            initial_stride=stride,
            destination=destination,
            destination_stride=stride,
            **fields,
        )

    def advance_adapter(self) -> Iterable[Instruction]:
        """ADAPTER goes on to the next layer."""
        if self.chip.low_rank.used:
            step = self.chip.low_rank.layer_bytes
            yield Scalar(destination=ADAPTER, address_reg=ADAPTER, address=step)

    def rewind_adapter(self) -> Iterable[Instruction]:
        """ADAPTER names the first layer again, for the next run."""
        if self.chip.low_rank.used:
            size = self.model.n_layers * self.chip.low_rank.layer_bytes
            yield self.compute(ADAPTER, ScalarOp.SUB, ADAPTER, size)
