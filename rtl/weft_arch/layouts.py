# SPDX-License-Identifier: Apache-2.0
"""How tensors lie in memory: weight tiles, embedding rows and the KV cache.

A **weight tile** covers 32 input channels x array_cols output channels::

    array_cols x float16 scale | array_cols x block

    block: 32 x int8, or 16 bytes of 4-bit codes (byte j: code j low, code j + 16 high)

The tiles of a matrix [N, K] follow each other with k fastest: (n0, k0), (n0, k1), ... (n1, k0) ...

A **KV slot** holds the keys and values of one KV head (or of several small heads side by side, when
head_dim is below 32), ``32 * k_blocks`` channels wide. It is an array of **kv blocks** of 32
positions::

    32 x int8 value exponent | 32/array_cols x k_blocks W8 tiles (keys) | 32*k_blocks x 32 x int8

Keys are weight tiles whose output channels are positions. A slot of wide keys has two tiles where
others have one: first the high plane of 32 channels, then their low plane (`blocks.key_planes`),
each with its own scale. Values are stored channel by channel, 32
positions each, so that they too stream into the array as columns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft_arch.config import BLOCK, Configuration

__all__ = [
    "KVLayout",
    "key_scale_bits",
    "pack_codes4",
    "pack_q8_rows",
    "pack_tiles",
    "q8_row_bytes",
    "unpack_tiles",
]


def pack_codes4(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[..., 32] 4-bit codes to [..., 16] bytes: code j low, code j + 16 high."""
    low, high = codes[..., :16], codes[..., 16:]
    return (low | (high << 4)).astype(np.uint8)


