# SPDX-License-Identifier: Apache-2.0
"""The program of a product whose operands pass through the chip in groups of rows.

A comes as float16 rows and is quantised on the way in, B as W8 tiles, C goes out as F32. Columns
within a group are done in slices with two result buffers. What keeps the array busy from group to
group is the reduction in pieces: the first slice of a group multiplies each piece of K as soon as
it is there, and the last slice gives each piece back for the next group.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from weft.benchmarks.gemm_plan import GemmPlan
from weft_arch.config import BLOCK
from weft_arch.isa import (
    Halt,
    InitMode,
    Instruction,
    Load,
    LoadFormat,
    Loop,
    Matmul,
    Scalar,
    Store,
    StreamWeights,
    Vector,
    VectorDestination,
    VectorOp,
)

__all__ = ["gemm_program"]

PARTS = 2
"""Parts of a piece's rows: one is quantised while the next is loaded."""


class Token(IntEnum):
    """Dependency tokens; the FREE ones are there at the beginning, one for each buffer."""

    STAGED = 1
    STAGE_FREE = 2
    QUANTIZED = 3
    CODES_FREE = 4
    DONE = 5
    RESULT_FREE = 6


class Register(IntEnum):
    """Scalar registers: where the next group's rows of A and C are."""

    A = 1
    C = 2


def gemm_program(plan: GemmPlan) -> list[Instruction]:
    """The program: a loop over all groups but the last, and the last one."""
    body = [*_group(plan, last=False), *_advance(plan)]
    free = [Token.STAGE_FREE] * plan.stages * plan.sets
    free += [Token.CODES_FREE] * plan.pieces * plan.sets + [Token.RESULT_FREE] * 2
    program: list[Instruction] = [
        *(
            Vector(signal_a=free[k], signal_b=free[k + 1] if k + 1 < len(free) else 0, words=1)
            for k in range(0, len(free), 2)
        ),
        Scalar(destination=Register.A, address=plan.a),
        Scalar(destination=Register.C, address=plan.c),
    ]
    program += [Loop(count=plan.groups - 1, body_end=len(program) + 1 + len(body)), *body]
    program += _group(plan, last=True)
    # Take back what is left, so that the program ends as it began.
    program += [
        *(Load(wait_a=Token.STAGE_FREE, words=1) for _ in range(plan.stages * plan.sets)),
        Store(wait_a=Token.RESULT_FREE, wait_b=Token.RESULT_FREE, words=1),
        Halt(),
    ]
    return program


def _advance(plan: GemmPlan) -> Iterable[Instruction]:
    for register, row_bytes in ((Register.A, 2 * plan.depth), (Register.C, 4 * plan.columns)):
        step = plan.group_rows * row_bytes
        yield Scalar(destination=register, address_reg=register, address=step)


def _group(plan: GemmPlan, *, last: bool) -> list[Instruction]:
    """A group of rows: load and quantise, stream the weights, multiply and store."""
    program: list[Instruction] = []
    which = int(last and plan.sets == 2)
    for piece in range(plan.pieces):
        program += _quantize(plan, which, piece)
    tile_bytes = plan.config.tile_bytes(8)
    slice_size = plan.slice_tiles * plan.k_blocks
    whole = plan.n_tiles * plan.k_blocks
    if last:
        program.append(StreamWeights(address=plan.weights, count=whole - slice_size))
        program.append(StreamWeights(address=plan.weights + whole * tile_bytes, count=slice_size))
    else:
        program.append(StreamWeights(address=plan.weights, count=whole))

    for each in _slices(plan, taper=last):
        take = each.tile == 0
        give = not last and plan.sets == 1 and each.tile == plan.n_tiles - plan.slice_tiles
        program += _multiply(plan, each, plan.codes(which), take=take, give=give)
        program.append(_store(plan, each))
    return program


