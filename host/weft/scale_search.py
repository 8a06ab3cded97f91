# SPDX-License-Identifier: Apache-2.0
"""Finds the scale and the codes of each block of 32 weights that leave the least squared error.

Rounding to nearest takes the scale that puts a block's largest weight on the codebook's end. Here a
number of smaller and larger ones are tried as well; each is improved by the scale of least squares
for the codes that it leads to (the projection <x, q> / <q, q>), and rounded to float16, as it is
stored, before it is judged. No texts are needed: the weights alone decide.
"""

import numpy as np
import numpy.typing as npt

from weft.codebooks import Codebook

__all__ = ["nearest_codes", "round_blocks", "search_blocks", "squared_errors"]

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]
Scales = npt.NDArray[np.float16]

FACTORS = tuple(np.float32(percent / 100) for percent in range(85, 120, 5))
"""Scales that are tried, as parts of the one that puts the largest weight on the codebook's end."""

PIECE_BLOCKS = 1 << 14
"""Blocks that are searched at a time: the temporaries of a piece stay in the processor's caches."""

_LARGEST = np.float32(65504)
"""The largest float16."""


def nearest_codes(values: Floats, codebook: Codebook) -> Codes:
    """The code whose entry is nearest to each of `values`, in units of the codebook; halfway the
    larger entry, and of equal entries the first code."""
    return _table_of(codebook)[_half_steps(values)]


def round_blocks(blocks: Floats, codebook: Codebook) -> tuple[Codes, Scales]:
    """Round `blocks` [n, width] to nearest: codes [n, width] and scales [n].

    A block's largest weight lies on the end of the codebook that has the larger magnitude.
    """
    ends = codebook[np.abs(codebook.astype(np.int16)).argmax()]
    scales = _rounded(_largest(blocks) / np.float32(ends))
    return nearest_codes(_in_units(blocks, scales), codebook), scales


def search_blocks(blocks: Floats, codebook: Codebook) -> tuple[Codes, Scales]:
    """Codes [n, width] and scales [n] of `blocks` [n, width]; the squared error of each
    block is at most that of `round_blocks`."""
    codes = np.empty(blocks.shape, np.uint8)
    scales = np.empty(len(blocks), np.float16)
    for first in range(0, len(blocks), PIECE_BLOCKS):
        piece = slice(first, first + PIECE_BLOCKS)
        codes[piece], scales[piece] = _search(blocks[piece], codebook)
    return codes, scales


def squared_errors(
    blocks: Floats, codes: Codes, scales: Scales, codebook: Codebook
) -> npt.NDArray[np.float64]:
    """What blocks [n, width] lose, each: the sum of (stored value - value)^2, in float64."""
    stored = codebook[codes] * scales.astype(np.float64)[:, np.newaxis]
    return np.square(stored - blocks).sum(axis=1)


def _search(blocks: Floats, codebook: Codebook) -> tuple[Codes, Scales]:
    table = _table_of(codebook)
    entries = codebook.astype(np.float32)
    best_codes, best_scales = round_blocks(blocks, codebook)
    best_errors = squared_errors(blocks, best_codes, best_scales, codebook)
    largest = _largest(blocks)
    for end in _ends(codebook):
        for factor in FACTORS:
            scales = _rounded(largest / end * factor)
            chosen = entries[table[_half_steps(_in_units(blocks, scales))]]
            scales = _rounded(_projection(blocks, chosen))
            codes = table[_half_steps(_in_units(blocks, scales))]
            errors = squared_errors(blocks, codes, scales, codebook)
            better = errors < best_errors
            best_codes[better], best_scales[better] = codes[better], scales[better]
            best_errors[better] = errors[better]
    return best_codes, best_scales


def _ends(codebook: Codebook) -> list[np.float32]:
    """Where a block's largest weight may lie; one end where the other is its mirror image."""
    low, high = codebook.min(), codebook.max()
    both = [np.float32(low), np.float32(high)]
    return both if set(codebook.tolist()) != {-int(c) for c in codebook} else both[1:]


def _largest(blocks: Floats) -> Floats:
    """The value of largest magnitude of each block, the first of equals."""
    places = np.abs(blocks).argmax(axis=1)[:, np.newaxis]
    return np.take_along_axis(blocks, places, axis=1)[:, 0]


def _projection(blocks: Floats, chosen: Floats) -> Floats:
    """The scale of least squares for the entries that a block's codes stand for; 0 for none."""
    products = np.einsum("ij,ij->i", blocks, chosen)
    squares = np.einsum("ij,ij->i", chosen, chosen)
    return np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)


def _rounded(scales: Floats) -> Scales:
    """To float16; what is beyond it becomes its largest."""
    return np.clip(scales, -_LARGEST, _LARGEST).astype(np.float16)


def _in_units(blocks: Floats, scales: Scales) -> Floats:
    """Blocks divided by their scales; zeros where a scale is 0."""
    wide = scales.astype(np.float32)[:, np.newaxis]
    return np.divide(blocks, wide, out=np.zeros_like(blocks), where=wide != 0)


def _half_steps(values: Floats) -> npt.NDArray[np.int16]:
    """Places in a table of `_table_of`: entries are whole, so halfway is a multiple of a half."""
    return np.clip(np.floor(2 * values), -256, 255).astype(np.int16) + np.int16(256)


def _table_of(codebook: Codebook) -> Codes:
    """uint8 [512]: the nearest code for every half step from -128 on."""
    middles = np.arange(-256, 256)[:, np.newaxis] / 2 + 0.25
    order = np.lexsort((np.arange(16), codebook))
    entries = codebook[order].astype(np.float64)
    return order[np.abs(middles - entries).argmin(axis=1)].astype(np.uint8)
