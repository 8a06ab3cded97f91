# SPDX-License-Identifier: Apache-2.0
"""What the scalar registers and the dependency tokens of a model's program stand for."""

from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise

from weft_arch.isa import N_SCALARS

__all__ = [
    "ADAPTER",
    "BATCH_POSITION_BITS",
    "BATCH_REGISTER",
    "BATCH_SEQUENCE_BITS",
    "ENCODER_CHUNKS",
    "ENCODER_CHUNK_ROWS",
    "MOST_ADAPTED_ROWS",
    "MOST_BATCH_ROWS",
    "Register",
    "Token",
    "batch_scalars",
    "chunk_scalars",
    "encoder_scalars",
    "even_chunks",
]


class Register(IntEnum):
    """Scalar registers.

    A chunk program takes ROWS, POSITION, SEQUENCE, HEAD and LOGITS from the host; a batch program
    takes ROWS and, from BATCH_REGISTER on, a register per row that names the sequence.
    """

    ROWS = 1
    """positions in this chunk, or sequences in this batch"""
    GROUP_POSITION = 2
    """position of the first row of an ATTEND"""
    CONTEXT = 3
    """keys that an ATTEND goes through"""
    WEIGHTS = 4
    PARAMETERS = 5
    KV = 6
    ADDRESS = 7
    """of whatever comes next"""
    POSITION = 8
    """position of the first row; the program adds ROWS at its end"""
    QUERY_ROWS = 9
    """rows of an ATTEND"""
    GROUP_ROWS = 10
    """positions of an ATTEND, where a chunk needs several"""
    SEQUENCE = 11
    """byte offset of the sequence's KV cache"""
    HEAD = 12
    """1: compute logits; 0: leave the head out (all chunks of a prompt but the last)"""
    LOGITS = 13
    """rows of logits to store in memory: 0, 1 or, in a scoring program, ROWS"""
    LAST_ROW = 14


ADAPTER = 15
"""In a program with a side path: address of the adapter's weights of the layer, at the beginning
and at the end of a run of the first one's."""
BATCH_REGISTER = 8
"""First of the registers that name a batch's rows; a chunk uses them otherwise."""
MOST_BATCH_ROWS = N_SCALARS - BATCH_REGISTER
"""Sequences that one run of a batch program continues at most."""
MOST_ADAPTED_ROWS = ADAPTER - BATCH_REGISTER
"""The same of one with a side path."""
BATCH_POSITION_BITS = 16
BATCH_SEQUENCE_BITS = 15
"""A batch register: position, sequence, and 1 in the highest bit."""
ENCODER_CHUNK_ROWS, ENCODER_CHUNKS = 12, 13
"""Registers of an encoder's program; others use them otherwise."""


class Token(IntEnum):
    """Dependency tokens: who has made what."""

    X = 1
    """residual stream ready for a norm"""
    NORMED = 2
    KEYS_VALUES = 3
    QUERIES = 4
    KV_STORED = 5
    QUERY_CODES = 6
    HEADS = 7
    ATTENDED = 8
    X_ATTENTION = 9
    NORMED_FFN = 10
    GATE_UP = 11
    HIDDEN = 12
    PARAMETERS_A = 13
    PARAMETERS_A_FREE = 14
    PARAMETERS_B = 15
    PARAMETERS_B_FREE = 16
    LOGITS = 17
    LOGITS_FREE = 18
    GATE_UP_FREE = 19
    KEYS_VALUES_FREE = 20
    """used where the queries take the words of keys and values"""
    BRANCH_OUT = 21
    """used where a norm follows the product that ends a part of a layer"""
    EMBEDDED = 22
    """used where more belongs to a row than its embedding"""
    X_FREE = 23
    """used where x waits in memory between operations"""
    X_OUT = 24
    """used there too: x ready to be stored"""
    HEADS_FREE = 25
    """used where the slots of attention take turns"""
    LOW_RANK = 26
    """used where adapters are, whose A x is ready to be quantised"""
    LOW_RANK_CODES = 27
    """used there too: a matrix's A x is quantised"""
    X_STORED = 28
    """used in chunks of long prompts: the rows of x in the inner buffer's words are in memory"""
    X_LOADED = 29
    """used there: x is on the chip again"""
    ROTATIONS = 30
    """used there: rotations are loaded layer by layer"""
    HIDDEN_FREE = 31
    """used there: a piece of the hidden codes is multiplied"""


def even_chunks(count: int, most: int) -> list[tuple[int, int]]:
    """``count`` tokens as (first, end) of the fewest chunks of at most ``most``, alike in size: a
    short one would wait for the weights of a long one."""
    chunks = -(-count // most)
    edges = [count * k // max(chunks, 1) for k in range(chunks + 1)]
    return list(pairwise(edges))


def chunk_scalars(
    rows: int, position: int, *, head: bool = True, logit_rows: int = 0, sequence: int = 0
) -> dict[int, int]:
    """The registers that a run begins with which appends ``rows`` tokens at ``position``;
    ``sequence`` is the byte offset of its KV cache, ``logit_rows`` are stored."""
    return {
        Register.ROWS: rows,
        Register.POSITION: position,
        Register.SEQUENCE: sequence,
        Register.HEAD: int(head),
        Register.LOGITS: logit_rows,
    }


def encoder_scalars(rows: int, most: int, fewest: int = 1) -> dict[int, int]:
    """The registers that an encoder's program begins with, for a text of ``rows`` tokens in the
    fewest chunks of at most ``most``, alike in size, but no fewer than ``fewest``."""
    chunks = max(-(-rows // most), fewest)
    return {
        Register.CONTEXT: rows,
        ENCODER_CHUNK_ROWS: -(-rows // chunks),
        ENCODER_CHUNKS: chunks,
    }


def batch_scalars(rows: Sequence[tuple[int, int]]) -> dict[int, int]:
    """The registers that a batch program begins with; each row is (sequence, position)."""
    scalars = {int(Register.ROWS): len(rows)}
    for number in range(MOST_BATCH_ROWS):
        value = 0
        if number < len(rows):
            sequence, position = rows[number]
            value = 1 << BATCH_SEQUENCE_BITS | sequence
            value = value << BATCH_POSITION_BITS | position
        scalars[BATCH_REGISTER + number] = value
    return scalars
