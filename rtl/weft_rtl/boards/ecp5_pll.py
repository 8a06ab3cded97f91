# SPDX-License-Identifier: Apache-2.0
"""Two clocks from an oscillator with the PLL of an ECP5."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from amaranth import Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Ecp5Pll", "PllDividers", "PllError"]

_DIVIDERS = range(1, 129)
_VCO_HZ = (400e6, 800e6)
_PHASE_DETECTOR_HZ = (3.125e6, 400e6)
_TOLERANCE = 1e-6


class PllError(ValueError):
    """Clocks that the PLL cannot make; the message names them."""


@dataclass(frozen=True, kw_only=True)
class PllDividers:
    """The dividers for two outputs, computed; the first output is also the feedback.

    first = input / input_divider * feedback_divider, oscillator = first * first_divider,
    second = oscillator / second_divider.

    Members
    -------
    input_hz, first_hz, second_hz : int
        A `PllError` if there are no dividers for them within a millionth.
    """

    input_hz: int
    first_hz: int
    second_hz: int

    def __post_init__(self) -> None:
        self.found  # noqa: B018 - raises if there is nothing

    @cached_property
    def found(self) -> tuple[int, int, int, int]:
        """input_divider, feedback_divider, first_divider, second_divider: those with the fastest
        phase detector, and of these the fastest oscillator, for the least jitter."""
        for input_divider in _DIVIDERS:
            detector_hz = self.input_hz / input_divider
            feedback = round(self.first_hz / detector_hz)
            if (
                not _PHASE_DETECTOR_HZ[0] <= detector_hz <= _PHASE_DETECTOR_HZ[1]
                or feedback not in _DIVIDERS
                or not _near(detector_hz * feedback, self.first_hz)
            ):
                continue
            for first in reversed(_DIVIDERS):
                vco_hz = detector_hz * feedback * first
                second = round(vco_hz / self.second_hz)
                if (
                    _VCO_HZ[0] <= vco_hz <= _VCO_HZ[1]
                    and second in _DIVIDERS
                    and _near(vco_hz / second, self.second_hz)
                ):
                    return input_divider, feedback, first, second
        raise PllError(
            f"the PLL cannot make {self.first_hz} Hz and {self.second_hz} Hz of {self.input_hz} "
            "Hz: no dividers up to 128 with an oscillator of 400 to 800 MHz"
        )


def _near(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= _TOLERANCE * wanted


class Ecp5Pll(wiring.Component):
    """An EHXPLLL. Place and route knows the outputs' frequencies from the input's constraint.

    Members
    -------
    i_clk : the oscillator
    o_first, o_second : the clocks
    o_locked : they are stable; asynchronous
    """

    i_clk: Signal
    o_first: Signal
    o_second: Signal
    o_locked: Signal

    def __init__(self, dividers: PllDividers) -> None:
        self._dividers = dividers
        super().__init__(
            {"i_clk": In(1), "o_first": Out(1), "o_second": Out(1), "o_locked": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        input_divider, feedback, first, second = self._dividers.found
        parameters: dict[str, Any] = {
            "PLLRST_ENA": "DISABLED",
            "INTFB_WAKE": "DISABLED",
            "STDBY_ENABLE": "DISABLED",
            "DPHASE_SOURCE": "DISABLED",
            "FEEDBK_PATH": "CLKOP",
            "CLKI_DIV": input_divider,
            "CLKFB_DIV": feedback,
        }
        for letter, name, divider in (("A", "CLKOP", first), ("B", "CLKOS", second)):
            parameters |= {
                f"OUTDIVIDER_MUX{letter}": f"DIV{letter}",
                f"{name}_ENABLE": "ENABLED",
                f"{name}_DIV": divider,
                f"{name}_CPHASE": divider - 1,
                f"{name}_FPHASE": 0,
            }
        m.submodules.pll = Instance(
            "EHXPLLL",
            *(("a", name, value) for name, value in _LOOP_FILTER.items()),
            *(("p", name, value) for name, value in parameters.items()),
            i_CLKI=self.i_clk,
            i_CLKFB=self.o_first,
            i_RST=0,
            i_STDBY=0,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=1,
            i_PHASESTEP=1,
            i_PHASELOADREG=1,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            i_ENCLKOS=0,
            o_CLKOP=self.o_first,
            o_CLKOS=self.o_second,
            o_LOCK=self.o_locked,
        )
        return m


_LOOP_FILTER = {
    "ICP_CURRENT": "12",
    "LPF_RESISTOR": "8",
    "MFG_ENABLE_FILTEROPAMP": "1",
    "MFG_GMCREF_SEL": "2",
}
