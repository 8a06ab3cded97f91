# SPDX-License-Identifier: Apache-2.0
"""Logits of sequences that begin alike, as questions about one text do, without computing the
beginning again."""

from collections.abc import Callable, Sequence

import numpy as np

from weft.evaluate import Logits
from weft.float_model import FloatKVCache, FloatModel
from weft.runtime import ModelRunner

__all__ = ["PrefixScorer", "device_scorer", "float_scorer"]


class PrefixScorer:
    """Logits [tokens, vocab_size] of a sequence, of which those that the sequence before began with
    are remembered.

    `extend(token_ids, position)` gives the logits of tokens at a position of the one sequence that
    there is, with the keys and values that stand in front of it; those behind are forgotten.
    """

    def __init__(self, extend: Callable[[Sequence[int], int], Logits]) -> None:
        self._extend = extend
        self._ids: list[int] = []
        self._logits: Logits | None = None

    def __call__(self, token_ids: Sequence[int]) -> Logits:
        """The same as without a memory."""
        ids = list(token_ids)
        shared = _shared(self._ids, ids)
        if self._logits is None or not shared:
            logits = self._extend(ids, 0)
        elif shared == len(ids):
            return self._logits[:shared]
        else:
            new = self._extend(ids[shared:], shared)
            logits = np.concatenate([self._logits[:shared], new])
        self._ids, self._logits = ids, logits
        return logits


def device_scorer(runner: ModelRunner, adapter: str | None = None) -> PrefixScorer:
    """Of a scoring program on a device, with a resident adapter or none. What it keeps of a
    sequence depends on its tokens and the adapter alone, so the bits are those of scoring each
    sequence from its start. There is one sequence, so no two scorers of a runner may take turns.
    """
    return PrefixScorer(lambda ids, position: runner.score(ids, position=position, adapter=adapter))


def float_scorer(model: FloatModel) -> PrefixScorer:
    """Of the float model."""
    cache = FloatKVCache()

    def extend(token_ids: Sequence[int], position: int) -> Logits:
        cache.keep(position)
        return model.logits(token_ids, cache)

    return PrefixScorer(extend)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))
