# SPDX-License-Identifier: Apache-2.0
"""Boards and their clocks: what there is, what is refused, and the pins of the top module."""

from __future__ import annotations

import dataclasses
import re

import pytest
from amaranth.back import rtlil

from weft_rtl.array.ecp5_multiplier import Ecp5Target
from weft_rtl.boards.board import BOARDS, BoardError, board
from weft_rtl.boards.ecp5_board import Ecp5Board
from weft_rtl.boards.ecp5_pll import PllDividers, PllError

ULX3S = board("ulx3s_85f")


@pytest.mark.parametrize("name", ["ulx3s_85f", "colorlight_i9"])
def test_the_pll_makes_the_clocks_of_a_board(name: str) -> None:
    found = BOARDS[name]
    dividers = PllDividers(
        input_hz=found.oscillator_hz, first_hz=found.clock_hz, second_hz=found.sdram_hz
    )
    divider, feedback, first, second = dividers.found
    assert found.oscillator_hz / divider * feedback == pytest.approx(found.clock_hz)
    oscillator = found.clock_hz * first
    assert 400e6 <= oscillator <= 800e6
    assert oscillator / second == pytest.approx(found.sdram_hz)
    assert found.oscillator_hz / divider >= 3.125e6


def test_the_fastest_phase_detector_is_taken() -> None:
    found = PllDividers(input_hz=25_000_000, first_hz=100_000_000, second_hz=133_333_333).found
    assert found == (1, 4, 8, 6)


def test_clocks_that_cannot_be_are_refused() -> None:
    sentence = (
        r"^the PLL cannot make 80000000 Hz and 133000000 Hz of 25000000 Hz: no dividers up to 128 "
        r"with an oscillator of 400 to 800 MHz$"
    )
    with pytest.raises(PllError, match=sentence):
        PllDividers(input_hz=25_000_000, first_hz=80_000_000, second_hz=133_000_000)


def test_boards_that_cannot_be_are_refused() -> None:
    with pytest.raises(BoardError, match=r"^unknown board 'x'; there are ulx3s_85f"):
        board("x")
    for change, sentence in (
        ({"preset": "huge"}, r"^ulx3s_85f: preset 'huge' is unknown; there are tiny, default"),
        ({"leds": 9}, r"^ulx3s_85f: leds is 9; it must be 0 to 8$"),
        (
            {"clock_hz": 33_000_000},
            r"^ulx3s_85f: clock_hz is 33000000; the SDRAM moves 33333333 beats per second, and it "
            r"must be more$",
        ),
        (
            {"baud": 12_000_000},
            r"^baud is 12000000; a clock of 80000000 Hz allows at most 10000000$",
        ),
    ):
        with pytest.raises(ValueError, match=sentence):
            dataclasses.replace(ULX3S, **change)


def test_the_ulx3s_is_what_it_is() -> None:
    assert ULX3S.memory_bytes == 32 << 20
    assert (ULX3S.oscillator_hz, ULX3S.leds, ULX3S.buttons) == (25_000_000, 8, 7)


def test_the_top_module_has_the_pins_of_the_board() -> None:
    tiny = dataclasses.replace(ULX3S, preset="tiny")
    text = rtlil.convert(
        Ecp5Board(tiny, b"\x6f\0\0\0"), name="top", platform=Ecp5Target(8), emit_src=False
    )
    top = text[text.index("module \\top\n") :].partition("\nend\n")[0]
    pins = {
        name: (int(width), way)
        for width, way, name in re.findall(
            r"wire width (\d+) (input|output|inout) \d+ +\\(\S+)", top
        )
    }
    assert pins == {
        "clk_25mhz": (1, "input"),
        "ftdi_txd": (1, "input"),
        "ftdi_rxd": (1, "output"),
        "led": (8, "output"),
        "btn": (7, "input"),
        "sdram_clk": (1, "output"),
        "sdram_cke": (1, "output"),
        "sdram_csn": (1, "output"),
        "sdram_rasn": (1, "output"),
        "sdram_casn": (1, "output"),
        "sdram_wen": (1, "output"),
        "sdram_ba": (2, "output"),
        "sdram_a": (13, "output"),
        "sdram_dqm": (2, "output"),
        "sdram_d": (16, "inout"),
        "wifi_gpio0": (1, "output"),
    }
    assert text.count("cell $tribuf") == 16
    for instance in ("EHXPLLL", "ODDRX1F", "VexRiscv"):
        assert text.count(f"cell \\{instance} ") == 1, instance
