# SPDX-License-Identifier: Apache-2.0
"""VECTOR and REDUCE."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from weft_arch import blocks, float24, functions
from weft_arch.config import BLOCK
from weft_arch.isa import (
    Activation,
    OperandB,
    Reduce,
    ReduceOp,
    ReducePost,
    Vector,
    VectorDestination,
    VectorOp,
)
from weft_arch.registers import Fault
from weft_sim.reference.arithmetic import F64, reduce_sum, rounded
from weft_sim.reference.state import MachineState, ProgramFault, Resolved

__all__ = ["reduce", "vector"]

_GATES = {
    Activation.SILU: functions.SIGMOID,
    Activation.GELU_TANH: functions.GELU_TANH,
    Activation.GELU_ERF: functions.GELU_ERF,
}


@lru_cache(maxsize=4096)
def _addresses(
    base: int, outer: int, inner: int, words: int, by_outer: int, by_inner: int, size: int
) -> NDArray[np.int64]:
    """base + o * by_outer + i * by_inner + w, modulo the memory's size: [outer, inner, words]."""
    o, i, w = np.ogrid[:outer, :inner, :words]
    index = (base + o * by_outer + i * by_inner + w) % size
    index.flags.writeable = False
    return index


def vector(state: MachineState, op: Resolved) -> None:
    """Run a VECTOR."""
    v = op.instruction
    assert isinstance(v, Vector)
    _check_counts(v.words, v.inner, v.opcode)
    outer, size = op.count, state.vectors.shape[0]
    if outer == 0:
        return
    result = _compute(state, op, v, outer, size)
    if v.to == VectorDestination.VECTOR_MEMORY:
        d = _addresses(v.d, outer, v.inner, v.words, v.d_outer, v.d_inner, size)
        state.vectors[d] = result
    else:
        _quantize(state, v, result)


def _check_counts(words: int, inner: int, opcode: int) -> None:
    if words == 0 or inner == 0:
        raise ProgramFault(Fault.ILLEGAL_OPERAND, opcode)


def _compute(state: MachineState, op: Resolved, v: Vector, outer: int, size: int) -> F64:
    x = state.vectors[_addresses(v.a, outer, v.inner, v.words, v.a_outer, v.a_inner, size)]
    if v.operation == VectorOp.COPY:
        return x
    if v.operation == VectorOp.ACTIVATE:
        return functions.gate(_GATES[v.activation], x).astype(np.float64)
    if v.operation == VectorOp.ROPE or v.operand_b == OperandB.VECTOR_MEMORY:
        index = _addresses(v.b, outer, v.inner, v.words, v.b_outer, v.b_inner, size)
        y = state.vectors[index]
    elif v.operand_b == OperandB.ROW_SCALAR:
        index = _addresses(v.b, outer, v.inner, 1, v.b_outer, v.b_inner, 256)
        y = state.row_scalars[index][..., None]
    else:
        y = np.float64(float24.decode(op.address & 0xFFFFFF))
    if v.operation == VectorOp.ADD:
        return rounded(x + y)
    if v.operation == VectorOp.SUB:
        return rounded(x - y)
    product = rounded(x * y)
    if v.operation == VectorOp.MUL:
        return product
    sines = _addresses(
        v.b + (op.address & 0x3FFF), outer, v.inner, v.words, v.b_outer, v.b_inner, size
    )
    swapped = x.reshape(*x.shape[:-1], -1, 2)[..., ::-1].reshape(x.shape)
    return rounded(product + rounded(swapped * state.vectors[sines]))


def _quantize(state: MachineState, v: Vector, result: F64) -> None:
    outer, inner, words, lanes = result.shape
    group_words = v.group_words
    if v.fill:
        if v.group_offset + words > group_words:
            raise ProgramFault(Fault.ILLEGAL_OPERAND, v.opcode)
        filled = np.zeros((outer, inner, group_words, lanes))
        filled[:, :, v.group_offset : v.group_offset + words] = result
        result, words = filled, group_words
    if group_words == 0 or words % group_words or group_words * lanes % BLOCK:
        raise ProgramFault(Fault.ILLEGAL_OPERAND, v.opcode)
    groups = result.reshape(outer, inner, words // group_words, group_words * lanes)
    if v.to == VectorDestination.ACTIVATIONS:
        codes, exponents = blocks.quantize(groups, state.config.activation_bits)
        if group_words * lanes != BLOCK:
            raise ProgramFault(Fault.ILLEGAL_OPERAND, v.opcode)
        size = state.codes.shape[0]
        d = _addresses(v.d, outer, inner, groups.shape[2], v.d_outer, v.d_inner, size)
        state.codes[d], state.exponents[d] = codes, exponents
        return
    keys = v.to == VectorDestination.KEYS
    if keys and v.wide_keys:
        _wide_keys(state, groups)
        return
    low = blocks.KEY_MIN_EXPONENT if keys else blocks.MIN_EXPONENT
    codes, exponents = blocks.quantize(groups, blocks.KEY_BITS, low)
    for group, exponent in zip(
        codes.reshape(-1, groups.shape[-1]), exponents.reshape(-1), strict=True
    ):
        state.groups.extend((part, int(exponent)) for part in group.reshape(-1, BLOCK))


def _wide_keys(state: MachineState, groups: F64) -> None:
    """Groups of keys, each as its high plane and then its low one."""
    high, low, exponents = blocks.key_planes(groups)
    size = groups.shape[-1]
    for planes, exponent in zip(
        np.stack([high, low], axis=-2).reshape(-1, 2, size), exponents.reshape(-1), strict=True
    ):
        for plane, of_plane in zip(
            planes, (int(exponent), int(exponent) - blocks.LOW_PLANE_BITS), strict=True
        ):
            state.groups.extend((part, of_plane) for part in plane.reshape(-1, BLOCK))


def reduce(state: MachineState, op: Resolved) -> None:
    """Run a REDUCE."""
    r = op.instruction
    assert isinstance(r, Reduce)
    _check_counts(r.words, r.inner, r.opcode)
    if op.count == 0:
        return
    size = state.vectors.shape[0]
    x = state.vectors[_addresses(r.a, op.count, r.inner, r.words, r.a_outer, r.a_inner, size)]
    x = x.reshape(op.count, r.inner, -1)
    if r.operation == ReduceOp.SUM_SQUARES:
        x = rounded(x * x)
    scale = float(float24.decode(op.address & 0xFFFFFF))
    total = rounded(rounded(reduce_sum(x) * scale) + float(float24.decode(r.offset)))
    if r.post == ReducePost.RSQRT:
        total = functions.rsqrt(total).astype(np.float64)
    elif r.post == ReducePost.RECIPROCAL:
        total = functions.reciprocal(total).astype(np.float64)
    d = _addresses(r.d, op.count, r.inner, 1, r.d_outer, r.d_inner, 256)[..., 0]
    state.row_scalars[d] = total
