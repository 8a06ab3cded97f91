# SPDX-License-Identifier: Apache-2.0
"""Bytes in memory: weight tiles, embedding rows, KV slots."""

import dataclasses

import numpy as np
import pytest

from weft_arch.blocks import KEY_MIN_EXPONENT
from weft_arch.config import Configuration, preset
from weft_arch.float24 import from_float16_bits
from weft_arch.layouts import (
    KVLayout,
    key_scale_bits,
    pack_q8_rows,
    pack_tiles,
    q8_row_bytes,
    unpack_tiles,
)

TINY, DEFAULT = preset("tiny"), preset("default")
WIDE = dataclasses.replace(DEFAULT, array_cols=16, beat_bytes=16)
CONFIGS = pytest.mark.parametrize("config", [TINY, DEFAULT, WIDE], ids=["4", "8", "16"])


def random_matrix(n: int, k_blocks: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n * k_blocks)
    scales = rng.normal(size=(n, k_blocks)).astype(np.float16)
    if bits == 8:
        return rng.integers(-128, 128, (n, k_blocks, 32)).astype(np.int8), scales
    return rng.integers(0, 16, (n, k_blocks, 32)).astype(np.uint8), scales


@CONFIGS
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("n", "k_blocks"), [(16, 1), (48, 3), (1, 1), (21, 2)])
def test_tiles_round_trip(config: Configuration, bits: int, n: int, k_blocks: int) -> None:
    codes, scales = random_matrix(n, k_blocks, bits)
    packed = pack_tiles(config, codes, scales, bits)
    n_tiles = -(-n // config.array_cols)
    assert packed.size == n_tiles * k_blocks * config.tile_bytes(bits)
    raw, patterns = unpack_tiles(config, packed, k_blocks, bits)
    np.testing.assert_array_equal(raw[:n], codes.view(np.uint8))
    np.testing.assert_array_equal(patterns[:n], scales.view(np.uint16))
    assert not raw[n:].any()
    assert not patterns[n:].any()


@CONFIGS
@pytest.mark.parametrize("bits", [8, 4])
def test_tiles_lie_as_the_module_says(config: Configuration, bits: int) -> None:
    codes, scales = random_matrix(2 * config.array_cols, 3, bits)
    packed = pack_tiles(config, codes, scales, bits)
    tile_bytes, block_bytes = config.tile_bytes(bits), 4 * bits
    for n in range(2 * config.array_cols):
        tile, column = divmod(n, config.array_cols)
        for k in range(3):
            start = (3 * tile + k) * tile_bytes
            scale = packed[start + 2 * column :][:2].view(np.float16)[0]
            assert scale == scales[n, k]
            block = packed[start + 2 * config.array_cols + block_bytes * column :][:block_bytes]
            if bits == 8:
                expected = codes[n, k].view(np.uint8)
            else:
                expected = np.array([codes[n, k, j] | codes[n, k, j + 16] << 4 for j in range(16)])
            np.testing.assert_array_equal(block, expected)


@CONFIGS
@pytest.mark.parametrize("wide_keys", [False, True])
@pytest.mark.parametrize("k_blocks", [1, 2, 4])
def test_kv_offsets_are_disjoint_and_cover_the_block(
    config: Configuration, k_blocks: int, wide_keys: bool
) -> None:
    layout = KVLayout(config, k_blocks, wide_keys)
    owners = np.zeros(2 * layout.block_bytes, np.int64)
    for position in range(64):
        owners[layout.exponent_offset(position)] += 1
        for k in range(k_blocks << wide_keys):
            owners[layout.key_scale_offset(position, k) :][:2] += 1
            owners[layout.key_codes_offset(position, k) :][:32] += 1
        for channel in range(32 * k_blocks):
            owners[layout.value_offset(position, channel)] += 1
    assert (owners == 1).all(), "each byte of two kv blocks belongs to exactly one thing"


@CONFIGS
def test_keys_are_weight_tiles_whose_outputs_are_positions(config: Configuration) -> None:
    layout = KVLayout(config, 2)
    codes, scales = random_matrix(32, 2, 8)
    block = np.zeros(layout.block_bytes, np.uint8)
    for position in range(32):
        for k in range(2):
            place = layout.key_codes_offset(position, k)
            block[place : place + 32] = codes[position, k].view(np.uint8)
            place = layout.key_scale_offset(position, k)
            block[place : place + 2] = scales[position, k : k + 1].view(np.uint8)
    packed = pack_tiles(config, codes, scales, 8)
    np.testing.assert_array_equal(block[32 : layout.key_bytes], packed)


@CONFIGS
def test_parts_of_a_kv_block_are_whole_beats(config: Configuration) -> None:
    for k_blocks in (1, 2, 3, 4):
        layout = KVLayout(config, k_blocks)
        assert layout.key_bytes % config.beat_bytes == 0
        assert layout.value_bytes % config.beat_bytes == 0
        assert layout.slot_bytes(33) == layout.slot_bytes(64) == 2 * layout.block_bytes


def test_embedding_rows_pad_their_scales_to_whole_beats() -> None:
    assert q8_row_bytes(DEFAULT, 32) == 8 + 32
    assert q8_row_bytes(DEFAULT, 128) == 8 + 128
    assert q8_row_bytes(DEFAULT, 160) == 16 + 160


def test_an_embedding_row_is_its_scales_and_then_its_codes() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(-128, 128, (3, 5, 32)).astype(np.int8)
    scales = rng.normal(size=(3, 5)).astype(np.float16)
    rows = pack_q8_rows(DEFAULT, codes, scales)
    assert rows.shape == (3, q8_row_bytes(DEFAULT, 160))
    for row, code, scale in zip(rows, codes, scales, strict=True):
        assert row.tobytes() == scale.tobytes() + bytes(6) + code.tobytes()


def test_key_scales_are_powers_of_two() -> None:
    for exponent in range(KEY_MIN_EXPONENT, 17):
        assert from_float16_bits(key_scale_bits(exponent)) == 2.0**exponent
    assert key_scale_bits(100) == key_scale_bits(16)
