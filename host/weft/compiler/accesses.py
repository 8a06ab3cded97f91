# SPDX-License-Identifier: Apache-2.0
"""What each instruction reads and writes on the chip and in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from weft.compiler.walk import Step
from weft_arch import layouts
from weft_arch.config import BLOCK, Configuration
from weft_arch.isa import (
    Attend,
    InitMode,
    Load,
    LoadFormat,
    Matmul,
    OperandB,
    Reduce,
    Store,
    StoreKV,
    StoreTopK,
    StreamKV,
    Vector,
    VectorDestination,
    VectorOp,
)

__all__ = ["Access", "Space", "accesses", "groups_made", "groups_stored"]

Index = NDArray[np.int64]


class Space(Enum):
    """Memories that engines share."""

    VECTOR = "vector memory word"
    ACTIVATION = "activation block"
    ROW_SCALAR = "row scalar"
    TOP_K = "top-k list"
    MEMORY = "memory beat"
    """only what programs write: bytes from the write window on, in units of a beat"""


@dataclass(frozen=True)
class Access:
    """Units of a space that an instruction touches."""

    space: Space
    write: bool
    units: Index


def _grid(base: int, outer: int, inner: int, words: int, by_outer: int, by_inner: int) -> Index:
    o, i, w = np.ogrid[:outer, :inner, :words]
    return (base + o * by_outer + i * by_inner + w).reshape(-1)


def groups_made(step: Step, v: Vector, config: Configuration) -> int:
    """Blocks of 32 codes that a VECTOR gives to STORE_KV."""
    if v.to not in (VectorDestination.KEYS, VectorDestination.VALUES):
        return 0
    planes = 2 if v.wide_keys and v.to is VectorDestination.KEYS else 1
    return planes * step.count * v.inner * v.words * config.lanes // BLOCK


def groups_stored(step: Step, s: StoreKV) -> int:
    """Blocks of 32 codes that a STORE_KV takes."""
    planes = 2 if s.wide_keys and not s.values else 1
    return planes * step.count * s.slots * s.k_blocks


def accesses(step: Step, config: Configuration, write_base: int) -> list[Access]:
    """All accesses of a step; reads of the read-only part of memory are left out."""
    found: list[Access] = []
    i, rows = step.instruction, step.count
    beat = config.beat_bytes

    def on(space: Space, write: bool, units: Index) -> None:
        found.append(Access(space, write, units))

    def memory(write: bool, address: int, size: int) -> None:
        if address + size > write_base and size:
            first = (address - write_base) // beat
            last = (address + size - 1 - write_base) // beat
            on(Space.MEMORY, write, np.arange(first, last + 1))

    match i:
        case Matmul():
            on(
                Space.ACTIVATION,
                False,
                _grid(step.address, rows, 1, i.k_blocks, i.activation_stride, 0),
            )
            if i.init is InitMode.VECTOR_MEMORY:
                on(Space.VECTOR, False, _grid(i.initial, rows, 1, i.n_tiles, i.initial_stride, 0))
            if i.to_vector_memory:
                d = _grid(i.destination, rows, 1, i.n_tiles, i.destination_stride, 0)
                on(Space.VECTOR, True, d)
            if i.to_top_k or i.clear_top_k:
                on(Space.TOP_K, True, np.zeros(1, np.int64))
        case Attend():
            q = _grid(step.address, rows, 1, i.k_blocks, i.activation_stride, 0)
            on(Space.ACTIVATION, False, q)
            on(Space.ACTIVATION, True, i.probabilities + np.arange(2 * rows))
            words = i.k_blocks * config.words_per_block
            d = _grid(i.destination, rows, 1, words, i.destination_stride, 0)
            on(Space.VECTOR, True, d)
            on(Space.ROW_SCALAR, True, i.row_scalar + np.arange(rows))
        case Vector():
            _vector(step, i, config, on)
        case Reduce():
            on(Space.VECTOR, False, _grid(i.a, rows, i.inner, i.words, i.a_outer, i.a_inner))
            on(Space.ROW_SCALAR, True, _grid(i.d, rows, i.inner, 1, i.d_outer, i.d_inner))
        case Load():
            d = _grid(i.destination, rows, 1, i.words, i.destination_stride, 0)
            on(Space.VECTOR, True, d)
            if not i.gather:  # tables are read only
                size = (4 if i.format is LoadFormat.F32 else 2) * config.lanes * i.words
                for row in range(rows):
                    memory(False, step.address + row * i.row_bytes, size)
        case Store():
            on(Space.VECTOR, False, _grid(i.source, rows, 1, i.words, i.source_stride, 0))
            for row in range(rows):
                memory(True, step.address + row * i.row_bytes, 4 * config.lanes * i.words)
        case StoreKV():
            layout = layouts.KVLayout(config, i.k_blocks, bool(i.wide_keys))
            blocks = {(step.aux_a + r) // BLOCK for r in range(rows)}
            for slot in range(i.slots):
                for block in blocks:
                    base = step.address + slot * i.slot_bytes + block * layout.block_bytes
                    memory(True, base, layout.block_bytes)
        case StoreTopK():
            on(Space.TOP_K, False, np.zeros(1, np.int64))
            memory(True, step.address, 8 * config.top_k_entries)
        case StreamKV():
            layout = layouts.KVLayout(config, i.k_blocks, bool(i.wide_keys))
            memory(False, step.address, -(-step.count // BLOCK) * layout.block_bytes)
        case _:
            pass
    return found


def _vector(
    step: Step, v: Vector, config: Configuration, on: Callable[[Space, bool, Index], None]
) -> None:
    rows = step.count
    on(Space.VECTOR, False, _grid(v.a, rows, v.inner, v.words, v.a_outer, v.a_inner))
    uses_b = v.operation not in (VectorOp.COPY, VectorOp.ACTIVATE)
    if uses_b and v.operand_b is OperandB.ROW_SCALAR:
        on(Space.ROW_SCALAR, False, _grid(v.b, rows, v.inner, 1, v.b_outer, v.b_inner))
    elif uses_b and v.operand_b is OperandB.VECTOR_MEMORY:
        b = _grid(v.b, rows, v.inner, v.words, v.b_outer, v.b_inner)
        on(Space.VECTOR, False, b)
        if v.operation is VectorOp.ROPE:
            on(Space.VECTOR, False, b + (step.address & 0x3FFF))
    if v.to is VectorDestination.VECTOR_MEMORY:
        on(Space.VECTOR, True, _grid(v.d, rows, v.inner, v.words, v.d_outer, v.d_inner))
    elif v.to is VectorDestination.ACTIVATIONS:
        groups = 1 if v.fill else v.words // max(v.group_words, 1)
        on(Space.ACTIVATION, True, _grid(v.d, rows, v.inner, groups, v.d_outer, v.d_inner))
