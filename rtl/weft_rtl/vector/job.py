# SPDX-License-Identifier: Apache-2.0
"""What the vector unit does for one instruction, as flags and operands that stay put meanwhile."""

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data

from weft_arch import isa
from weft_arch.config import Configuration
from weft_rtl.control.decode import arguments
from weft_rtl.floating.formats import FLOAT, canonical
from weft_rtl.interfaces import VECTOR_ADDRESS

__all__ = ["VectorJob", "decode_job"]


class VectorJob(data.Struct):
    """A decoded VECTOR or REDUCE."""

    reduce: 1
    # loops and addresses
    count: 24
    inner: 7
    words: 10
    a: VECTOR_ADDRESS
    a_outer: 11
    a_inner: 11
    b: VECTOR_ADDRESS
    b_outer: 11
    b_inner: 11
    d: VECTOR_ADDRESS
    d_outer: 11
    d_inner: 11
    sine_offset: VECTOR_ADDRESS
    last_read: 2
    """vector memory reads per word, less one"""
    row_scalar: 1
    """operand b is a row scalar"""
    # lanes
    rope: 1
    pair: 1
    """multiply a by the word of b"""
    two_products: 1
    """add two products of one word: a and b by 1, or ROPE's"""
    activate: 1
    activation: 2
    square: 1
    by_one: 1
    """multiply by 1 instead of the scalar"""
    add_scalar: 1
    subtract: 1
    scalar: FLOAT
    """the immediate, or REDUCE's scale"""
    offset: FLOAT
    post: 2
    # destination
    quantize: 1
    to_groups: 1
    """to the store unit, in 8 bits"""
    keys: 1
    wide_keys: 1
    """keys, in two planes"""
    group_words: 6
    group_length: 6
    """words of a group that are computed; the others are 0"""
    group_offset: 6
    fill: 1


def decode_job(m: Module, config: Configuration, instruction: Any) -> tuple[Any, Value]:
    """The job of a resolved instruction, and whether its operands are out of range."""
    vector = arguments(isa.Vector, instruction.arguments)
    reduce = arguments(isa.Reduce, instruction.arguments)
    is_reduce = instruction.opcode == isa.Opcode.REDUCE
    job: Any = Signal(VectorJob, name="decoded_job")
    operation = vector.operation
    is_op = {op: ~is_reduce & (operation == op) for op in isa.VectorOp}
    is_add = is_op[isa.VectorOp.ADD] | is_op[isa.VectorOp.SUB]
    by_word = vector.operand_b == isa.OperandB.VECTOR_MEMORY
    with_b = is_add | is_op[isa.VectorOp.MUL]
    rope = is_op[isa.VectorOp.ROPE]
    to = vector.to

    def either(name: str) -> Value:
        return Mux(is_reduce, getattr(reduce, name), getattr(vector, name))

    loops = ("inner", "words", "a", "a_outer", "a_inner", "d", "d_outer", "d_inner")
    m.d.comb += [getattr(job, name).eq(either(name)) for name in loops]
    m.d.comb += [
        getattr(job, name).eq(getattr(vector, name))
        for name in ("b", "b_outer", "b_inner", "activation", "group_words", "fill")
    ]
    m.d.comb += [
        job.reduce.eq(is_reduce),
        job.count.eq(instruction.count),
        job.sine_offset.eq(instruction.address[:14]),
        job.last_read.eq(Mux(rope, 2, with_b & by_word)),
        job.row_scalar.eq(with_b & (vector.operand_b == isa.OperandB.ROW_SCALAR)),
        job.rope.eq(rope),
        job.pair.eq(is_op[isa.VectorOp.MUL] & by_word),
        job.two_products.eq(rope | (is_add & by_word)),
        job.activate.eq(is_op[isa.VectorOp.ACTIVATE]),
        job.square.eq(is_reduce & (reduce.operation == isa.ReduceOp.SUM_SQUARES)),
        job.by_one.eq(is_reduce | is_op[isa.VectorOp.COPY] | is_add),
        job.add_scalar.eq(is_add & ~by_word),
        job.subtract.eq(is_op[isa.VectorOp.SUB]),
        job.scalar.eq(canonical(instruction.address[:24])),
        job.offset.eq(canonical(reduce.offset)),
        job.post.eq(reduce.post),
        job.quantize.eq(~is_reduce & (to != isa.VectorDestination.VECTOR_MEMORY)),
        job.to_groups.eq(to != isa.VectorDestination.ACTIVATIONS),
        job.keys.eq(to == isa.VectorDestination.KEYS),
        job.wide_keys.eq(~is_reduce & (to == isa.VectorDestination.KEYS) & vector.wide_keys),
        job.group_length.eq(Mux(vector.fill, vector.words, vector.group_words)),
        job.group_offset.eq(Mux(vector.fill, vector.group_offset, 0)),
    ]
    per_block = config.words_per_block
    bad_group = (
        (vector.group_words % per_block != 0)
        | (vector.group_words == 0)
        | (vector.fill & (vector.group_offset + vector.words > vector.group_words))
        | ((to == isa.VectorDestination.ACTIVATIONS) & (vector.group_words != per_block))
    )
    illegal = (
        (job.words == 0) | (job.inner == 0) | (job.quantize & instruction.count.any() & bad_group)
    )
    return job, illegal
