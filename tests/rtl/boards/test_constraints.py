# SPDX-License-Identifier: Apache-2.0
"""Pins of the constraint files, against the board definitions that somebody else wrote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from amaranth import Shape

from weft_rtl.boards.board import BOARDS
from weft_rtl.boards.build import board_design

CONSTRAINTS = Path(__file__).resolve().parents[3] / "constraints"
_PIN = re.compile(r'^(?:LOCATE COMP|IO_LOC) "([^"]+)" (?:SITE )?"?(\w+)"?;', re.MULTILINE)


def pins(board: str) -> dict[str, str]:
    """Site of each port."""
    (file,) = CONSTRAINTS.glob(f"{board}.*")
    return dict(_PIN.findall(file.read_text()))


def port(found: dict[str, str], name: str) -> list[str]:
    """The sites of a port, bit 0 first."""
    if name in found:
        return [found[name]]
    sites = [found[f"{name}[{k}]"] for k in range(len(found)) if f"{name}[{k}]" in found]
    assert sites, name
    return sites


@pytest.mark.parametrize("name", BOARDS)
def test_every_pin_of_the_top_module_has_a_site_of_its_own(name: str) -> None:
    found, top = pins(name), board_design(name, bytes(4)).component
    members = {port: Shape.cast(m.shape).width for port, m in top.signature.members.items()}
    members["sdram_d"] = BOARDS[name].sdram.data_bits
    wanted = {
        port if width == 1 else f"{port}[{bit}]"
        for port, width in members.items()
        for bit in range(width)
    }
    assert set(found) == wanted
    assert len(set(found.values())) == len(found)


def test_ulx3s_is_wired_as_amaranth_boards_says() -> None:
    boards = pytest.importorskip("amaranth_boards.ulx3s")
    platform = boards.ULX3S_85F_Platform()
    found = pins("ulx3s_85f")

    def sites(resource: str, number: int = 0, part: str | None = None) -> list[str]:
        described = platform.resources[resource, number]
        if part is not None:
            (described,) = (io for io in described.ios if io.name == part)
        return list(described.ios[0].names)

    assert platform.device == "LFE5U-85F"
    assert port(found, "clk_25mhz") == sites("clk25")
    assert port(found, "ftdi_rxd") == sites("uart", 0, "tx")
    assert port(found, "ftdi_txd") == sites("uart", 0, "rx")
    assert port(found, "led") == [site for k in range(8) for site in sites("led", k)]
    buttons = [("pwr", 0), ("fire", 0), ("fire", 1), ("up", 0), ("down", 0), ("left", 0)]
    buttons += [("right", 0)]
    assert port(found, "btn") == [site for b, k in buttons for site in sites(f"button_{b}", k)]
    assert port(found, "wifi_gpio0") == sites("esp32", 0, "gpio0")
    for ours, theirs in (
        ("clk", "clk"),
        ("cke", "clk_en"),
        ("csn", "cs"),
        ("wen", "we"),
        ("rasn", "ras"),
        ("casn", "cas"),
        ("ba", "ba"),
        ("a", "a"),
        ("d", "dq"),
        ("dqm", "dqm"),
    ):
        assert port(found, f"sdram_{ours}") == sites("sdram", 0, theirs), ours
