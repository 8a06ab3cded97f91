# SPDX-License-Identifier: Apache-2.0
"""ATTEND: all kv blocks at once where the definition allows, in their order where it does not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft_arch import float24, functions, layouts
from weft_arch.blocks import quantize
from weft_arch.config import BLOCK
from weft_arch.isa import POSITION_LIMIT, Attend
from weft_arch.registers import Fault
from weft_sim.reference.arithmetic import F64, accumulate_terms, rounded, terms
from weft_sim.reference.compute import activation_rows
from weft_sim.reference.state import MachineState, ProgramFault, Resolved, Starved

__all__ = ["attend"]

_ONE = 1 << functions.SCORE_FRACTION_BITS
_INVISIBLE = np.int64(-(1 << 40))


@dataclass(frozen=True)
class _KVBlocks:
    """B kv blocks of a slot of D channels."""

    key_codes: NDArray[np.float32]
    """[key_blocks, 32, B * 32]"""
    key_scales: F64
    """[key_blocks, 1, B * 32]"""
    value_codes: NDArray[np.float32]
    """[B, 32 positions, D]"""
    value_exponents: NDArray[np.int32]
    """[B, 32]"""


def attend(state: MachineState, op: Resolved) -> int:
    """Run an ATTEND; returns the array cycles that carry an activation row."""
    a = op.instruction
    assert isinstance(a, Attend)
    rows, n_keys, config = op.count, op.aux_b, state.config
    n_blocks = -(-n_keys // BLOCK)
    slot_words = BLOCK * a.k_blocks // config.lanes
    illegal = (
        not 1 <= rows <= config.max_rows
        or not 1 <= a.k_blocks <= 8
        or a.rows_per_position == 0
        or not 1 <= n_keys < POSITION_LIMIT
        or (a.causal and op.aux_a >= POSITION_LIMIT)
        or rows * (1 + slot_words) > config.accumulator_words
    )
    if illegal:
        raise ProgramFault(Fault.ILLEGAL_OPERAND, a.opcode)
    cache = _pop_kv(state, a, n_blocks)
    scores = _scores(state, op, a, cache)
    limit = op.aux_a + np.arange(rows) // a.rows_per_position + 1 if a.causal else n_keys
    keys = np.arange(n_blocks * BLOCK)
    visible = np.broadcast_to(keys, (rows, keys.size)) < np.reshape(limit, (-1, 1))
    # [B, rows, 32]: the kv blocks in their order
    scores = scores.reshape(rows, n_blocks, BLOCK).transpose(1, 0, 2)
    visible = visible.reshape(rows, n_blocks, BLOCK).transpose(1, 0, 2)
    out, total = _online_softmax(state, a, scores, visible, cache)
    n = np.arange(slot_words)
    place = (a.destination + np.arange(rows)[:, None] * a.destination_stride + n) % len(
        state.vectors
    )
    state.vectors[place] = out.reshape(rows, slot_words, config.lanes)
    row_scalar = (a.row_scalar + np.arange(rows)) % 256
    state.row_scalars[row_scalar] = functions.reciprocal(total)
    return rows * n_blocks * (BLOCK // config.lanes * len(cache.key_codes) + slot_words)


def _pop_kv(state: MachineState, a: Attend, n_blocks: int) -> _KVBlocks:
    if not state.streams:
        raise Starved("keys and values that no STREAM_KV before it asks for")
    if state.streams[0].format != -1:
        raise ProgramFault(Fault.ILLEGAL_OPERAND, a.opcode)
    stream = state.streams.popleft()
    alike = stream.k_blocks == a.k_blocks and stream.wide_keys == bool(a.wide_keys)
    if not alike or -(-stream.count // BLOCK) != n_blocks:
        raise ProgramFault(Fault.ILLEGAL_OPERAND, a.opcode)
    layout = layouts.KVLayout(state.config, a.k_blocks, stream.wide_keys)
    raw = state.memory.read(stream.address, n_blocks * layout.block_bytes)
    raw = raw.reshape(n_blocks, layout.block_bytes)
    keys, scales = layouts.unpack_tiles(
        state.config, raw[:, BLOCK : layout.key_bytes].reshape(-1), layout.key_blocks, 8
    )
    values = raw[:, layout.key_bytes :].view(np.int8).reshape(n_blocks, -1, BLOCK)
    return _KVBlocks(
        np.ascontiguousarray(keys.view(np.int8).transpose(1, 2, 0), np.float32),
        float24.from_float16_bits(scales).T[:, None, :].astype(np.float64),
        np.ascontiguousarray(values.transpose(0, 2, 1), np.float32),
        raw[:, :BLOCK].view(np.int8).astype(np.int32),
    )


def _scores(state: MachineState, op: Resolved, a: Attend, cache: _KVBlocks) -> F64:
    codes, exponents = activation_rows(state, op.address, a.activation_stride, op.count, a.k_blocks)
    if a.wide_keys:  # both planes meet the same queries
        codes, exponents = np.repeat(codes, 2, axis=0), np.repeat(exponents, 2, axis=0)
    partial_sums = np.matmul(codes, cache.key_codes)
    zero = np.zeros(partial_sums.shape[1:])
    return accumulate_terms(zero, terms(partial_sums, cache.key_scales, exponents))


def _online_softmax(
    state: MachineState,
    a: Attend,
    scores: F64,
    visible: NDArray[np.bool_],
    cache: _KVBlocks,
) -> tuple[F64, F64]:
    """Unnormalised outputs [rows, D] and sums [rows]; see `isa.Attend` for the definition."""
    fixed = functions.to_fixed(scores, functions.SCORE_FRACTION_BITS, 24)
    fixed[~visible] = _INVISIBLE
    block_max = -(-fixed.max(axis=-1) // _ONE)
    running_max = np.maximum.accumulate(block_max, axis=0)
    drop = np.diff(running_max, axis=0, prepend=running_max[:1])
    distance = np.where(visible, running_max[..., None] * _ONE - fixed, 0)
    integer = np.minimum(distance >> functions.SCORE_FRACTION_BITS, 63)
    y = functions.EXP2.evaluate(distance & (_ONE - 1))
    y[~visible | (integer > 24)] = 0
    block_sum = rounded(np.ldexp(((y << 8) >> integer).sum(axis=-1).astype(np.float64), -24))
    total = _rescaled_sums(block_sum, drop)
    weighted = rounded(
        np.ldexp(y.astype(np.float64), cache.value_exponents[:, None, :] - 16 - integer)
    )
    codes, exponents = quantize(weighted, state.config.activation_bits)
    partial_sums = np.matmul(codes.astype(np.float32), cache.value_codes)
    out = _rescaled_sums(
        terms(partial_sums, np.ones(1), exponents[..., None]), np.minimum(drop, 255)[..., None]
    )
    _keep_probabilities(state, a, codes, exponents)
    return out, total


def _rescaled_sums(term: F64, drop: NDArray[np.int64]) -> F64:
    """total = total * 2**-drop[b] + term[b], block after block, from zero."""
    total = rounded(term[0] + 0.0)
    for one, shift in zip(term[1:], drop[1:], strict=True):
        if shift.any():
            total = rounded(np.ldexp(total, -shift))
        total = rounded(total + one)
    return total


def _keep_probabilities(
    state: MachineState, a: Attend, codes: NDArray[np.int32], exponents: NDArray[np.int32]
) -> None:
    """The two activation buffers end up with the probabilities of the last two kv blocks."""
    rows = codes.shape[1]
    for block in range(max(0, len(codes) - 2), len(codes)):
        place = a.probabilities + block % 2 * rows + np.arange(rows)
        place %= state.config.activation_blocks
        state.codes[place], state.exponents[place] = codes[block], exponents[block]
