# SPDX-License-Identifier: Apache-2.0
"""Semantic textual similarity: do embeddings order pairs of sentences as people do?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from weft.embedder import Embedder
from weft.errors import EvaluationError, shown
from weft.files import read_text

__all__ = ["SentencePair", "cosines", "read_pairs", "spearman"]

FILE_LIMIT_BYTES = 1 << 28
SCORE, FIRST, SECOND = 4, 5, 6
"""Columns of the STS benchmark's files, counted from 0."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SentencePair:
    """Two sentences and how alike people find them, from 0 to 5."""

    score: float
    first: str
    second: str


def read_pairs(path: Path) -> list[SentencePair]:
    """The pairs of a tab-separated file of the STS benchmark.

    Raises `EvaluationError` or `FileError` naming the file and the line.
    """
    pairs: list[SentencePair] = []
    for number, line in enumerate(read_text(path, limit_bytes=FILE_LIMIT_BYTES).splitlines(), 1):
        columns = line.split("\t")
        if len(columns) <= SECOND:
            raise EvaluationError(
                f"{path}: line {number} has {len(columns)} columns, but at least {SECOND + 1} are "
                f"needed."
            )
        try:
            score = float(columns[SCORE])
        except ValueError:
            score = float("nan")
        if not 0 <= score <= 5:
            raise EvaluationError(
                f"{path}: line {number} has the score {shown(columns[SCORE])}, but scores are 0 to "
                f"5."
            )
        pairs.append(SentencePair(score=score, first=columns[FIRST], second=columns[SECOND]))
    if len(pairs) < 2:
        raise EvaluationError(f"{path} holds {len(pairs)} pairs, but at least 2 are needed.")
    return pairs


def cosines(embedder: Embedder, pairs: Sequence[SentencePair]) -> Floats:
    """The cosine of each pair's embeddings."""
    first = embedder.embed([pair.first for pair in pairs]).astype(np.float64)
    second = embedder.embed([pair.second for pair in pairs]).astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.maximum(lengths, 1e-12)


def spearman(one: Sequence[float] | Floats, other: Sequence[float] | Floats) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share the mean of their ranks."""
    a, b = _ranks(np.asarray(one, np.float64)), _ranks(np.asarray(other, np.float64))
    if len(a) != len(b) or len(a) < 2:
        raise EvaluationError(
            f"{len(a)} and {len(b)} values are given, but a correlation needs as many of each and "
            f"at least 2."
        )
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / spread if spread else 0.0


def _ranks(values: Floats) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[place]