def pack_tiles(
    config: Configuration, codes: NDArray[np.generic], scales: NDArray[np.float16], weight_bits: int
) -> NDArray[np.uint8]:
    """A quantised matrix as a byte string of tiles.

    codes: [N, K/32, 32], int8 for 8 bits or uint8 codes 0 to 15 for 4; scales: float16 [N, K/32].
    N is padded with zero scales and codes to a multiple of array_cols.
    """
    cols = config.array_cols
    n, k_blocks, _ = codes.shape
    n_tiles = -(-n // cols)
    raw = codes.view(np.uint8) if weight_bits == 8 else pack_codes4(codes.astype(np.uint8))
    block_bytes = raw.shape[-1]
    tiles = np.zeros((n_tiles, k_blocks, config.tile_bytes(weight_bits)), np.uint8)
    padded = np.zeros((n_tiles * cols, k_blocks, block_bytes), np.uint8)
    padded[:n] = raw
    padded_scales = np.zeros((n_tiles * cols, k_blocks), np.float16)
    padded_scales[:n] = scales
    scale_part = padded_scales.reshape(n_tiles, cols, k_blocks).transpose(0, 2, 1)
    tiles[..., : 2 * cols] = np.ascontiguousarray(scale_part).view(np.uint8)
    code_part = padded.reshape(n_tiles, cols, k_blocks, block_bytes).transpose(0, 2, 1, 3)
    tiles[..., 2 * cols :] = code_part.reshape(n_tiles, k_blocks, cols * block_bytes)
    return tiles.reshape(-1)


def unpack_tiles(
    config: Configuration, data: NDArray[np.uint8], k_blocks: int, weight_bits: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The inverse of `pack_tiles`: raw codes uint8 [N, k_blocks, 32] (int8 ones as bit patterns)
    and float16 patterns [N, k_blocks], N a multiple of array_cols."""
    cols = config.array_cols
    tiles = data.reshape(-1, k_blocks, config.tile_bytes(weight_bits))
    n_tiles = tiles.shape[0]
    scales = np.ascontiguousarray(tiles[..., : 2 * cols]).view("<u2").transpose(0, 2, 1)
    raw = tiles[..., 2 * cols :].reshape(n_tiles, k_blocks, cols, -1).transpose(0, 2, 1, 3)
    codes: NDArray[np.uint8] = raw.reshape(n_tiles * cols, k_blocks, -1)
    if weight_bits == 4:
        codes = np.concatenate([codes & np.uint8(15), codes >> np.uint8(4)], axis=-1)
    return codes, scales.reshape(n_tiles * cols, k_blocks)


def q8_row_bytes(config: Configuration, dim: int) -> int:
    """Bytes of an embedding row of ``dim`` values in LoadFormat.Q8."""
    scale_bytes = 2 * (dim // BLOCK)
    beats = -(-scale_bytes // config.beat_bytes)
    return beats * config.beat_bytes + dim


def pack_q8_rows(
    config: Configuration, codes: NDArray[np.int8], scales: NDArray[np.float16]
) -> NDArray[np.uint8]:
    """Embedding rows in LoadFormat.Q8, uint8 [N, `q8_row_bytes`], of int8 codes [N, k_blocks, 32]
    and float16 scales [N, k_blocks]."""
    n, k_blocks, _ = codes.shape
    rows = np.zeros((n, q8_row_bytes(config, k_blocks * BLOCK)), np.uint8)
    rows[:, : 2 * k_blocks] = np.ascontiguousarray(scales.astype("<f2")).view(np.uint8)
    rows[:, -k_blocks * BLOCK :] = codes.reshape(n, -1).view(np.uint8)
    return rows


def key_scale_bits(exponent: int) -> int:
    """The float16 pattern of a key block's scale, ``2**exponent``.

    Exponents are at least `blocks.KEY_MIN_EXPONENT`; those above 16 are stored as 16."""
    return min(exponent + 15, 31) << 10


@dataclass(frozen=True)
class KVLayout:
    """Byte offsets inside one KV slot of ``32 * k_blocks`` channels.

    ``k_block`` of the offsets counts key tiles: 0 to ``key_blocks`` - 1."""

    config: Configuration
    k_blocks: int
    wide_keys: bool = False

    @property
    def key_blocks(self) -> int:
        """Blocks of 32 codes that a position's key takes."""
        return self.k_blocks << self.wide_keys

    @property
    def key_tile_bytes(self) -> int:
        """One W8 tile: array_cols positions x 32 channels."""
        return self.config.tile_bytes(8)

    @property
    def key_bytes(self) -> int:
        """The key part of a kv block, value exponents included."""
        return BLOCK + BLOCK // self.config.array_cols * self.key_blocks * self.key_tile_bytes

    @property
    def value_bytes(self) -> int:
        """The value part of a kv block."""
        return BLOCK * BLOCK * self.k_blocks

    @property
    def block_bytes(self) -> int:
        """One kv block of 32 positions."""
        return self.key_bytes + self.value_bytes

    def slot_bytes(self, max_context: int) -> int:
        """A slot with room for ``max_context`` positions."""
        return -(-max_context // BLOCK) * self.block_bytes

    def exponent_offset(self, position: int) -> int:
        """Where the value exponent (one byte) of a position lies."""
        return position // BLOCK * self.block_bytes + position % BLOCK

    def key_tile_offset(self, position: int, k_block: int) -> int:
        """Where the key tile that holds a position begins."""
        tile = position % BLOCK // self.config.array_cols * self.key_blocks + k_block
        return position // BLOCK * self.block_bytes + BLOCK + tile * self.key_tile_bytes

    def key_scale_offset(self, position: int, k_block: int) -> int:
        """Where the float16 scale of a position's key block lies."""
        column = position % self.config.array_cols
        return self.key_tile_offset(position, k_block) + 2 * column

    def key_codes_offset(self, position: int, k_block: int) -> int:
        """Where the 32 codes of a position's key block lie."""
        cols = self.config.array_cols
        return self.key_tile_offset(position, k_block) + 2 * cols + BLOCK * (position % cols)

    def value_offset(self, position: int, channel: int) -> int:
        """Where the value code (one byte) of a position and channel lies."""
        block = position // BLOCK * self.block_bytes + self.key_bytes
        return block + BLOCK * channel + position % BLOCK
