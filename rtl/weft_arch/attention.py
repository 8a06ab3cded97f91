# SPDX-License-Identifier: Apache-2.0
"""Online softmax in base 2 over blocks of 32 keys: the exact arithmetic of ATTEND.

A kv block goes through `softmax_block`, which turns the scores of every query row into quantised
probabilities and says by how many powers of two the output accumulated so far must shrink.
After the last block `finish` gives what the output has to be multiplied with.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weft_arch import blocks, float24
from weft_arch.config import BLOCK
from weft_arch.functions import EXP2, SCORE_FRACTION_BITS, reciprocal, to_fixed

__all__ = [
    "MAX_RESCALE",
    "NO_MAXIMUM",
    "SCORE_BITS",
    "SUM_FRACTION_BITS",
    "SoftmaxBlock",
    "SoftmaxState",
    "finish",
    "initial_state",
    "key_limits",
    "softmax_block",
    "visible_keys",
]

SCORE_BITS = 24
"""Bits of a fixed-point score, sign included; 12 of them are fraction bits."""
SUM_FRACTION_BITS = 24
"""Fraction bits of the probabilities that are summed: the sum of a block is an exact integer."""
NO_MAXIMUM = -2048
"""Running maximum of a row that has seen no key; every score's maximum is larger."""
MAX_RESCALE = 255
"""Largest exponent difference that is passed on; it flushes every float to zero."""


class SoftmaxState(NamedTuple):
    """What is kept per query row from block to block."""

    running_max: NDArray[np.int64]
    """[rows], powers of two: -2047 to 2048, or NO_MAXIMUM"""
    running_sum: NDArray[np.float32]
    """[rows], F24"""


class SoftmaxBlock(NamedTuple):
    """What one kv block yields."""

    codes: NDArray[np.int32]
    """[rows, 32], probabilities times 2**value_exponent, quantised"""
    exponent: NDArray[np.int32]
    """[rows], exponent of the row's codes"""
    rescale: NDArray[np.int64]
    """[rows], 0 to 255: the output so far is multiplied by 2**-rescale"""
    state: SoftmaxState


def initial_state(rows: int) -> SoftmaxState:
    """The state before the first kv block."""
    return SoftmaxState(np.full(rows, NO_MAXIMUM, np.int64), np.zeros(rows, np.float32))


def key_limits(
    rows: int, position: int, n_keys: int, causal: bool, rows_per_position: int
) -> NDArray[np.int64]:
    """How many keys each query row of an ATTEND sees: [rows]."""
    if not causal:
        return np.full(rows, n_keys, np.int64)
    return position + 1 + np.arange(rows, dtype=np.int64) // rows_per_position


def visible_keys(limits: ArrayLike, key_base: int) -> NDArray[np.bool_]:
    """Which of the 32 keys from position ``key_base`` each row sees: [rows, 32]."""
    return key_base + np.arange(BLOCK) < np.asarray(limits, np.int64)[:, None]


def softmax_block(
    state: SoftmaxState,
    scores: ArrayLike,
    visible: ArrayLike,
    value_exponents: ArrayLike,
    bits: int,
) -> SoftmaxBlock:
    """One kv block for all query rows.

    scores: F24 [rows, 32] in log2 units; visible: bool [rows, 32]; value_exponents: int [32], of
    the value blocks of the 32 keys; bits: of a probability code, sign included.

    The maximum is rounded up to an integer, so that rescaling never rounds. A probability is
    ``EXP2(f) >> i`` where ``i + f`` is its distance from the maximum: rounded down to 24 fraction
    bits in the sum, but with all its bits as the value that is quantised. From ``i`` = 25 on it is
    zero in both. A row that sees no key of the block keeps its state and gets zero probabilities.
    """
    seen = np.asarray(visible, bool)
    fixed = to_fixed(scores, SCORE_FRACTION_BITS, SCORE_BITS)
    ceiling = -(-fixed >> SCORE_FRACTION_BITS)
    block_max = np.where(seen, ceiling, NO_MAXIMUM).max(axis=1)
    running_max = np.maximum(state.running_max, block_max)
    rescale = np.minimum(running_max - state.running_max, MAX_RESCALE)
    rescale = np.where(state.running_max == NO_MAXIMUM, 0, rescale)

    distance = np.where(seen, (running_max[:, None] << SCORE_FRACTION_BITS) - fixed, 0)
    whole = distance >> SCORE_FRACTION_BITS
    seen = seen & (whole <= SUM_FRACTION_BITS)
    whole = np.where(seen, whole, 0)
    power = EXP2.evaluate(distance & ((1 << SCORE_FRACTION_BITS) - 1))

    p_fixed = np.where(seen, (power << (SUM_FRACTION_BITS - 16)) >> whole, 0)
    block_sum = float24.round_to_f24(
        np.ldexp(p_fixed.sum(axis=1).astype(np.float64), -SUM_FRACTION_BITS)
    )
    running_sum = float24.add(float24.scale_exponent(state.running_sum, -rescale), block_sum)

    probabilities = float24.scale_exponent(
        np.where(seen, power, 0), -16 - whole + np.asarray(value_exponents, np.int64)
    )
    codes, exponent = blocks.quantize(probabilities, bits)
    return SoftmaxBlock(codes, exponent, rescale, SoftmaxState(running_max, running_sum))


def finish(state: SoftmaxState) -> NDArray[np.float32]:
    """reciprocal(sum) of each row, by which the output is multiplied: [rows]."""
    return reciprocal(state.running_sum)
