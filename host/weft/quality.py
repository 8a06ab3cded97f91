# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found, as one record: printed as a table, kept as JSON, drawn, made a page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from weft.errors import EvaluationError, shown
from weft.evaluate import Comparison
from weft.files import JsonObject, as_list, as_object, in_file, read_json_object
from weft.held_out import AnswerScore
from weft.kv_format import KVFormat
from weft.quantize import WeightFormat

__all__ = ["FLOAT", "Judged", "QualityReport", "read_report"]

FLOAT = "float"
"""The name of float weights, and of float arithmetic."""

_Record = TypeVar("_Record", Comparison, AnswerScore)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One row of the table: a way to run the model, against the float model.

    `arithmetic` is `float`, or a device and its preset; `weights` and `kv` are formats of the
    weights and of keys and values, or `float`. With a format of the weights and float arithmetic
    the numbers are exactly those that the format stands for.
    """

    arithmetic: str
    weights: str
    kv: str
    comparison: Comparison
    answers: AnswerScore | None


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """An evaluation of a model on some texts; `texts` is the name of their file, `kv_format` what
    keys and values have where the user leaves it open."""

    model: str
    texts: str
    n_texts: int
    kv_format: str
    rows: tuple[Judged, ...]

    @property
    def positions(self) -> int:
        """Positions whose next-token distributions were compared."""
        return self.rows[0].comparison.positions

    @property
    def questions(self) -> int:
        """Questions that were asked; 0 where there were none."""
        answers = self.rows[0].answers
        return answers.questions if answers else 0

    @property
    def formats(self) -> list[str]:
        """The formats of the weights, float left out, in the order of the table."""
        return list(dict.fromkeys(row.weights for row in self.rows if row.weights != FLOAT))

    def find(self, weights: str, *, on_device: bool, kv: str | None = None) -> Judged | None:
        """The row of a format in float arithmetic or on the device, there with keys and values in
        the format `kv`, by default the model's or else the first that was judged; None where there
        is none."""
        rows = [
            row
            for row in self.rows
            if row.weights == weights and (row.arithmetic != FLOAT) == on_device
        ]
        wanted = [row for row in rows if not on_device or row.kv == (kv or self.kv_format)]
        return next(iter(wanted or ([] if kv else rows)), None)

    def merged(self, other: "QualityReport") -> "QualityReport":
        """This report with the rows of another one on the same texts; its rows come first where
        both have one. Raises `EvaluationError` when they are not of the same model and texts."""
        for name in ("model", "texts", "n_texts", "kv_format", "positions"):
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                raise EvaluationError(
                    f"a report with {name} {shown(others)} has no place in one with {shown(mine)}."
                )
        rows = {(row.arithmetic, row.weights, row.kv): row for row in (*self.rows, *other.rows)}
        formats = list(dict.fromkeys([FLOAT, *WeightFormat, *self.formats, *other.formats]))
        caches = list(dict.fromkeys([FLOAT, *KVFormat, *(kv for _, _, kv in rows)]))
        order = sorted(rows, key=lambda key: (formats.index(key[1]), caches.index(key[2])))
        return replace(self, rows=tuple(rows[key] for key in order))

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; `read_report` reads it back."""
        return asdict(self)


def read_report(path: Path) -> QualityReport:
    """The report that `weft eval --json` printed into a file; a sentence says what is wrong."""
    record = read_json_object(path)
    with in_file(path):
        rows = as_list(record.get("rows"))
        if not rows:
            raise EvaluationError(f"rows is {shown(record.get('rows'))}, but must be a list.")
        return QualityReport(
            model=_text(record, "model"),
            texts=_text(record, "texts"),
            n_texts=int(_number("n_texts", record.get("n_texts"))),
            kv_format=_text(record, "kv_format"),
            rows=tuple(_judged(row) for row in rows),
        )


def _judged(value: object) -> Judged:
    row = _object("a row", value)
    answers = row.get("answers")
    return Judged(
        arithmetic=_text(row, "arithmetic"),
        weights=_text(row, "weights"),
        kv=_text(row, "kv"),
        comparison=_numbers(Comparison, _object("comparison", row.get("comparison"))),
        answers=None if answers is None else _numbers(AnswerScore, _object("answers", answers)),
    )


def _numbers(kind: type[_Record], record: JsonObject) -> _Record:
    """A dataclass of numbers; what is no number of its own is a table of (share, questions)."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        value = record.get(field.name)
        table = as_object(value)
        if table is None:
            number = _number(field.name, value)
            values[field.name] = int(number) if field.type is int else number
        else:
            values[field.name] = _shares(table)
    return kind(**values)


def _shares(table: Mapping[str, object]) -> dict[str, tuple[float, int]]:
    shares: dict[str, tuple[float, int]] = {}
    for topic, value in table.items():
        pair = as_list(value) or []
        if len(pair) != 2:
            raise EvaluationError(f"{shown(topic)} is {shown(value)}, but must be two numbers.")
        shares[topic] = (_number(topic, pair[0]), int(_number(topic, pair[1])))
    return shares


def _object(name: str, value: object) -> JsonObject:
    found = as_object(value)
    if found is None:
        raise EvaluationError(f"{name} is {shown(value)}, but must be an object.")
    return found


def _text(record: JsonObject, name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value:
        raise EvaluationError(f"{name} is {shown(value)}, but must be a text.")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e300:
        raise EvaluationError(f"{name} is {shown(value)}, but must be a number from 0 up.")
    return float(value)
