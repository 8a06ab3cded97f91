# SPDX-License-Identifier: Apache-2.0
"""The resident memory: weight tiles that stay on the chip."""

from itertools import count

import numpy as np
from numpy.typing import NDArray

from weft_arch.config import Configuration

__all__ = ["ResidentMemory"]

_VERSIONS = count(1)


class ResidentMemory:
    """Places, each with room for the scales of a tile and the codes of a 4-bit one.

    ``version`` is another one, of all that any device has had, whenever tiles have been kept.
    """

    def __init__(self, config: Configuration) -> None:
        places = config.resident_places
        self._config = config
        self._scales = np.zeros((places, 2 * config.array_cols), np.uint8)
        self._codes = np.zeros((places, config.resident_place_bytes), np.uint8)
        self._has_scales = np.zeros(places, np.bool_)
        self._has_codes = np.zeros(places, np.bool_)
        self.version = 0

    @property
    def places(self) -> int:
        """How many there are."""
        return len(self._codes)

    def keep(self, first: int, raw: NDArray[np.uint8], weight_bits: int) -> None:
        """Put tiles, bytes as in memory, to places from ``first`` on; they must be there."""
        step = self._config.resident_tile_places(weight_bits)
        tiles = raw.reshape(-1, self._config.tile_bytes(weight_bits))
        end, scale_bytes = first + len(tiles) * step, self._scales.shape[1]
        self._scales[first:end:step] = tiles[:, :scale_bytes]
        self._codes[first:end] = tiles[:, scale_bytes:].reshape(-1, self._codes.shape[1])
        self._has_scales[first:end:step] = True
        self._has_codes[first:end] = True
        self.version = next(_VERSIONS)

    def replay(self, first: int, tiles: int, weight_bits: int) -> NDArray[np.uint8] | None:
        """The bytes of so many tiles from place ``first`` on, in rows; None if some have not been
        kept."""
        step = self._config.resident_tile_places(weight_bits)
        end = first + tiles * step
        if not (self._has_scales[first:end:step].all() and self._has_codes[first:end].all()):
            return None
        codes = self._codes[first:end].reshape(tiles, -1)
        return np.concatenate([self._scales[first:end:step], codes], axis=1)
