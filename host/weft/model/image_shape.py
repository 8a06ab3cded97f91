# SPDX-License-Identifier: Apache-2.0
"""What an image encoder takes its tokens from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.errors import ModelError, PromptError, shown

__all__ = ["ImageShape"]

BOUNDS = {"size": 4096, "patch": 256, "channels": 16}
Pixels = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class ImageShape:
    """Square images of `size` by `size` pixels in `channels`, cut into squares of `patch` pixels.

    Raises `ModelError` for a number that is out of bounds, or a size that is no whole number of
    patches.
    """

    size: int
    patch: int
    channels: int = 3

    def __post_init__(self) -> None:
        for name, largest in BOUNDS.items():
            value: object = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
                raise ModelError(
                    f"image {name} is {shown(value)}, but must be an integer between 1 and "
                    f"{largest}."
                )
        if self.size % self.patch:
            raise ModelError(
                f"image size is {self.size}, which is not a multiple of the patch size "
                f"{self.patch}."
            )

    @property
    def patches(self) -> int:
        """Tokens that an image becomes."""
        return (self.size // self.patch) ** 2

    @property
    def patch_values(self) -> int:
        """Numbers of a patch."""
        return self.channels * self.patch**2

    def cut(self, pixels: Pixels) -> Pixels:
        """The patches of an image [channels, size, size], row by row: [patches, patch_values].

        Raises `PromptError` for another shape and for numbers that are not finite.
        """
        expected = (self.channels, self.size, self.size)
        if pixels.shape != expected:
            raise PromptError(
                f"the image has shape {list(pixels.shape)}, but the model takes {list(expected)}."
            )
        if not np.isfinite(pixels).all():
            raise PromptError("the image holds a number that is not finite.")
        n = self.size // self.patch
        squares = pixels.reshape(self.channels, n, self.patch, n, self.patch)
        return squares.transpose(1, 3, 0, 2, 4).reshape(self.patches, self.patch_values)
