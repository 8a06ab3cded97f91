# SPDX-License-Identifier: Apache-2.0
"""Records of encoders on pairs of sentences, and what the page says of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from weft import quality_page
from weft.errors import EvaluationError, FileError
from weft.likeness import LikenessReport, LikenessRow, judge_likeness, read_likeness
from weft.sentence_pairs import SentencePair

REPORT = LikenessReport(
    model="mini",
    texts="pairs.tsv",
    pairs=690,
    rows=(
        LikenessRow(arithmetic="float", weights="float", spearman=0.8203, mean_cosine=1.0),
        LikenessRow(arithmetic="reference, tiny", weights="w8", spearman=0.82, mean_cosine=0.99991),
        LikenessRow(arithmetic="reference, tiny", weights="w4", spearman=0.81, mean_cosine=0.98),
    ),
)


def test_a_record_is_read_back_as_it_was(tmp_path: Path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(REPORT.to_json()))
    assert read_likeness(path) == REPORT


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rows": []}, "rows must be a list of objects"),
        ({"rows": [3]}, "rows must be a list of objects"),
        ({"model": 7}, "model must be a text"),
        ({"pairs": "many"}, "pairs must be a number from -1 up"),
    ],
)
def test_damaged_records_are_refused(change: dict, sentence: str, tmp_path: Path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(REPORT.to_json() | change))
    with pytest.raises((EvaluationError, FileError), match=rf"record\.json: {sentence}"):
        read_likeness(path)


def test_a_row_takes_the_place_of_that_of_the_same_weights():
    new = LikenessRow(arithmetic="rtl, tiny", weights="w8", spearman=0.8, mean_cosine=0.9)
    assert REPORT.with_row(new).rows == (REPORT.rows[0], new, REPORT.rows[2])
    assert REPORT.with_row(new).find("w8") is new
    assert REPORT.find("w5") is None


def test_the_order_of_cosines_and_the_cosine_to_the_judge():
    pairs = [SentencePair(score=score, first="a", second="b") for score in (5, 3, 0)]
    angles = np.array([0.1, 0.5, 1.5])
    found = np.stack([np.tile([1.0, 0.0], (3, 1)), np.stack([np.cos(angles), np.sin(angles)], 1)])
    assert judge_likeness(found, found, pairs) == (1.0, pytest.approx(1.0))
    order, cosine = judge_likeness(found[:, ::-1], found, pairs)
    assert order == -1.0
    assert cosine == pytest.approx((4 + 2 * np.cos(1.4)) / 6)
    with pytest.raises(EvaluationError, match=r"embeddings are \[2, 3, 2\], but the judge's"):
        judge_likeness(found, found[:, :2], pairs)


def test_the_page_has_the_table_and_the_bars():
    lines = quality_page.render([], [REPORT]).splitlines()
    assert "| mini | reference, tiny | `w8` | 0.8200 | 0.0003 | 0.99991 |" in lines
    assert "| mini | float | float | 0.8203 | 0.0000 | 1.00000 |" in lines
    assert "| mini | Spearman, float's less that of `w8` | ≤ 0.0005 | 0.0003 | met |" in lines
    assert "| mini | Spearman, float's less that of `w4` | ≤ 0.003 | 0.0103 | **missed** |" in lines
    assert "| mini | cosine of `w8` to float | ≥ 0.999 | 0.99991 | met |" in lines
