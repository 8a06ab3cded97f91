# SPDX-License-Identifier: Apache-2.0
"""Parts in nanoseconds and clocks in cycles."""

from __future__ import annotations

import dataclasses

import pytest

from weft_rtl.soc.sdram_timing import COLORLIGHT_I9, ULX3S, SdramError, SdramTiming


def test_the_parts_have_their_sizes() -> None:
    assert ULX3S.size_bytes == 32 << 20
    assert COLORLIGHT_I9.size_bytes == 8 << 20


def test_cycles_of_the_ulx3s_at_133_mhz() -> None:
    timing = SdramTiming(part=ULX3S, clock_hz=133_333_333)
    assert timing.cas_latency == 3
    assert timing.burst_words == 4
    assert timing.page_beats == 128
    assert timing.activate_to_column_cycles == 3
    assert timing.precharge_cycles == 3
    assert timing.row_active_cycles == 6
    assert timing.refresh_cycles == 9
    assert timing.write_recovery_cycles == 2
    assert timing.mode_register == 0x32
    assert timing.postponed_refreshes == 8


def test_latency_two_at_a_slow_clock() -> None:
    assert SdramTiming(part=ULX3S, clock_hz=100_000_000).cas_latency == 2


@pytest.mark.parametrize("part", [ULX3S, COLORLIGHT_I9], ids=lambda p: p.name)
@pytest.mark.parametrize("mhz", [50, 80, 100, 125, 133, 142])
def test_every_row_is_refreshed_in_time_and_none_is_open_too_long(part, mhz) -> None:
    timing = SdramTiming(part=part, clock_hz=mhz * 1_000_000)
    late = timing.postponed_refreshes + 1
    interval_ns = timing.refresh_interval_cycles * timing.period_ns
    assert (part.refreshes + late) * interval_ns <= part.retention_ns
    assert late * interval_ns < part.row_active_max_ns
    power_up = timing.power_up_intervals * timing.refresh_interval_cycles
    assert power_up * timing.period_ns >= part.power_up_ns
    row_cycle = timing.row_active_cycles + timing.precharge_cycles
    assert row_cycle * timing.period_ns >= part.row_cycle_ns - 1e-6


def test_a_clock_too_fast_is_refused() -> None:
    with pytest.raises(SdramError, match=r"166000000 Hz is a period of 6.02 ns; .* least 7.0 ns"):
        SdramTiming(part=ULX3S, clock_hz=166_000_000)


def test_a_part_that_wants_its_rows_closed_too_often_is_refused() -> None:
    part = dataclasses.replace(ULX3S, row_active_max_ns=20e3)
    with pytest.raises(SdramError, match="may keep a row open for 20000 ns; the controller closes"):
        SdramTiming(part=part, clock_hz=133_000_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_bits": 8}, "data_bits is 8; it must be 16 or 32"),
        ({"rows": 5000}, "rows is 5000; it must be a power of two from 16 to 8192"),
        ({"columns": 2048}, "columns is 2048; it must be a power of two from 16 to 1024"),
        ({"power_up_refreshes": 9}, "power_up_refreshes is 9; it must be 1 to 8"),
    ],
)
def test_a_bad_part_is_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(SdramError, match=message):
        dataclasses.replace(ULX3S, **change)
