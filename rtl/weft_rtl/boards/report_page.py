# SPDX-License-Identifier: Apache-2.0
"""Recorded builds, and the section of docs/boards.md that is made of them.

    python -m weft_rtl.boards.report_page [FOLDER ...]

Takes report and picture of each FOLDER (as ``build/boards/ulx3s_85f``) into ``docs/boards`` and
writes the section anew.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft_rtl.bitstream.flow import PICTURE, REPORT
from weft_rtl.boards.board import BoardChanges

__all__ = ["BEGIN", "END", "main", "recorded_reports", "section", "with_section"]

BEGIN = "<!-- builds: made by weft_rtl.boards.report_page -->"
END = "<!-- end of builds -->"
_TITLES = {
    "logic": "logic (LUT4)",
    "TRELLIS_FF": "flip-flops",
    "DP16KD": "block RAM (18 kbit)",
    "MULT18X18D": "multipliers",
    "DFF": "flip-flops",
    "BSRAM": "block RAM (18 kbit)",
    "MULT12X12": "multipliers",
}
_LONGEST = 8


def recorded_reports(folder: Path) -> dict[str, dict[str, Any]]:
    """The reports in ``docs/boards`` by board."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def section(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The section as Markdown, from `BEGIN` to `END`."""
    text = "".join(_board(name, report) for name, report in reports.items())
    return f"{BEGIN}\n{text}{END}\n"


def with_section(page: str, text: str) -> str:
    """``page`` with the section in place of the one it has, or at its end."""
    if BEGIN not in page or END not in page:
        return f"{page.rstrip()}\n\n{text}".lstrip()
    before, _, rest = page.partition(BEGIN)
    return before + text + rest.partition(END)[2].lstrip("\n")


def _table(*rows: tuple[str, ...]) -> str:
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    rule = "|" + "---|" + "---:|" * (len(rows[0]) - 1)
    return "\n".join((head, rule, *body)) + "\n"


def _board(name: str, report: Mapping[str, Any]) -> str:
    notes = report.get("notes", [])
    versions = ", ".join(f"{tool} {version}" for tool, version in report["versions"].items())
    clocks = [
        (f"`{clock}`", f"{c['mhz']:.1f}", f"{c['wanted_mhz']:.1f}", _met(c))
        for clock, c in report["clocks"].items()
    ]
    used = [
        (_TITLES[kind], f"{count:,}", f"{limit:,}", f"{count / limit:.0%}")
        for kind, count in report["used"].items()
        if (limit := report["limits"][kind])
    ]
    blocks = [
        (f"`{block}`", *(f"{cells[kind]:,}" for kind in report["used"]))
        for block, cells in report["blocks"].items()
    ]
    paths = [
        (f"`{path['from']}` to `{path['to']}`", f"{path['ns']:.2f}", str(path["levels"]))
        for path in report["longest_paths"][:_LONGEST]
    ]
    placed = [
        _table(("clock", "reached (MHz)", "wanted (MHz)", ""), *clocks),
        _table(("longest paths, after routing", "ns", "cells"), *paths),
        f"![placement](boards/{name}.svg)\n",
    ]
    parts = [
        f"### {name}: {report['part']}\n",
        _table(("cells", "used", "of", ""), *used),
        _table(("block", *(_TITLES[kind] for kind in report["used"])), *blocks),
        *(placed if clocks else [f"{_unplaced(report)}\n"]),
        *(["\n".join(f"- {note}" for note in notes) + "\n"] if notes else []),
        f"`{_command(report)}`; {versions}; design {report['digest'][:16]}.\n",
    ]
    return "\n" + "\n".join(parts) + "\n"


def _command(report: Mapping[str, Any]) -> str:
    changes = BoardChanges(**report["changes"])
    return f"weft board build {report['board']}{changes.options} --seed {report['seed']}"


def _unplaced(report: Mapping[str, Any]) -> str:
    limits = report["limits"]
    if any(count > limits[kind] for kind, count in report["used"].items()):
        return "It does not fit, so it was not placed."
    return "Synthesised only: its cells fit, but place and route did not come to an end."


def _met(clock: Mapping[str, float]) -> str:
    return "met" if clock["mhz"] >= clock["wanted_mhz"] else "missed"


def main() -> None:
    """See the module's text."""
    root = Path(__file__).resolve().parents[3] / "docs"
    folder = root / "boards"
    folder.mkdir(exist_ok=True)
    for build in map(Path, sys.argv[1:]):
        report = json.loads((build / REPORT).read_text())
        (folder / f"{report['design']}.json").write_text(json.dumps(report, indent=1) + "\n")
        if report["clocks"]:
            (folder / f"{report['design']}.svg").write_text((build / PICTURE).read_text())
    page = root / "boards.md"
    text = page.read_text() if page.exists() else "# Boards\n"
    page.write_text(with_section(text, section(recorded_reports(folder))))


if __name__ == "__main__":
    main()
