# SPDX-License-Identifier: Apache-2.0
"""The frequencies of rotary embedding, and the ways in which models stretch them.

A frequency is in radians per position. Every way yields one tuple per head, so that nothing after
the loaders knows how it came about. Sources: YaRN, https://arxiv.org/abs/2309.00071; LongRoPE,
https://arxiv.org/abs/2402.13753; the third is that of Llama 3.1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from weft.errors import ModelError

__all__ = [
    "Yarn",
    "base_frequencies",
    "divided",
    "llama3_frequencies",
    "longrope_factor",
    "padded",
    "yarn_factor",
    "yarn_frequencies",
]

Frequencies = tuple[float, ...]


def base_frequencies(theta: float, rotary_dim: int) -> Frequencies:
    """theta ** (-2i / rotary_dim) for each of rotary_dim / 2 pairs."""
    if not 0 < theta <= 1e12:
        raise ModelError(f"rope_theta is {theta:g}, but must be greater than 0 and at most 1e+12.")
    return tuple(theta ** (-2 * i / rotary_dim) for i in range(rotary_dim // 2))


def padded(frequencies: Frequencies, head_dim: int) -> Frequencies:
    """With 0 for the pairs of a head that are not rotated."""
    return frequencies + (0.0,) * (head_dim // 2 - len(frequencies))


def divided(frequencies: Frequencies, factors: Sequence[float]) -> Frequencies:
    """Each frequency divided by its factor."""
    return tuple(f / factor for f, factor in zip(frequencies, factors, strict=True))


def llama3_frequencies(
    frequencies: Frequencies, *, factor: float, low: float, high: float, context: float
) -> Frequencies:
    """Llama 3.1: pairs that turn less than `low` times within the original `context` are slowed
    down by `factor`, those that turn more than `high` times are not, others in between."""

    def stretched(frequency: float) -> float:
        turns = context * frequency / (2 * math.pi)
        if turns < low:
            return frequency / factor
        if turns > high or high == low:
            return frequency
        smooth = (turns - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency

    return tuple(stretched(frequency) for frequency in frequencies)


@dataclass(frozen=True, kw_only=True)
class Yarn:
    """The constants of YaRN; `truncate` rounds the ends of the ramp to whole pairs."""

    factor: float
    context: float
    fast: float = 32.0
    slow: float = 1.0
    truncate: bool = True


def yarn_frequencies(theta: float, rotary_dim: int, yarn: Yarn) -> Frequencies:
    """Pairs that turn more than `fast` times within the original context keep their frequency,
    those that turn less than `slow` times are slowed down by `factor`; a ramp in between."""
    frequencies = base_frequencies(theta, rotary_dim)
    if theta <= 1:
        raise ModelError(f"rope_theta is {theta:g}, but YaRN needs one above 1.")

    def pair_that_turns(times: float) -> float:
        return rotary_dim * math.log(yarn.context / (times * 2 * math.pi)) / (2 * math.log(theta))

    first, last = pair_that_turns(yarn.fast), pair_that_turns(yarn.slow)
    if yarn.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, rotary_dim - 1)
    width = last - first or 0.001

    def stretched(index: int, frequency: float) -> float:
        slowed = min(max((index - first) / width, 0.0), 1.0)
        return frequency * (1 - slowed) + frequency / yarn.factor * slowed

    return tuple(stretched(index, frequency) for index, frequency in enumerate(frequencies))


def yarn_factor(factor: float, scale: float = 1.0) -> float:
    """The attention factor that YaRN recommends: 0.1 ln(factor) + 1."""
    return 0.1 * scale * math.log(factor) + 1 if factor > 1 else 1.0


def longrope_factor(factor: float, context: float) -> float:
    """The attention factor that LongRoPE recommends."""
    if factor <= 1:
        return 1.0
    if context <= 1:
        raise ModelError(f"LongRoPE's original context is {context:g}, but must be above 1.")
    return math.sqrt(1 + math.log(factor) / math.log(context))
