# SPDX-License-Identifier: Apache-2.0
"""Records of evaluations, and the page that is made of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from weft import quality_page
from weft.errors import EvaluationError, FileError
from weft.evaluate import Comparison
from weft.held_out import AnswerScore
from weft.quality import Judged, QualityReport, read_report
from weft.quality_plots import plot_report

ROOT = Path(__file__).parents[2]


def judged(
    arithmetic: str, weights: str, mean_kl: float, exact: float | None = None, kv: str = "k8v8"
) -> Judged:
    comparison = Comparison(
        positions=1200,
        mean_kl=mean_kl,
        p999_kl=10 * mean_kl,
        max_kl=20 * mean_kl,
        top1_agreement=0.9876,
        judge_perplexity=2.0,
        perplexity=2.5,
    )
    score = None
    if exact is not None:
        score = AnswerScore(exact_match=exact, questions=40, by_topic={"who": (exact, 40)})
    kv = "float" if arithmetic == "float" else kv
    return Judged(
        arithmetic=arithmetic, weights=weights, kv=kv, comparison=comparison, answers=score
    )


REPORT = QualityReport(
    model="tom",
    texts="texts.json",
    n_texts=3,
    kv_format="k8v8",
    rows=(
        judged("float", "float", 0.0),
        judged("float", "w8", 0.0004),
        judged("reference, tiny", "w8", 0.00301),
        judged("float", "w4", 0.1234),
        judged("reference, tiny", "w4", 0.12957),
    ),
)
ASKED = QualityReport(
    model="lily",
    texts="lily.jsonl",
    n_texts=2,
    kv_format="k8v8",
    rows=(judged("float", "float", 0.0, 0.975), judged("reference, tiny", "w8", 0.003, 0.95)),
)


@pytest.mark.parametrize("report", [REPORT, ASKED])
def test_a_record_is_read_back_as_it_was(report: QualityReport, tmp_path: Path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(report.to_json()))
    assert read_report(path) == report


def test_a_report_finds_its_rows():
    assert REPORT.formats == ["w8", "w4"]
    assert REPORT.find("w4", on_device=False) is REPORT.rows[3]
    assert REPORT.find("w4", on_device=True) is REPORT.rows[4]
    assert REPORT.find("w5", on_device=True) is None
    assert (REPORT.positions, REPORT.questions, ASKED.questions) == (1200, 0, 40)


def test_reports_on_the_same_texts_are_merged():
    new = replace(REPORT, rows=(REPORT.rows[0], judged("reference, tiny", "w8", 0.5)))
    four = replace(REPORT, rows=(REPORT.rows[0], judged("float", "nf4", 0.1), *REPORT.rows[3:]))
    both = replace(REPORT, rows=REPORT.rows[:3]).merged(four).merged(new)
    assert both.formats == ["w8", "w4", "nf4"]
    assert both.rows == (*REPORT.rows[:2], new.rows[1], *REPORT.rows[3:], four.rows[1])
    with pytest.raises(EvaluationError, match=r"with model 'lily' has no place in one with 'tom'"):
        REPORT.merged(ASKED)


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    record = json.loads(json.dumps(ASKED.to_json()))
    change(record)
    return json.dumps(record)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", r"record\.json: not a JSON object, but \[\]\."),
        (changed(lambda r: r.pop("rows")), "rows is None, but must be a list"),
        (changed(lambda r: r.update(rows=[])), r"rows is \[\], but must be a list"),
        (changed(lambda r: r.update(rows=[1])), "a row is 1, but must be an object"),
        (changed(lambda r: r.update(model=7)), "model is 7, but must be a text"),
        (changed(lambda r: r["rows"][0].pop("arithmetic")), "arithmetic is None, but must be"),
        (changed(lambda r: r["rows"][0].pop("comparison")), "comparison is None, but must be an"),
        (
            changed(lambda r: r["rows"][1]["comparison"].update(mean_kl="x")),
            "mean_kl is 'x', but must be a number from 0 up",
        ),
        (
            changed(lambda r: r["rows"][1]["comparison"].update(p999_kl=-1)),
            "p999_kl is -1, but must be a number from 0 up",
        ),
        (
            changed(lambda r: r["rows"][1]["answers"]["by_topic"].update(who=[1])),
            r"'who' is \[1\], but must be two numbers",
        ),
    ],
)
def test_damaged_records_are_refused(text: str, sentence: str, tmp_path: Path):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises((EvaluationError, FileError), match=sentence):
        read_report(path)


def test_the_page_says_which_bars_are_met():
    lines = quality_page.render([REPORT, ASKED]).splitlines()
    assert "| tom | mean KL of `w8` | ≤ 0.003 | 0.00301 | **missed** |" in lines
    assert "| tom | mean KL of `w4`, of float | ≤ 1.05 | 1.050 | met |" in lines
    assert "| lily | mean KL of `w8` | ≤ 0.003 | 0.00300 | met |" in lines
    over = replace(REPORT, rows=(*REPORT.rows[:4], judged("reference, tiny", "w4", 0.1297)))
    text = quality_page.render([over])
    assert "| tom | mean KL of `w4`, of float | ≤ 1.05 | 1.051 | **missed** |" in text.splitlines()


def test_the_page_has_every_row():
    lines = quality_page.render([REPORT, ASKED]).splitlines()
    assert "3 texts of `texts.json`, 1,200 positions." in lines
    assert "| float | float | float | 0 | 0 |  | 98.76 % | 2.5000 |" in lines
    assert "| float | `w4` | float | 0.123 | 1.23 |  | 98.76 % | 2.5000 |" in lines
    assert (
        "| reference, tiny | `w8` | `k8v8` | 0.00301 | 0.0301 | 7.525 | 98.76 % | 2.5000 |" in lines
    )
    assert "2 texts of `lily.jsonl`, 1,200 positions, 40 questions." in lines
    assert (
        "| reference, tiny | `w8` | `k8v8` | 0.00300 | 0.0300 |  | 98.76 % | 2.5000 | 95.0 % |"
        in lines
    )


def test_wide_keys_have_rows_and_bars_of_their_own():
    wide = (
        judged("reference, tiny", "w8", 0.0009, kv="k16v8"),
        judged("reference, tiny", "w4", 0.1236, kv="k16v8"),
    )
    both = REPORT.merged(replace(REPORT, rows=(REPORT.rows[0], *wide)))
    assert [row.kv for row in both.rows] == ["float", *(["float", "k8v8", "k16v8"] * 2)]
    assert both.find("w8", on_device=True) is REPORT.rows[2]
    assert both.find("w8", on_device=True, kv="k16v8") is wide[0]
    lines = quality_page.render([both]).splitlines()
    assert "| tom | mean KL of `w8` | ≤ 0.003 | 0.00301 | **missed** |" in lines
    assert "| tom | mean KL of `w8`, widest formats | ≤ 0.001 | 0.000900 | met |" in lines
    assert "| tom | top-1 of `w8`, widest formats | ≥ 98.3 % | 98.76 % | met |" in lines
    narrow = quality_page.render([replace(both, kv_format="k16v8")]).splitlines()
    assert "| tom | mean KL of `w8` | ≤ 0.003 | 0.000900 | met |" in narrow
    assert "| tom | mean KL of `w4`, of float | ≤ 1.05 | 1.002 | met |" in narrow


def test_each_row_is_compared_with_float_by_itself():
    more = judged("reference, tiny, activation_bits=12", "w8", 0.0006)
    lines = quality_page.render([replace(REPORT, rows=(*REPORT.rows, more))]).splitlines()
    (line,) = (line for line in lines if "activation_bits=12 |" in line)
    assert line.split(" | ")[5] == "1.500"


def test_a_format_of_keys_that_is_not_the_models_is_found_too():
    other = replace(REPORT, kv_format="k16v8")
    assert other.find("w8", on_device=True) is REPORT.rows[2]
    assert other.find("w8", on_device=True, kv="k16v8") is None


def test_the_page_tells_what_a_search_gains():
    four = (judged("float", "nf4", 0.0617), judged("reference, tiny", "nf4", 0.09))
    lines = quality_page.render([replace(REPORT, rows=(*REPORT.rows, *four)), ASKED]).splitlines()
    assert "| tom | `nf4` | 50 % | 69 % |" in lines
    assert "## Four bits" not in quality_page.render([REPORT, ASKED])


def test_the_page_in_docs_is_that_of_the_records():
    records = quality_page.read_records(ROOT)
    assert [record.model for record in records] == ["stories260K", "weft-stories"]
    likeness = quality_page.read_all_likeness(ROOT)
    assert (ROOT / quality_page.PAGE).read_text() == quality_page.render(records, likeness)


def test_the_page_is_checked_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(quality_page, "ROOT", tmp_path)
    assert quality_page.main([]) == 2
    assert "There are no records in" in capsys.readouterr().err
    folder = tmp_path / quality_page.RECORDS
    folder.mkdir(parents=True)
    (folder / "tom.json").write_text(json.dumps(REPORT.to_json()))
    assert quality_page.main(["--check"]) == 1
    assert capsys.readouterr().out == "docs/quality.md is stale\n"
    assert quality_page.main([]) == 0
    assert (tmp_path / quality_page.PAGE).read_text() == quality_page.render([REPORT])
    assert quality_page.main(["--check"]) == 0


def test_a_picture_has_every_format(tmp_path: Path):
    path = plot_report(REPORT, tmp_path)
    assert path == tmp_path / "quality_tom.svg"
    text = path.read_text()
    for part in ("w8", "w4", "float arithmetic", "device", "1,200 positions of texts.json"):
        assert f">{part}<" in text or part in text
