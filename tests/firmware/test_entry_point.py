# SPDX-License-Identifier: Apache-2.0
"""``python -m weft.link.server --firmware`` finds the firmware's simulation."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from weft import tools
from weft.errors import WeftError
from weft.link import server
from weft_arch.config import preset
from weft_sim.native_firmware import NativeFirmware
from weft_sim.reference import ReferenceDevice

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_the_entry_point_makes_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    named = tomllib.loads(PROJECT.read_text())["project"]["entry-points"]["weft.tools"]
    point = EntryPoint("firmware", named["firmware"], "weft.tools")
    monkeypatch.setattr(tools, "entry_points", lambda **_: [point])
    with ReferenceDevice(preset("tiny"), memory_bytes=1 << 16) as device:
        assert isinstance(server._find_cpu(device), NativeFirmware)


def test_without_it_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "entry_points", lambda **_: [])
    with (
        ReferenceDevice(preset("tiny"), memory_bytes=1 << 16) as device,
        pytest.raises(WeftError, match=r"^the firmware's simulation is not installed\.$"),
    ):
        server._find_cpu(device)
