# SPDX-License-Identifier: Apache-2.0
"""The recorded builds belong to the design as it is, and the page is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weft_rtl.bitstream.tools import BuildError
from weft_rtl.boards.board import BoardChanges
from weft_rtl.boards.build import board_design, board_digest
from weft_rtl.boards.report_page import BEGIN, END, recorded_reports, section, with_section

DOCS = Path(__file__).resolve().parents[3] / "docs"
RECORDED = recorded_reports(DOCS / "boards")
REPORT: dict[str, Any] = {
    "part": "LFE5U-25F-6CABGA381",
    "digest": "0123456789abcdef" * 4,
    "board": "some",
    "changes": {"preset": "tiny", "clock_mhz": 45.0, "sdram_mhz": None},
    "seed": 7,
    "versions": {"tool": "1.2"},
    "clocks": {
        "clk": {"mhz": 81.04, "wanted_mhz": 80.0},
        "slow": {"mhz": 9.94, "wanted_mhz": 10.0},
    },
    "used": {"logic": 500, "TRELLIS_FF": 1, "DP16KD": 0, "MULT18X18D": 3},
    "limits": {"logic": 1000, "TRELLIS_FF": 4, "DP16KD": 2, "MULT18X18D": 3},
    "blocks": {"top": {"logic": 500, "TRELLIS_FF": 1, "DP16KD": 0, "MULT18X18D": 3}},
    "longest_paths": [{"from": "a", "to": "b", "ns": 12.3, "levels": 4}],
}


def test_the_section_has_every_figure() -> None:
    lines = section({"some": REPORT}).splitlines()
    assert (lines[0], lines[-1]) == (BEGIN, END)
    for line in (
        "### some: LFE5U-25F-6CABGA381",
        "| `clk` | 81.0 | 80.0 | met |",
        "| `slow` | 9.9 | 10.0 | missed |",
        "| logic (LUT4) | 500 | 1,000 | 50% |",
        "| multipliers | 3 | 3 | 100% |",
        "| `top` | 500 | 1 | 0 | 3 |",
        "| `a` to `b` | 12.30 | 4 |",
        "![placement](boards/some.svg)",
        "`weft board build some --preset tiny --mhz 45 --seed 7`; tool 1.2; "
        "design 0123456789abcdef.",
    ):
        assert line in lines


def test_what_was_not_placed_is_told_with_the_reason() -> None:
    unplaced: dict[str, Any] = {**REPORT, "clocks": {}, "notes": ["One.", "Two."]}
    text = section({"some": unplaced})
    assert "Synthesised only: its cells fit, but place and route did not come to an end." in text
    assert "- One.\n- Two.\n" in text
    assert "placement" not in text
    unplaced["limits"] = {**REPORT["limits"], "logic": 499}
    assert "It does not fit, so it was not placed." in section({"some": unplaced})


def test_the_section_takes_the_place_of_the_one_before() -> None:
    old, new = section({}), section({"some": REPORT})
    page = with_section("# Boards\n\nText.\n", old)
    assert page == f"# Boards\n\nText.\n\n{old}"
    assert with_section(page + "More.\n", new) == f"# Boards\n\nText.\n\n{new}More.\n"


def test_an_unknown_board_is_refused() -> None:
    with pytest.raises(BuildError, match=r"^unknown board 'none'; there are .*ulx3s_85f"):
        board_design("none")


def test_a_board_may_have_another_accelerator() -> None:
    small = board_design("ulx3s_85f", bytes(4), changes=BoardChanges(preset="tiny"))
    assert small.name == "ulx3s_85f_tiny"
    assert small.hard_multipliers == 128  # all its cells
    same = BoardChanges(preset="default", clock_mhz=80)
    assert board_design("ulx3s_85f", bytes(4), changes=same).name == "ulx3s_85f"


def test_a_board_may_have_other_clocks() -> None:
    slow = BoardChanges(clock_mhz=50, sdram_mhz=100)
    design = board_design("ulx3s_85f", bytes(4), changes=slow)
    assert design.name == "ulx3s_85f_50mhz_sdram_100mhz"
    assert 'half_clock" 25 MHZ' in design.constraints


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (BoardChanges(preset="none"), "ulx3s_85f: preset 'none' is unknown; there are tiny, "),
        (BoardChanges(clock_mhz=30), "ulx3s_85f: clock_hz is 30000000; the SDRAM moves 33333333 "),
        (BoardChanges(clock_mhz=1), "baud is 3000000; a clock of 1000000 Hz allows at most "),
        (BoardChanges(sdram_mhz=200), "200000000 Hz is a period of 5.00 ns; .* needs at least "),
        (BoardChanges(clock_mhz=79), "the PLL cannot make 79000000 Hz and 133333333 Hz of "),
    ],
)
def test_a_board_that_cannot_be_is_refused(changes: BoardChanges, told: str) -> None:
    with pytest.raises(BuildError, match=f"^{told}"):
        board_design("ulx3s_85f", bytes(4), changes=changes)


@pytest.mark.skipif(not RECORDED, reason="no build is recorded")
def test_the_page_is_made_of_the_records() -> None:
    page = (DOCS / "boards.md").read_text()
    assert with_section(page, section(RECORDED)) == page


@pytest.mark.parametrize("name", [n for n in RECORDED if n.startswith("ulx3s_85f")])
def test_the_recorded_build_is_of_this_design(name: str) -> None:
    board, changes = RECORDED[name]["board"], BoardChanges(**RECORDED[name]["changes"])
    assert RECORDED[name]["digest"] == board_digest(board, changes), (
        f"the design of {name} changed after its build was recorded; weft board build {board}"
        f"{changes.options}, then python -m weft_rtl.boards.report_page build/boards/{name}"
    )
