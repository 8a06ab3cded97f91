# SPDX-License-Identifier: Apache-2.0
"""Unpacks the 256-value "K" blocks of GGUF, whose 8 or 16 parts have small scales of their own.

As in `gguf_blocks`, every function takes uint8 [blocks, bytes of a block] and its docstring gives
the layout; the result is float32 [blocks, 256], with each product and difference rounded to
float32 in the order that ggml computes them.

Source of the layouts: ggml-common.h and ggml-quants.c of https://github.com/ggml-org/llama.cpp; a
test compares every type with the `gguf` package.
"""

import numpy as np

from weft.model.gguf_blocks import Floats, Raw, half, nibbles

__all__ = ["q4_k", "q5_k", "q6_k"]


def q4_k(raw: Raw) -> Floats:
    """float16 scale, float16 scale of the minima, 12 bytes of part scales, 128 bytes of codes.

    Bytes 32 j to 32 j + 31 of the codes hold part 2 j in their low and 2 j + 1 in their high half.
    """
    return _scaled(raw, nibbles(raw[:, 16:].reshape(-1, 4, 32)).reshape(-1, 8, 32))


def q5_k(raw: Raw) -> Floats:
    """As `q4_k`, with 32 bytes before the codes: bit p of byte j is bit 4 of code j of part p."""
    upper = np.unpackbits(raw[:, 16:48, np.newaxis], axis=-1, bitorder="little")
    codes = nibbles(raw[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    return _scaled(raw, codes | (upper.transpose(0, 2, 1) << np.uint8(4)))


def q6_k(raw: Raw) -> Floats:
    """128 bytes of lower code bits, 64 of upper ones, 16 int8 part scales, float16 scale.

    Codes are stored plus 32. Each half of a block has 64 bytes of lower bits, a nibble each, and 32
    bytes of upper ones, whose bit pairs 0 to 3 belong to values j, j + 32, j + 64 and j + 96.
    """
    lower = nibbles(raw[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    pairs = np.array([0, 2, 4, 6], np.uint8)[:, np.newaxis]
    upper = (raw[:, 128:192].reshape(-1, 2, 1, 32) >> pairs) & 3
    codes = (lower | (upper << 4)).view(np.int8) - np.int8(32)
    part_scales = np.ascontiguousarray(raw[:, 192:208]).view(np.int8).astype(np.float32)
    scales = half(raw, 208)[:, np.newaxis] * part_scales
    values = scales[:, :, np.newaxis] * codes.reshape(-1, 16, 16).astype(np.float32)
    return values.reshape(-1, 256)


def _scaled(raw: Raw, codes: Raw) -> Floats:
    """scale * part scale * code - scale of minima * part minimum, for codes [blocks, 8, 32]."""
    part_scales, part_minima = _part_scales(raw[:, 4:16])
    scales: Floats = half(raw, 0)[:, np.newaxis] * part_scales
    minima: Floats = half(raw, 2)[:, np.newaxis] * part_minima
    values: Floats = scales[:, :, np.newaxis] * codes.astype(np.float32) - minima[:, :, np.newaxis]
    return values.reshape(-1, 256)


def _part_scales(packed: Raw) -> tuple[Floats, Floats]:
    """The 8 scales and 8 minima of 6 bits in 12 bytes.

    Bytes 0 to 3 hold scales 0 to 3 and, in their upper two bits, the upper two of scales 4 to 7;
    bytes 4 to 7 hold the minima likewise; bytes 8 to 11 hold the lower four bits of scales 4 to 7
    and, in their upper halves, of minima 4 to 7.
    """
    first_scales, first_minima, rest = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = [first_scales & 63, (rest & 15) | (first_scales >> 6 << 4)]
    minima = [first_minima & 63, (rest >> 4) | (first_minima >> 6 << 4)]
    return (
        np.concatenate(scales, axis=-1).astype(np.float32),
        np.concatenate(minima, axis=-1).astype(np.float32),
    )
