# SPDX-License-Identifier: Apache-2.0
"""MATMUL and CODEBOOK."""

import numpy as np
from numpy.typing import NDArray

from weft_arch.config import BLOCK
from weft_arch.isa import Codebook, InitMode, Matmul
from weft_arch.registers import Fault
from weft_sim.reference.arithmetic import F64, accumulate_terms, terms
from weft_sim.reference.state import MachineState, ProgramFault, Resolved
from weft_sim.reference.weights import WeightCache

__all__ = ["activation_rows", "codebook", "matmul"]


def codebook(state: MachineState, op: Resolved) -> None:
    """Run a CODEBOOK."""
    c = op.instruction
    assert isinstance(c, Codebook)
    raw = c.entries_low.to_bytes(8, "little") + c.entries_high.to_bytes(8, "little")
    state.codebook = np.frombuffer(raw, np.int8)


def matmul(state: MachineState, op: Resolved, cache: WeightCache) -> int:
    """Run a MATMUL; returns the array cycles that carry an activation row."""
    m = op.instruction
    assert isinstance(m, Matmul)
    config, rows = state.config, op.count
    illegal = (
        not 1 <= rows <= min(config.max_rows, config.accumulator_words)
        or m.k_blocks == 0
        or m.n_tiles == 0
        or (m.to_top_k and rows != 1)
    )
    if illegal:
        raise ProgramFault(Fault.ILLEGAL_OPERAND, m.opcode)
    weights = cache.pop_tiles(state, m)
    activations, exponents = activation_rows(
        state, op.address, m.activation_stride, rows, m.k_blocks
    )
    # Integer dot products, exact in float32: 32 * 2**11 * 2**7 is below 2**24.
    partial_sums = np.matmul(activations, weights.codes)
    total = accumulate_terms(
        _initial(state, m, rows), terms(partial_sums, weights.scales, exponents)
    )
    if m.to_vector_memory:
        n = np.arange(m.n_tiles)
        place = (m.destination + np.arange(rows)[:, None] * m.destination_stride + n) % len(
            state.vectors
        )
        state.vectors[place] = total.reshape(rows, m.n_tiles, config.lanes)
    if m.clear_top_k:
        state.top_k = []
    if m.to_top_k:
        _enter_top_k(state, m, total[0])
    return rows * m.k_blocks * m.n_tiles


def _initial(state: MachineState, m: Matmul, rows: int) -> F64:
    lanes = state.config.lanes
    if m.init == InitMode.ZERO:
        return np.zeros((rows, m.n_tiles * lanes))
    n = np.arange(m.n_tiles)
    place = (m.initial + np.arange(rows)[:, None] * m.initial_stride + n) % len(state.vectors)
    return state.vectors[place].reshape(rows, m.n_tiles * lanes)


def _enter_top_k(state: MachineState, m: Matmul, logits: F64) -> None:
    indexes = m.top_k_base + np.arange(logits.size)
    inside = indexes < m.top_k_limit
    logits, indexes = logits[inside], indexes[inside]
    keep = state.config.top_k_entries
    if logits.size > 4 * keep:
        bar = np.partition(logits, -keep)[-keep]
        chosen = logits >= bar
        logits, indexes = logits[chosen], indexes[chosen]
    candidates = state.top_k + [(float(v), int(i)) for v, i in zip(logits, indexes, strict=True)]
    candidates.sort(key=lambda pair: (-pair[0], pair[1]))
    state.top_k = candidates[:keep]


def activation_rows(
    state: MachineState, base: int, stride: int, rows: int, k_blocks: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Codes float32 [k_blocks, rows, 32] and exponents [k_blocks, rows, 1] of quantised rows."""
    row, k = np.ogrid[:rows, :k_blocks]
    blocks = (base + row * stride + k) % state.config.activation_blocks
    codes = state.codes[blocks].transpose(1, 0, 2).astype(np.float32)
    assert codes.shape[-1] == BLOCK
    return codes, state.exponents[blocks].T[..., None]
