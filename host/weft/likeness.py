# SPDX-License-Identifier: Apache-2.0
"""How well an encoder's embeddings order pairs of sentences, format by format, as one record."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.embedder import Embedder
from weft.errors import EvaluationError
from weft.files import JsonObject, as_list, as_object, in_file, read_json_object
from weft.sentence_pairs import SentencePair, spearman

__all__ = ["LikenessReport", "LikenessRow", "judge_likeness", "read_likeness"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LikenessRow:
    """A way to run an encoder: `arithmetic` is `float` or a device and its preset, `weights` a
    format or `float`. `mean_cosine` is that of its embeddings to float's."""

    arithmetic: str
    weights: str
    spearman: float
    mean_cosine: float


@dataclass(frozen=True, kw_only=True)
class LikenessReport:
    """An encoder judged on pairs of sentences; `texts` is the name of their file."""

    model: str
    texts: str
    pairs: int
    rows: tuple[LikenessRow, ...]

    def find(self, weights: str) -> LikenessRow | None:
        """The row of a format; None where there is none."""
        return next((row for row in self.rows if row.weights == weights), None)

    def with_row(self, row: LikenessRow) -> "LikenessReport":
        """This report with a row more, or in the place of that of the same weights."""
        others = {each.weights: each for each in self.rows}
        return replace(self, rows=tuple((others | {row.weights: row}).values()))

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; `read_likeness` reads it back."""
        return asdict(self)


def embeddings(embedder: Embedder, pairs: Sequence[SentencePair]) -> Floats:
    """Unit vectors of both sentences of each pair: [2, pairs, dim]."""
    both = [[pair.first for pair in pairs], [pair.second for pair in pairs]]
    found = np.stack([embedder.embed(texts).astype(np.float64) for texts in both])
    return found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-12)


def judge_likeness(
    found: Floats, judge: Floats, pairs: Sequence[SentencePair]
) -> tuple[float, float]:
    """Spearman's correlation of the pairs' cosines with people's scores, and the mean cosine of
    embeddings to those of a judge; both as `embeddings` makes them."""
    if found.shape != judge.shape or found.shape[1] != len(pairs):
        raise EvaluationError(
            f"embeddings are {list(found.shape)}, but the judge's {list(judge.shape)} of "
            f"{len(pairs)} pairs."
        )
    alike = (found[0] * found[1]).sum(axis=-1)
    order = spearman(alike, [pair.score for pair in pairs])
    return order, float((found * judge).sum(axis=-1).mean())


def read_likeness(path: Path) -> LikenessReport:
    """The report that `bench/likeness.py` wrote; a sentence says what is wrong."""
    record = read_json_object(path)
    with in_file(path):
        rows = [as_object(row) for row in as_list(record.get("rows")) or []]
        if not rows or None in rows:
            raise EvaluationError("rows must be a list of objects.")
        return LikenessReport(
            model=_text(record, "model"),
            texts=_text(record, "texts"),
            pairs=int(_number(record, "pairs")),
            rows=tuple(_row(row) for row in rows if row is not None),
        )


def _row(record: JsonObject) -> LikenessRow:
    return LikenessRow(
        arithmetic=_text(record, "arithmetic"),
        weights=_text(record, "weights"),
        spearman=_number(record, "spearman"),
        mean_cosine=_number(record, "mean_cosine"),
    )


def _text(record: JsonObject, name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value:
        raise EvaluationError(f"{name} must be a text.")
    return value


def _number(record: JsonObject, name: str) -> float:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 1e9:
        raise EvaluationError(f"{name} must be a number from -1 up.")
    return float(value)
