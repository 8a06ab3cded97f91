# SPDX-License-Identifier: Apache-2.0
"""What the scalar registers and the dependency tokens of a model's program stand for."""

from enum import IntEnum

__all__ = ["Register", "Token", "chunk_scalars"]


class Register(IntEnum):
    """Scalar registers. ROWS, POSITION, SEQUENCE, HEAD and LOGITS are the host's."""

    ROWS = 1
    """positions in this chunk, 1 to chunk_rows"""
    POSITION = 2
    """position of the first one; the program adds ROWS at its end"""
    CONTEXT = 3
    """keys after this chunk: POSITION + ROWS"""
    ROPE = 4
    IDS = 5
    WEIGHTS = 6
    GAINS = 7
    KV = 8
    QUERY_ROWS = 9
    LAST_ROW = 10
    SEQUENCE = 11
    """byte offset of the sequence's KV cache"""
    HEAD = 12
    """1: compute logits; 0: leave the head out (all chunks of a prompt but the last)"""
    LOGITS = 13
    """rows of logits to store in memory: 0, 1 or, in a scoring program, ROWS"""
    SCRATCH = 14


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
    GAIN_A = 13
    GAIN_A_FREE = 14
    GAIN_B = 15
    GAIN_B_FREE = 16
    LOGITS = 17
    LOGITS_FREE = 18
    GATE_UP_FREE = 19


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