@dataclass(frozen=True, kw_only=True)
class _Slice:
    """Some tiles of columns, and the vector memory word where their results begin."""

    tile: int
    size: int
    word: int
    takes_buffer: bool = True
    frees_buffer: bool = True


def _slices(plan: GemmPlan, *, taper: bool) -> Iterable[_Slice]:
    """The slices of a group. With ``taper``, the last one is a few ever smaller ones side by side
    in its buffer, so that little is left to store at the end."""
    size = plan.slice_tiles
    for number in range(plan.n_tiles // size - int(taper)):
        yield _Slice(tile=number * size, size=size, word=plan.result(number))
    left = size if taper else 0
    while left:
        tile, part = plan.n_tiles - left, -(-left // 2)
        yield _Slice(
            tile=tile,
            size=part,
            word=plan.result(plan.n_tiles // size - 1) + (size - left) * plan.group_rows,
            takes_buffer=left == size,
            frees_buffer=left == part,
        )
        left -= part


def _quantize(plan: GemmPlan, which: int, piece: int) -> Iterable[Instruction]:
    stage = plan.stage(which, piece)
    rows = plan.group_rows // PARTS if plan.group_rows % PARTS == 0 else plan.group_rows
    for row in range(0, plan.group_rows, rows):
        first, last = row == 0, row + rows == plan.group_rows
        yield Load(
            wait_a=Token.STAGE_FREE if first else 0,
            signal_a=Token.STAGED,
            address=2 * (row * plan.depth + piece * plan.piece_blocks * BLOCK),
            address_reg=Register.A,
            count=rows,
            format=LoadFormat.F16,
            words=plan.piece_words,
            destination=stage + row * plan.piece_words,
            destination_stride=plan.piece_words,
            row_bytes=2 * plan.depth,
        )
        yield Vector(
            wait_a=Token.STAGED,
            wait_b=Token.CODES_FREE if first else 0,
            signal_a=Token.STAGE_FREE if last else 0,
            signal_b=Token.QUANTIZED if last else 0,
            operation=VectorOp.COPY,
            to=VectorDestination.ACTIVATIONS,
            count=rows,
            words=plan.piece_words,
            a=stage + row * plan.piece_words,
            a_outer=plan.piece_words,
            d=plan.codes(which) + row * plan.k_blocks + piece * plan.piece_blocks,
            d_outer=plan.k_blocks,
            group_words=plan.config.words_per_block,
            fill=int(plan.depth < BLOCK),
        )


def _multiply(
    plan: GemmPlan, each: _Slice, codes: int, *, take: bool, give: bool
) -> Iterable[Instruction]:
    """A slice, at once or piece by piece: each taken when it is there, or given back after use."""
    pieces = plan.pieces if take or give else 1
    blocks = plan.k_blocks // pieces
    for piece in range(pieces):
        first, last = piece == 0, piece == pieces - 1
        yield Matmul(
            wait_a=Token.RESULT_FREE if first and each.takes_buffer else 0,
            wait_b=Token.QUANTIZED if take else 0,
            signal_a=Token.DONE if last else 0,
            signal_b=Token.CODES_FREE if give else 0,
            address=codes + piece * blocks,
            count=plan.group_rows,
            activation_stride=plan.k_blocks,
            k_blocks=blocks,
            n_tiles=each.size,
            init=InitMode.ZERO if first else InitMode.VECTOR_MEMORY,
            initial=0 if first else each.word,
            initial_stride=0 if first else each.size,
            destination=each.word,
            destination_stride=each.size,
        )


def _store(plan: GemmPlan, each: _Slice) -> Instruction:
    return Store(
        wait_a=Token.DONE,
        signal_a=Token.RESULT_FREE if each.frees_buffer else 0,
        address=4 * each.tile * plan.config.array_cols,
        address_reg=Register.C,
        count=plan.group_rows,
        words=each.size,
        source=each.word,
        source_stride=each.size,
        row_bytes=4 * plan.columns,
    )
