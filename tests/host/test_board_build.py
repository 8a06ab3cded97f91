# SPDX-License-Identifier: Apache-2.0
"""`weft board build` and `weft board load`, with a builder and a loader that only tell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from weft import tools
from weft.cli import app

REPORT: dict[str, Any] = {
    "used": {"logic": 500, "MULT18X18D": 0},
    "limits": {"logic": 1000, "MULT18X18D": 156},
    "clocks": {"clk": {"mhz": 91.04, "wanted_mhz": 80.0}},
}


class Point:
    def __init__(self, report: dict[str, Any]) -> None:
        self.report = report
        self.asked: list[tuple[str, str | None, float | None, float | None, Path, int]] = []

    def load(self) -> Any:
        def build(
            board: str,
            folder: Path,
            *,
            preset: str | None,
            clock_mhz: float | None,
            sdram_mhz: float | None,
            seed: int,
            progress: Any,
        ) -> dict[str, Any]:
            self.asked.append((board, preset, clock_mhz, sdram_mhz, folder, seed))
            progress("synthesise", 0.5)
            return self.report

        return build


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["weft", "board", *arguments])
    with pytest.raises(SystemExit) as ended:
        app.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


def use(monkeypatch: pytest.MonkeyPatch, points: list[Point]) -> None:
    monkeypatch.setattr(tools, "entry_points", lambda group, name: points)


def test_build_prints_cells_and_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    point = Point(REPORT)
    use(monkeypatch, [point])
    here = tmp_path / "here"
    assert run(monkeypatch, "build", "some_board", "-o", str(here), "--seed", "3") == 0
    changes = ["--preset", "tiny", "--mhz", "50", "--sdram-mhz", "100"]
    assert run(monkeypatch, "build", "some_board", *changes, "-o", str(here)) == 0
    assert point.asked == [
        ("some_board", None, None, None, here, 3),
        ("some_board", "tiny", 50.0, 100.0, here, 1),
    ]
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "logic 500 1,000 50%" in lines
    assert "clk: 91.0 MHz, 80.0 MHz wanted" in lines


def test_a_missed_clock_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, [Point({**REPORT, "clocks": {"clk": {"mhz": 79.9, "wanted_mhz": 80.0}}})])
    assert run(monkeypatch, "build", "some_board", "-o", str(tmp_path)) == 2
    printed = capsys.readouterr()
    assert "clk: 79.9 MHz, 80.0 MHz wanted, MISSED" in printed.out
    assert (
        "error: a clock misses its constraint; try another --seed, or a lower --mhz." in printed.err
    )


def test_build_without_the_gateware_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, [])
    assert run(monkeypatch, "build", "some_board", "-o", str(tmp_path)) == 2
    assert "error: no installed package builds bitstreams." in capsys.readouterr().err


def test_load_without_a_bitstream_names_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "load", "ulx3s_85f", "-o", str(tmp_path)) == 2
    told = "is not there; weft board build ulx3s_85f makes it."
    assert told in capsys.readouterr().err.replace("\n", " ")


@pytest.fixture
def loadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "design.bit").write_bytes(b"bits")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_load_without_the_loader_is_refused(
    loadable: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "load", "ulx3s_85f", "-o", str(loadable)) == 2
    told = "error: openFPGALoader is not installed or not in PATH; it programs the board."
    assert told in capsys.readouterr().err


def test_load_of_a_board_that_the_loader_does_not_know_is_refused(
    loadable: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (loadable / "openFPGALoader").write_text("")
    (loadable / "openFPGALoader").chmod(0o755)
    assert run(monkeypatch, "load", "none", "-o", str(loadable)) == 2
    assert "known to program 'none'; there are ulx3s_85f" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "where"), [((), ""), (("--flash",), "--write-flash ")])
def test_load_calls_the_loader(
    options: tuple[str, ...], where: str, loadable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = loadable / "told"
    loader = loadable / "openFPGALoader"
    loader.write_text(f'#!/bin/sh\necho "$@" > {told}\nexit ${{LOADER_EXIT:-0}}\n')
    loader.chmod(0o755)
    assert run(monkeypatch, "load", "ulx3s_85f", "-o", str(loadable), *options) == 0
    assert told.read_text() == f"--board ulx3s {where}{loadable / 'design.bit'}\n"
    monkeypatch.setenv("LOADER_EXIT", "7")
    assert run(monkeypatch, "load", "ulx3s_85f", "-o", str(loadable)) == 2
