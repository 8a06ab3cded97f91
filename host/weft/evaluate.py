# SPDX-License-Identifier: Apache-2.0
"""How far one set of logits is from another, and how well logits foresee a text.

Everything here takes arrays of logits [positions, vocab_size], row `i` being the prediction that
follows token `i`, so any device can be judged by any other. Computed in float64; divergences and
losses are in nats.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.errors import EvaluationError

__all__ = [
    "Comparison",
    "Logits",
    "LogitsOf",
    "compare",
    "compare_on",
    "kl_divergence",
    "perplexity",
    "same_top1",
    "token_losses",
]

Logits = npt.NDArray[np.floating[Any]]
LogitsOf = Callable[[Sequence[int]], Logits]
"""Token ids of a sequence -> logits [tokens, vocab_size]: all that a judged device has to offer."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A device's logits beside a judge's, over all positions of some texts.

    Divergences are in nats; `p999_kl` is what 99.9 % of the positions do not exceed (interpolated
    linearly). Perplexities are per predicted token of the texts themselves.
    """

    positions: int
    mean_kl: float
    p999_kl: float
    max_kl: float
    top1_agreement: float
    judge_perplexity: float
    perplexity: float


def kl_divergence(judge: Logits, logits: Logits) -> npt.NDArray[np.float64]:
    """KL(judge || device) of the next-token distributions, per position, in nats."""
    _check_pair(judge, logits)
    judge_log = _log_softmax(judge)
    difference = judge_log - _log_softmax(logits)
    probabilities = np.exp(judge_log)
    terms = np.where(probabilities > 0, probabilities * difference, 0.0)
    return np.maximum(terms.sum(axis=-1), 0.0)


def same_top1(judge: Logits, logits: Logits) -> npt.NDArray[np.bool_]:
    """Whether both have the same likeliest token, the lowest id among equals, per position."""
    _check_pair(judge, logits)
    return judge.argmax(axis=-1) == logits.argmax(axis=-1)


def token_losses(logits: Logits, targets: Sequence[int]) -> npt.NDArray[np.float64]:
    """-log of the probability that row `i` gives to `targets[i]`, in nats."""
    _check_logits("logits", logits)
    if len(targets) != logits.shape[0]:
        raise EvaluationError(
            f"there are {len(targets)} tokens to foresee, but logits for {logits.shape[0]}."
        )
    ids = np.asarray(targets, np.int64)
    if ids.size and not 0 <= ids.min() <= ids.max() < logits.shape[1]:
        raise EvaluationError(
            f"a token to foresee is not between 0 and {logits.shape[1] - 1}, the last one that "
            f"there are logits for."
        )
    return -_log_softmax(logits)[np.arange(len(ids)), ids]


def perplexity(losses: npt.NDArray[np.float64]) -> float:
    """exp of the mean of some tokens' losses; raises `EvaluationError` when there are none."""
    if not losses.size:
        raise EvaluationError("there are no tokens to compute a perplexity of.")
    mean = float(losses.mean())
    return math.exp(mean) if mean < 700 else math.inf


def compare(pairs: Iterable[tuple[Sequence[int], Logits, Logits]]) -> Comparison:
    """Compare over several texts, each (token ids, the judge's logits, the device's logits).

    Logits have one row per token; the last row's prediction counts in the divergence although
    the text does not tell what follows. Texts are taken one at a time and not kept.
    """
    divergences: list[npt.NDArray[np.float64]] = []
    agreements: list[npt.NDArray[np.bool_]] = []
    judge_losses: list[npt.NDArray[np.float64]] = []
    losses: list[npt.NDArray[np.float64]] = []
    for token_ids, judge, logits in pairs:
        divergences.append(kl_divergence(judge, logits))
        agreements.append(same_top1(judge, logits))
        judge_losses.append(token_losses(judge[:-1], token_ids[1:]))
        losses.append(token_losses(logits[:-1], token_ids[1:]))
    if not divergences:
        raise EvaluationError("there are no texts to compare on.")
    kl = np.concatenate(divergences)
    return Comparison(
        positions=kl.size,
        mean_kl=float(kl.mean()),
        p999_kl=float(np.quantile(kl, 0.999)),
        max_kl=float(kl.max()),
        top1_agreement=float(np.concatenate(agreements).mean()),
        judge_perplexity=perplexity(np.concatenate(judge_losses)),
        perplexity=perplexity(np.concatenate(losses)),
    )


def compare_on(judge: LogitsOf, device: LogitsOf, sequences: Iterable[Sequence[int]]) -> Comparison:
    """Run judge and device on sequences of token ids, and compare."""
    return compare((ids, judge(ids), device(ids)) for ids in sequences)


def _log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))


def _check_pair(judge: Logits, logits: Logits) -> None:
    _check_logits("the judge's logits", judge)
    _check_logits("logits", logits)
    if judge.shape != logits.shape:
        raise EvaluationError(
            f"the judge's logits are {list(judge.shape)}, but the device's {list(logits.shape)}."
        )


def _check_logits(name: str, logits: Logits) -> None:
    if logits.ndim != 2:
        raise EvaluationError(
            f"{name} are {list(logits.shape)}, but must be [positions, vocab_size]."
        )
    finite = np.isfinite(logits)
    if not finite.all():
        position = int(np.argwhere(~finite)[0][0])
        raise EvaluationError(f"{name} are not all finite at position {position}.")
