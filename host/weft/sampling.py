# SPDX-License-Identifier: Apache-2.0
"""Chooses the next token, defined in integers so that every machine chooses the same.

The token is a function of the logits' bits, the parameters, the seed and `step`, the number of
tokens generated before it. It does not depend on the platform's `exp`, on the order of a sum or on
what ran before. A program without floating point can follow the definition:

1. *Order.* Candidates are sorted by logit, the largest first; equal logits (`-0 == +0`) by token
   id, the lowest first. Greedy choice takes the first candidate and ends here. Minus infinity
   marks a token that must not be chosen.
2. *top_k* keeps the first k candidates.
3. *Weights.* A logit becomes a fixed-point number `x = floor(logit * 2**16)`, limited to
   `-2**31 .. 2**31 - 1`. With `x0` that of the first candidate,
   `y = ((x0 - x) * inverse_temperature) >> 20`, where
   `inverse_temperature = round(2**20 * log2(e) / temperature)`. The weight is `2**(31 - y/2**16)`:
   with `i = (y >> 8) & 255`, `f = y & 255` and `t` the table `EXP2_TABLE`,
   `weight = (t[i] - (((t[i] - t[i + 1]) * f) >> 8)) >> (y >> 16)`. It is `2**31` for the first
   candidate; it is 0 from `y >> 16 = 32` on, about 22 * temperature below it.
4. *top_p* keeps the shortest prefix with `sum * 2**16 >= round(top_p * 2**16) * total`, where
   `total` adds the weights of all candidates left. The rounded top_p is at least 1.
5. *Draw.* With `total` that of the candidates left now and `u` the random number,
   `r = (u * total) >> 64`, and the token is the first candidate at which the running sum of the
   weights exceeds `r`.

`u` is 64 bits of `splitmix64(splitmix64_mix(seed), step)`. Sums fit 64 bits, the product of step 4
too for up to 131,072 candidates; that of step 5 takes 128. Interpolating in the table is off by
at most one part in a million.
"""

import math
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.errors import SamplingError
from weft.sampling_params import SamplingParams
from weft_arch.sampling import (
    DISTANCE_SHIFT,
    EXP2_TABLE,
    GOLDEN,
    LOGIT_FRACTION_BITS,
    MIX_A,
    MIX_B,
    TOP_P_BITS,
)

__all__ = ["EXP2_TABLE", "Sampler", "SamplingParams", "splitmix64", "splitmix64_mix"]

LOG2_E = 1.4426950408889634
"""The double nearest to log2(e)."""

MASK64 = (1 << 64) - 1

Logits = npt.NDArray[np.floating[Any]]


def splitmix64_mix(state: int) -> int:
    """The output function of splitmix64: 64 bits to 64 bits, one to one.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    """
    state = ((state ^ (state >> 30)) * MIX_A) & MASK64
    state = ((state ^ (state >> 27)) * MIX_B) & MASK64
    return state ^ (state >> 31)


def splitmix64(seed: int, step: int) -> int:
    """Number `step`, counted from 0, of the splitmix64 sequence that begins at `seed`."""
    return splitmix64_mix((seed + (step + 1) * GOLDEN) & MASK64)


class Sampler:
    """Chooses tokens as `params` say; holds no state but the seed, so any step can be repeated.

    Without a seed in `params` a fresh one is taken; `seed` tells which. `inverse_temperature` (0
    where greedy) and `top_p` are the integers of steps 3 and 4.
    """

    def __init__(self, params: SamplingParams) -> None:
        self.params = params
        self.seed = secrets.randbits(64) if params.seed is None else params.seed
        self._key = splitmix64_mix(self.seed)
        self.top_p = max(1, round(params.top_p * (1 << TOP_P_BITS)))
        self.inverse_temperature = 0
        if not params.greedy:
            self.inverse_temperature = round((1 << DISTANCE_SHIFT) * LOG2_E / params.temperature)

    def sample(self, logits: Logits, step: int) -> int:
        """The token id chosen from logits [vocab_size] as number `step` of the output.

        Raises `SamplingError` for logits that are NaN or plus infinity, or all minus infinity.
        """
        _check_logits(logits)
        if self.params.greedy:
            return int(logits.argmax())
        order = np.argsort(-logits, kind="stable")
        return self.sample_sorted(logits[order], order.tolist(), step)

    def sample_sorted(self, logits: Logits, token_ids: Sequence[int], step: int) -> int:
        """The same from candidates that a device has sorted already, as step 1 demands.

        `logits` are those of `token_ids`. The choice is that of `sample` if the candidates are
        all tokens, or at least `top_k` of them where that is set.
        """
        _check_logits(logits)
        if self.params.greedy:
            return token_ids[0]
        if self.params.top_k > 0:
            logits = logits[: self.params.top_k]
        sums = np.cumsum(self._weights(logits), dtype=np.uint64).tolist()
        total: int = sums[-1]
        kept = next(i for i, part in enumerate(sums) if part << TOP_P_BITS >= self.top_p * total)
        drawn = (splitmix64(self._key, step) * sums[kept]) >> 64
        return token_ids[next(i for i, part in enumerate(sums) if part > drawn)]

    def _weights(self, logits: Logits) -> npt.NDArray[np.uint64]:
        """Step 3: integer weights of sorted logits."""
        with np.errstate(over="ignore"):
            scaled = np.floor(logits.astype(np.float64) * (1 << LOGIT_FRACTION_BITS))
        fixed = scaled.clip(-(1 << 31), (1 << 31) - 1).astype(np.int64)
        distance = ((fixed[0] - fixed) * self.inverse_temperature) >> DISTANCE_SHIFT
        index, fraction = (distance >> 8) & 255, distance & 255
        table = np.array(EXP2_TABLE, np.int64)
        high, low = table[index], table[index + 1]
        weights = (high - (((high - low) * fraction) >> 8)) >> np.minimum(distance >> 16, 63)
        return np.where(np.isneginf(logits), 0, weights).astype(np.uint64)


def _check_logits(logits: Logits) -> None:
    highest = float(logits.max()) if logits.size else -math.inf
    if not math.isfinite(highest):
        what = "all minus infinity" if highest == -math.inf else f"{highest} among others"
        raise SamplingError(f"logits are {what}, so no token can be chosen.")
