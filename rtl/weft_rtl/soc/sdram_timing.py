# SPDX-License-Identifier: Apache-2.0
"""SDR SDRAM parts in nanoseconds, and what follows from them in cycles of a clock."""

import math
from dataclasses import dataclass
from functools import cached_property

__all__ = ["COLORLIGHT_I9", "MAX_POSTPONED", "ULX3S", "SdramError", "SdramPart", "SdramTiming"]

MAX_POSTPONED = 8
"""Most refreshes that may be due and not yet done; then they are done in one go."""


class SdramError(ValueError):
    """A part and a clock that do not go together; the message names the value and the bound."""


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise SdramError(message)


@dataclass(frozen=True, kw_only=True)
class SdramPart:
    """An SDR SDRAM as its data sheet describes it, with four banks. Times in nanoseconds.

    Members
    -------
    name : str
    data_bits : int
        Width of DQ, 16 or 32.
    rows, columns : int
        Of a bank; powers of two, at most 1024 columns. A column is ``data_bits`` wide.
    clock_ns_latency_2, clock_ns_latency_3 : float
        Shortest clock periods at CAS latency 2 and 3.
    activate_to_column_ns : float
        tRCD.
    precharge_ns : float
        tRP.
    row_active_ns, row_active_max_ns : float
        tRAS, from ACTIVATE to PRECHARGE of its bank.
    row_cycle_ns : float
        tRC, from ACTIVATE to ACTIVATE of the same bank.
    activate_to_activate_ns : float
        tRRD, of different banks.
    refresh_ns : float
        tRFC, from REFRESH to the next command.
    write_recovery_ns, write_recovery_cycles : float, int
        tWR, from the last written word to PRECHARGE: the longer of the two.
    column_to_column_cycles, mode_cycles : int
        tCCD and tMRD.
    retention_ns : float
        Time within which every row is refreshed.
    refreshes : int
        REFRESH commands that refresh every row.
    power_up_ns : float
        From a stable clock to the first command.
    power_up_refreshes : int
        REFRESH commands before the first ACTIVATE, at most 8.
    """

    name: str
    data_bits: int
    rows: int
    columns: int
    clock_ns_latency_2: float
    clock_ns_latency_3: float
    activate_to_column_ns: float
    precharge_ns: float
    row_active_ns: float
    row_active_max_ns: float
    row_cycle_ns: float
    activate_to_activate_ns: float
    refresh_ns: float
    write_recovery_ns: float
    write_recovery_cycles: int = 2
    column_to_column_cycles: int = 1
    mode_cycles: int = 2
    retention_ns: float = 64e6
    refreshes: int
    power_up_ns: float = 200e3
    power_up_refreshes: int = 8

    banks = 4

    def __post_init__(self) -> None:
        _check(
            self.data_bits in (16, 32),
            f"{self.name}: data_bits is {self.data_bits}; it must be 16 or 32",
        )
        for field, most in (("rows", 8192), ("columns", 1024)):
            value = getattr(self, field)
            _check(
                value & (value - 1) == 0 and 16 <= value <= most,
                f"{self.name}: {field} is {value}; it must be a power of two from 16 to {most}",
            )
        _check(
            1 <= self.power_up_refreshes <= MAX_POSTPONED,
            f"{self.name}: power_up_refreshes is {self.power_up_refreshes}; "
            f"it must be 1 to {MAX_POSTPONED}",
        )

    @property
    def size_bytes(self) -> int:
        """Capacity."""
        return self.banks * self.rows * self.columns * self.data_bits // 8

    @property
    def address_bits(self) -> int:
        """Address pins: as many as a row needs, and A10 for PRECHARGE of all banks."""
        return max((self.rows - 1).bit_length(), 11)


