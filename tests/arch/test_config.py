# SPDX-License-Identifier: Apache-2.0
"""Every bound of a configuration has its sentence."""

import dataclasses
import re

import pytest

from weft_arch.config import PRESETS, Configuration, ConfigurationError, preset

DEFAULT = preset("default")
FINGERPRINT = 0xBD2B64D48C4DCF78


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"array_cols": 5}, "array_cols is 5; it must be 4, 8 or 16"),
        ({"beat_bytes": 32}, "beat_bytes is 32; it must be 4, 8 or 16"),
        (
            {"array_cols": 4, "beat_bytes": 16},
            "beat_bytes is 16; it must divide the 8 bytes of a tile's scales",
        ),
        ({"activation_bits": 7}, "activation_bits is 7; it must be 8 to 12"),
        ({"activation_bits": 13}, "activation_bits is 13; it must be 8 to 12"),
        (
            {"vector_memory_words": 1000},
            "vector_memory_words is 1000; it must be a power of two from 64 to 16384",
        ),
        (
            {"vector_memory_words": 32},
            "vector_memory_words is 32; it must be a power of two from 64 to 16384",
        ),
        (
            {"vector_memory_words": 32768},
            "vector_memory_words is 32768; it must be a power of two from 64 to 16384",
        ),
        (
            {"activation_blocks": 16},
            "activation_blocks is 16; it must be a power of two from 32 to 16384",
        ),
        (
            {"weight_buffer_bytes": 512},
            "weight_buffer_bytes is 512; it must be a power of two from 1024 to 1048576",
        ),
        (
            {"accumulator_words": 8192},
            "accumulator_words is 8192; it must be a power of two from 64 to 4096",
        ),
        ({"max_rows": 2}, "max_rows is 2; it must be a power of two from 4 to 256"),
        ({"max_rows": 0}, "max_rows is 0; it must be a power of two from 4 to 256"),
        (
            {"instruction_words": 8192},
            "instruction_words is 8192; it must be a power of two from 64 to 4096",
        ),
        (
            {"max_burst_beats": 1},
            "max_burst_beats is 1; it must be a power of two from 2 to 256",
        ),
        (
            {"max_burst_beats": 512},
            "max_burst_beats is 512; it must be a power of two from 2 to 256",
        ),
        (
            {"resident_bytes": 5000},
            "resident_bytes is 5000; it must be 0 or a multiple of 256 from 1024 to 16777216",
        ),
        (
            {"resident_bytes": 512},
            "resident_bytes is 512; it must be 0 or a multiple of 256 from 1024 to 16777216",
        ),
        (
            {"resident_bytes": 1 << 25},
            "resident_bytes is 33554432; it must be 0 or a multiple of 256 from 1024 to 16777216",
        ),
        ({"top_k_entries": 0}, "top_k_entries is 0; it must be 1 to 64"),
        ({"top_k_entries": 65}, "top_k_entries is 65; it must be 1 to 64"),
    ],
)
def test_a_value_outside_its_bounds_is_refused(change: dict[str, int], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(sentence)}$"):
        dataclasses.replace(DEFAULT, **change)


def test_an_unknown_preset_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"^unknown preset 'huge'; there are tiny, default, wide, resident$",
    ):
        preset("huge")


def test_the_longest_burst_stays_inside_four_kibibytes() -> None:
    widest = dataclasses.replace(DEFAULT, beat_bytes=16, max_burst_beats=256)
    assert widest.max_burst_beats * widest.beat_bytes == 4096


@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda c: c.name)
def test_consequences(config: Configuration) -> None:
    assert config.array_rows == 32
    assert config.lanes == config.array_cols
    assert config.cells == 32 * config.array_cols
    assert config.words_per_block * config.lanes == 32
    # 32 products of the largest magnitudes fit a partial sum.
    largest = 32 * ((1 << config.activation_bits - 1) - 1) * 128
    assert largest < 1 << config.partial_sum_width - 1
    assert config.scale_beats * config.beat_bytes == 2 * config.array_cols
    assert config.tile_bytes(8) == config.array_cols * 34
    assert config.tile_bytes(4) == config.array_cols * 18


def test_the_fingerprint_is_of_what_programs_depend_on() -> None:
    assert len({c.fingerprint for c in PRESETS.values()}) == len(PRESETS)
    same = dataclasses.replace(DEFAULT, name="other", clock_hz=1, memory_bytes_per_cycle=4)
    assert same.fingerprint == DEFAULT.fingerprint
    for change in (
        {"max_rows": 32},
        {"activation_bits": 8},
        {"top_k_entries": 4},
        {"resident_bytes": 1024},
    ):
        assert dataclasses.replace(DEFAULT, **change).fingerprint != DEFAULT.fingerprint


def test_no_resident_memory_leaves_the_fingerprint_alone() -> None:
    assert DEFAULT.fingerprint == FINGERPRINT
    assert (DEFAULT.resident_bytes, DEFAULT.resident_places) == (0, 0)


def test_the_resident_preset_holds_a_whole_stories260k() -> None:
    resident = preset("resident")
    assert resident.resident_places == 2560
    assert resident.resident_tile_places(4) == 1
    tiles = 285_056 // resident.tile_bytes(8)
    assert tiles * resident.resident_tile_places(8) <= resident.resident_places


def test_the_issue_names_two_presets() -> None:
    assert preset("tiny").cells < preset("default").cells
    assert (DEFAULT.array_rows, DEFAULT.array_cols, DEFAULT.beat_bytes) == (32, 8, 8)
