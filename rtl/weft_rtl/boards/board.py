# SPDX-License-Identifier: Apache-2.0
"""One frozen object describes a board; `BOARDS` holds those that are built and simulated."""

from dataclasses import dataclass, replace
from functools import cached_property

from weft_arch.config import PRESETS, Configuration
from weft_rtl.soc.sdram_timing import COLORLIGHT_I9, ULX3S, SdramPart, SdramTiming
from weft_rtl.soc.uart import bit_period

__all__ = ["BOARDS", "Board", "BoardChanges", "BoardError", "board", "known_boards"]


class BoardError(ValueError):
    """A board that cannot be; the message names the parameter and the bound."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """What a board has, and what weft makes of it.

    Members
    -------
    name : str
        As on the command line.
    title : str
        For people.
    preset : str
        Configuration of the accelerator.
    oscillator_hz : int
        The clock on the board.
    clock_hz : int
        Of accelerator and link; the CPU has half of it.
    sdram : SdramPart
    sdram_hz : int
        Of the SDRAM's pins.
    baud : int
        Of the serial line to the host.
    leds, buttons : int
        At most 8 of each.
    buttons_low : int
        Bit n: button n is 0 when it is pressed.
    leds_low : int
        Bit n: LED n is on at 0.
    sdram_tied : bool
        CKE, CS and DQM of the SDRAM are wired to supply and ground. Without DQM only whole beats
        can be written.
    held_high : tuple[str, ...]
        Pins that must be 1.
    """

    name: str
    title: str
    preset: str
    oscillator_hz: int
    clock_hz: int
    sdram: SdramPart
    sdram_hz: int
    baud: int = 3_000_000
    leds: int = 8
    buttons: int = 0
    buttons_low: int = 0
    leds_low: int = 0
    sdram_tied: bool = False
    held_high: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise BoardError(
                f"{self.name}: preset {self.preset!r} is unknown; there are {', '.join(PRESETS)}"
            )
        for field in ("leds", "buttons"):
            count = getattr(self, field)
            if not 0 <= count <= 8:
                raise BoardError(f"{self.name}: {field} is {count}; it must be 0 to 8")
        bit_period(self.clock_hz, self.baud)
        # Each beat crosses to the accelerator's clock, which takes one per cycle.
        beats_hz = self.sdram_hz // self.timing.burst_words
        if self.clock_hz <= beats_hz:
            raise BoardError(
                f"{self.name}: clock_hz is {self.clock_hz}; the SDRAM moves {beats_hz} beats per "
                "second, and it must be more"
            )

    @property
    def config(self) -> Configuration:
        """The accelerator."""
        return PRESETS[self.preset]

    @cached_property
    def timing(self) -> SdramTiming:
        """The SDRAM at its clock."""
        return SdramTiming(
            part=self.sdram, clock_hz=self.sdram_hz, beat_bytes=self.config.beat_bytes
        )

    @property
    def memory_bytes(self) -> int:
        """All of the SDRAM."""
        return self.sdram.size_bytes


@dataclass(frozen=True, kw_only=True)
class BoardChanges:
    """What a user may want to be otherwise than the board has it; None: as it is.

    Members
    -------
    preset : str | None
        Configuration of the accelerator.
    clock_mhz, sdram_mhz : float | None
        Clocks of accelerator and link, and of the SDRAM's pins.
    """

    preset: str | None = None
    clock_mhz: float | None = None
    sdram_mhz: float | None = None

    @property
    def suffix(self) -> str:
        """For names of files and designs; empty for a board as it is."""
        preset = "" if self.preset is None else f"_{self.preset}"
        clock = "" if self.clock_mhz is None else f"_{self.clock_mhz:g}mhz"
        sdram = "" if self.sdram_mhz is None else f"_sdram_{self.sdram_mhz:g}mhz"
        return f"{preset}{clock}{sdram}"

    @property
    def options(self) -> str:
        """Of `weft board build`; empty for a board as it is."""
        preset = "" if self.preset is None else f" --preset {self.preset}"
        clock = "" if self.clock_mhz is None else f" --mhz {self.clock_mhz:g}"
        sdram = "" if self.sdram_mhz is None else f" --sdram-mhz {self.sdram_mhz:g}"
        return f"{preset}{clock}{sdram}"

    def of(self, own: Board) -> Board:
        """The changed board; a `BoardError` if it cannot be."""
        return replace(
            own,
            preset=own.preset if self.preset is None else self.preset,
            clock_hz=own.clock_hz if self.clock_mhz is None else round(1e6 * self.clock_mhz),
            sdram_hz=own.sdram_hz if self.sdram_mhz is None else round(1e6 * self.sdram_mhz),
        )


BOARDS: dict[str, Board] = {
    b.name: b
    for b in (
        Board(
            name="ulx3s_85f",
            title="ULX3S with LFE5U-85F",
            preset="default",
            oscillator_hz=25_000_000,
            clock_hz=80_000_000,
            sdram=ULX3S,
            sdram_hz=133_333_333,
            buttons=7,
            buttons_low=0b1,
            held_high=("wifi_gpio0",),  # or the ESP32 takes the board over
        ),
        Board(
            name="colorlight_i9",
            title="Colorlight i9 v7.2 with LFE5U-45F",
            preset="tiny",
            oscillator_hz=25_000_000,
            clock_hz=80_000_000,
            sdram=COLORLIGHT_I9,
            sdram_hz=133_333_333,
            leds=1,
            leds_low=0b1,
            sdram_tied=True,
        ),
        Board(
            name="tang_mega_138k_pro",
            title="Tang Mega 138K Pro with GW5AST-138C and an SDRAM module",
            preset="tiny",
            oscillator_hz=50_000_000,
            # The place and route tool knows no PLL of this part: all run with the oscillator.
            clock_hz=50_000_000,
            sdram=ULX3S,  # a module with a 256 Mbit part of the same shape, grade -6 or -7
            sdram_hz=50_000_000,
            baud=2_000_000,
            leds=6,
            leds_low=0b111111,
        ),
    )
}
"""The boards by name."""


def known_boards() -> dict[str, Board]:
    """The boards by their names."""
    return BOARDS


def board(name: str) -> Board:
    """The board called ``name``; a `BoardError` lists those that there are."""
    if name not in BOARDS:
        raise BoardError(f"unknown board {name!r}; there are {', '.join(BOARDS)}")
    return BOARDS[name]