@dataclass(frozen=True, kw_only=True)
class SdramTiming:
    """A part at a clock, behind a bus of ``beat_bytes``: everything in cycles, rounded up.

    A column command moves one beat, so the burst length is ``beat_bytes`` over the width of DQ.
    Memory is numbered so that consecutive pages lie in different banks: from the top, a beat's
    address is row, bank, beat of the page.

    Members
    -------
    part : SdramPart
    clock_hz : int
    beat_bytes : int
        8 or 16, and at least two words of the part.

    Raises ``SdramError`` if the part cannot run at that clock, or the controller cannot drive it.
    """

    part: SdramPart
    clock_hz: int
    beat_bytes: int = 8

    def __post_init__(self) -> None:
        part = self.part
        _check(
            self.burst_words in (2, 4, 8),
            f"{self.beat_bytes} bytes per beat are {self.burst_words} words of {part.name}; "
            "the controller needs 2, 4 or 8",
        )
        _check(
            self.period_ns >= part.clock_ns_latency_3,
            f"{self.clock_hz} Hz is a period of {self.period_ns:.2f} ns; {part.name} needs at "
            f"least {part.clock_ns_latency_3} ns",
        )
        # `RowEngine` takes at least this long between two ACTIVATEs without a timer for it.
        spacing = self.activate_to_column_cycles + 6
        _check(
            self.cycles(part.activate_to_activate_ns) <= spacing,
            f"{part.name} needs {self.cycles(part.activate_to_activate_ns)} cycles between "
            f"ACTIVATEs at {self.clock_hz} Hz; the controller leaves {spacing}",
        )
        _check(
            part.column_to_column_cycles <= self.burst_words,
            f"{part.name} needs {part.column_to_column_cycles} cycles between column commands; "
            f"the controller leaves {self.burst_words}",
        )
        longest = 3 * self.refresh_interval_cycles * self.period_ns
        _check(
            longest < part.row_active_max_ns,
            f"{part.name} may keep a row open for {part.row_active_max_ns:.0f} ns; the controller "
            f"closes all rows only every {longest:.0f} ns",
        )

    def cycles(self, ns: float) -> int:
        """Whole cycles of at least ``ns``."""
        # The division is exact to far better than a picosecond; a period of 7 ns fits 7 ns.
        return math.ceil(ns / self.period_ns - 1e-9)

    @property
    def period_ns(self) -> float:
        """Of the clock."""
        return 1e9 / self.clock_hz

    @property
    def burst_words(self) -> int:
        """Words that a column command moves, in as many cycles."""
        return 8 * self.beat_bytes // self.part.data_bits

    @property
    def page_beats(self) -> int:
        """Beats in a row of a bank."""
        return self.part.columns // self.burst_words

    @property
    def size_beats(self) -> int:
        """Beats in the part."""
        return self.part.size_bytes // self.beat_bytes

    @property
    def cas_latency(self) -> int:
        """The shortest that the clock allows, 2 or 3."""
        return 2 if self.period_ns >= self.part.clock_ns_latency_2 else 3

    @property
    def mode_register(self) -> int:
        """Bursts of ``burst_words``, sequential, for reads and writes, and the CAS latency."""
        return (self.burst_words.bit_length() - 1) | self.cas_latency << 4

    @cached_property
    def activate_to_column_cycles(self) -> int:
        """tRCD, at least 2."""
        return max(self.cycles(self.part.activate_to_column_ns), 2)

    @cached_property
    def precharge_cycles(self) -> int:
        """tRP."""
        return self.cycles(self.part.precharge_ns)

    @cached_property
    def row_active_cycles(self) -> int:
        """tRAS, or longer where tRC would not follow from it and tRP."""
        row_cycle = self.cycles(self.part.row_cycle_ns)
        return max(self.cycles(self.part.row_active_ns), row_cycle - self.precharge_cycles)

    @cached_property
    def refresh_cycles(self) -> int:
        """tRFC."""
        return self.cycles(self.part.refresh_ns)

    @cached_property
    def write_recovery_cycles(self) -> int:
        """tWR."""
        return max(self.cycles(self.part.write_recovery_ns), self.part.write_recovery_cycles)

    @cached_property
    def refresh_interval_cycles(self) -> int:
        """Cycles between refreshes that become due.

        A little less than the retention time over the refreshes, so that every row is in time
        although up to `MAX_POSTPONED` refreshes, and one more under way, are late.
        """
        shares = self.part.refreshes + MAX_POSTPONED + 2
        return math.floor(self.part.retention_ns / shares / self.period_ns)

    @cached_property
    def postponed_refreshes(self) -> int:
        """Refreshes that may be late: `MAX_POSTPONED`, or fewer where all rows must be closed more
        often because none may stay open longer than tRAS max."""
        interval_ns = self.refresh_interval_cycles * self.period_ns
        return min(MAX_POSTPONED, math.floor(self.part.row_active_max_ns / interval_ns) - 2)

    @cached_property
    def power_up_intervals(self) -> int:
        """Refresh intervals to wait after reset: the power-up time, and all refreshes due."""
        needed = math.ceil(self.cycles(self.part.power_up_ns) / self.refresh_interval_cycles)
        return max(needed, MAX_POSTPONED)


ULX3S = SdramPart(
    name="ULX3S SDRAM",
    data_bits=16,
    rows=8192,
    columns=512,
    clock_ns_latency_2=10.0,
    clock_ns_latency_3=7.0,
    activate_to_column_ns=21.0,
    precharge_ns=21.0,
    row_active_ns=42.0,
    row_active_max_ns=100e3,
    row_cycle_ns=63.0,
    activate_to_activate_ns=14.0,
    refresh_ns=66.0,
    write_recovery_ns=15.0,
    refreshes=8192,
)
"""32 MB. Boards carry different parts; the times are meant to suit those of speed grade -7 (tRCD,
tRP, tRAS and tRC as for the AS4C16M16SA-7). Not yet checked against each data sheet."""

COLORLIGHT_I9 = SdramPart(
    name="Colorlight i9 SDRAM",
    data_bits=32,
    rows=2048,
    columns=256,
    clock_ns_latency_2=10.0,
    clock_ns_latency_3=7.0,
    activate_to_column_ns=20.0,
    precharge_ns=20.0,
    row_active_ns=49.0,
    row_active_max_ns=100e3,
    row_cycle_ns=70.0,
    activate_to_activate_ns=14.0,
    refresh_ns=70.0,
    write_recovery_ns=14.0,
    refreshes=4096,
)
"""8 MB. Meant for the EM638325 and M12L64322A, grade -7; not yet checked against their data
sheets."""
