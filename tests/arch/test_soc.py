# SPDX-License-Identifier: Apache-2.0
"""The memory map and registers of the board's CPU."""

from itertools import pairwise

from weft_arch import registers, soc
from weft_arch.registers import Access
from weft_arch.soc import MEMORY_MAP, SOC_REGISTERS


def test_areas_do_not_overlap() -> None:
    assert MEMORY_MAP[0].base == 0
    for a, b in pairwise(MEMORY_MAP):
        assert a.base + a.bytes <= b.base
    assert soc.area("ACCELERATOR").bytes == registers.WINDOW_BYTES
    assert soc.area("SOC").bytes == soc.SOC_WINDOW_BYTES


def test_registers_have_their_own_words_inside_the_window() -> None:
    offsets = [r.offset for r in SOC_REGISTERS.values()]
    assert offsets == list(range(0, 4 * len(offsets), 4))
    assert offsets[-1] < soc.SOC_WINDOW_BYTES
    assert all(r.access is not Access.WRITE_ONLY for r in SOC_REGISTERS.values())


def test_the_link_tells_both_windows_apart() -> None:
    assert registers.WINDOW_BYTES <= soc.LINK_BASE
    assert soc.area("SOC").base - soc.area("ACCELERATOR").base == soc.LINK_BASE


def test_offsets_by_name() -> None:
    assert soc.soc_offset("SOC_ID") == 0
    assert soc.soc_offset("CYCLES_HIGH") == soc.soc_offset("CYCLES_LOW") + 4
    assert soc.soc_offset("INTERRUPTS") == 0x2C


def test_parts_of_boot_status_do_not_overlap() -> None:
    assert max(soc.BootStage) <= soc.BOOT_STAGE_MASK < 1 << soc.BOOT_DETAIL_SHIFT
    assert soc.BOOT_JOBS_SHIFT == soc.BOOT_DETAIL_SHIFT + 8
    assert soc.WATCHDOG_EXPIRED >> (soc.BOOT_JOBS_SHIFT + 8)
