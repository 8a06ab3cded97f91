# SPDX-License-Identifier: Apache-2.0
"""What the program of a model is built from: loops, quantised rows, products."""

from collections.abc import Iterable, Mapping
from typing import Any

from weft.compiler.conventions import Register
from weft.compiler.graph import Graph
from weft.compiler.plan import MemoryPlan, OnChipPlan
from weft.compiler.weight_parts import WeightPart, blocks_of
from weft.model import ModelConfig
from weft_arch import float24
from weft_arch.config import Configuration
from weft_arch.isa import (
    InitMode,
    Instruction,
    Loop,
    Matmul,
    OperandB,
    Resident,
    Scalar,
    ScalarOp,
    StreamWeights,
    Vector,
    VectorDestination,
    VectorOp,
    WeightFormat,
)

__all__ = ["BuildingBlocks", "f24"]


def f24(value: float) -> int:
    """The F24 pattern nearest to a number."""
    return int(float24.encode(float24.round_to_f24(value)))


class BuildingBlocks:
    """Instructions collected so far, and the pieces that programs are put together from."""

    def __init__(
        self, graph: Graph, config: Configuration, chip: OnChipPlan, memory: MemoryPlan
    ) -> None:
        self.model: ModelConfig = graph.config
        self.config, self.chip, self.memory = config, chip, memory
        self.format = WeightFormat.W8 if memory.weight_bits == 8 else WeightFormat.W4
        self.program: list[Instruction] = []

    def add(self, *instructions: Instruction) -> None:
        """Put instructions at the end."""
        self.program.extend(instructions)

    @property
    def tile_bytes(self) -> int:
        """Bytes of a weight tile."""
        return self.config.tile_bytes(self.memory.weight_bits)

    def words(self, width: int) -> int:
        """Vector memory words of a row of ``width`` values."""
        return -(-width // self.config.lanes)

    def pieces(self, width: int) -> list[tuple[int, int, int]]:
        """(first word, words, fill) of the whole blocks of a row, and of what is left over."""
        words, per_block = self.words(width), self.config.words_per_block
        whole = words // per_block * per_block
        found = [(0, whole, 0), (whole, words - whole, 1)]
        return [piece for piece in found if piece[1]]

    def compute(
        self, destination: int, operation: ScalarOp, register: int, value: int
    ) -> Instruction:
        """The SCALAR destination = operation(register, value)."""
        return Scalar(
            destination=destination, operation=operation, address_reg=register, address=value
        )

    def open_loop(self, *, count: int = 0, count_reg: int = 0) -> int:
        """Begin a hardware loop; `close_loop` takes what this gives."""
        self.add(Loop(count=count, count_reg=count_reg))
        return len(self.program) - 1

    def close_loop(self, at: int) -> None:
        """End the loop that was opened ``at``."""
        loop = self.program[at]
        end = len(self.program)
        self.program[at] = Loop(count=loop.count, count_reg=loop.count_reg, body_end=end)

    def quantize_rows(
        self,
        operation: VectorOp,
        width: int,
        *,
        wait: int = 0,
        wait_b: int = 0,
        signals: tuple[int, int] = (0, 0),
        rows: Mapping[str, int] | None = None,
        a: int,
        a_outer: int,
        d: int,
        d_outer: int | None = None,
        **operand_b: Any,
    ) -> Iterable[Instruction]:
        """A VECTOR over rows of ``width`` values whose results are quantised, the last block
        filled with zeros where the width is no multiple of 32; ``rows`` are its count fields, by
        default all rows."""
        per_block, pieces = self.config.words_per_block, self.pieces(width)
        b = operand_b.pop("b", 0)
        in_memory = operand_b.get("operand_b", 0) == OperandB.VECTOR_MEMORY
        for number, (start, size, fill) in enumerate(pieces):
            last = number == len(pieces) - 1
            yield Vector(
                operation=operation,
                to=VectorDestination.ACTIVATIONS,
                **({"count_reg": Register.ROWS} if rows is None else rows),
                words=size,
                a=a + start,
                a_outer=a_outer,
                b=b + start if in_memory else b,
                d=d + start // per_block,
                d_outer=blocks_of(width) if d_outer is None else d_outer,
                group_words=per_block,
                fill=fill,
                wait_a=wait if number == 0 else 0,
                wait_b=wait_b if number == 0 else 0,
                signal_a=signals[0] if last else 0,
                signal_b=signals[1] if last else 0,
                **operand_b,
            )

    def matmul(
        self,
        part: WeightPart,
        source: str,
        destination: int,
        *,
        residual: bool = False,
        bias: int | None = None,
        **more: Any,
    ) -> Instruction:
        """A product with the next weights of the stream, to vector memory; a residual is added to
        what is there, a bias is the word of a vector that every row begins with."""
        n_tiles = sum(part.n_tiles)
        init: dict[str, Any] = {}
        if residual:
            init = {"initial": destination, "initial_stride": n_tiles}
        elif bias is not None:
            init = {"initial": bias}
        if init:
            init["init"] = InitMode.VECTOR_MEMORY
        return Matmul(
            count_reg=Register.ROWS,
            address=self.chip.activations[source].base,
            activation_stride=part.k_blocks,
            k_blocks=part.k_blocks,
            n_tiles=n_tiles,
            format=self.format,
            destination=destination,
            destination_stride=n_tiles,
            **init,
            **more,
        )

    def tiles_product(
        self,
        n_tiles: int,
        k_blocks: int,
        source: int,
        destination: int,
        stride: int,
        *,
        residual: bool = False,
        bias: int | None = None,
        **tokens: Any,
    ) -> Instruction:
        """A product with the next tiles of the stream, from an activation block to a vector memory
        word on, ``stride`` words from row to row, added to what is there when ``residual``; a bias
        is as for `matmul`."""
        initial: dict[str, Any] = {}
        if residual:
            initial = {"initial": destination, "initial_stride": stride}
        elif bias is not None:
            initial = {"initial": bias}
        if initial:
            initial["init"] = InitMode.VECTOR_MEMORY
        return Matmul(
            count_reg=Register.ROWS,
            address=source,
            activation_stride=k_blocks,
            k_blocks=k_blocks,
            n_tiles=n_tiles,
            format=self.format,
            destination=destination,
            destination_stride=stride,
            **initial,
            **tokens,
        )

    def weight_address(self, skipped: int) -> int:
        """What STREAM_WEIGHTS calls the weights behind the first ``skipped`` bytes of them: their
        address, or where they stay on the chip, their place."""
        if not self.memory.resident:
            return self.memory.regions["weights"].base + skipped
        places = self.config.resident_tile_places(self.memory.weight_bits)
        return skipped // self.tile_bytes * places

    def stream(self, parts: Iterable[WeightPart], skipped: int, reg: int) -> Instruction:
        """The weights of parts that lie side by side, ``skipped`` bytes behind those that ``reg``
        names, or behind the model's first where that is 0."""
        tiles = sum(p.tiles for p in parts)
        origin = self.weight_address(0) if reg else 0
        return StreamWeights(
            address=self.weight_address(skipped) - origin,
            address_reg=reg,
            count=tiles,
            format=self.format,
            resident=Resident.REPLAY if self.memory.resident else Resident.NONE,
        )

    def stream_piece(
        self, part: WeightPart, tile: int, tiles: int, first: int, blocks: int
    ) -> None:
        """For so many tiles of output channels from ``tile`` on, the tiles of ``blocks`` blocks of
        a part's reduction from the ``first`` on: a run of them each."""
        r, row = Register, part.k_blocks * self.tile_bytes
        before = self.memory.bytes_before(part, self.config)
        before += tile * row + first * self.tile_bytes
        self.add(Scalar(destination=r.ADDRESS, address_reg=r.WEIGHTS, address=before))
        loop = self.open_loop(count=tiles)
        self.add(
            self.stream((WeightPart(part.names, 0, (1,), blocks),), 0, r.ADDRESS),
            Scalar(destination=r.ADDRESS, address_reg=r.ADDRESS, address=row),
        )
        self.close_loop(loop)
