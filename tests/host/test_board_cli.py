# SPDX-License-Identifier: Apache-2.0
"""`weft board sim`: what it refuses, before anything is compiled."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from weft.cli import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope"], "board 'nope' is unknown; there are ulx3s_85f"),
        (["ulx3s_85f", "--preset", "huge"], "unknown preset 'huge'; there are tiny, default"),
        (
            ["ulx3s_85f", "--cycles-per-bit", "3"],
            "cycles_per_bit is 3; it must be at least 8.",
        ),
        (["ulx3s_85f", "--firmware", "/no/such"], "/no/such cannot be read: No such file"),
        (["ulx3s_85f", "--model", "/no/such"], "/no/such"),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["weft", "board", "sim", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    error = " ".join(capfd.readouterr().err.split())
    assert error.startswith("error: ")
    assert sentence in error


def test_a_firmware_that_does_not_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    image = tmp_path / "firmware.bin"
    image.write_bytes(bytes(40_000))
    monkeypatch.setattr(
        sys, "argv", ["weft", "board", "sim", "ulx3s_85f", "--firmware", str(image)]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    error = " ".join(capfd.readouterr().err.split())
    assert error == "error: the firmware has 40000 bytes; the ROM has 24576, and it must fit."
