# SPDX-License-Identifier: Apache-2.0
"""Image encoders as encoders of tokens.

Token 0 is the learned one, token k patch k - 1 of the image at hand: the embedding has a row for
each, and the host writes those of the patches for every image. Their projection, less than a
hundredth of an encoder's work, is the host's.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.errors import PromptError
from weft.model import Checkpoint, ModelConfig
from weft.model.checkpoint import as_floats

__all__ = ["config_of_tokens", "of_tokens", "patch_rows"]


def config_of_tokens(config: ModelConfig) -> ModelConfig:
    """The shape with a token per patch; one that takes tokens stays what it is."""
    if config.image is None:
        return config
    return replace(config, image=None, vocab_size=config.max_context)


def of_tokens(checkpoint: Checkpoint) -> Checkpoint:
    """The same of a checkpoint; rows of patches are 0."""
    config = checkpoint.config
    if config.image is None:
        return checkpoint
    rows = np.zeros((config.max_context, config.dim), np.float32)
    rows[:1] = as_floats(checkpoint.token_embedding)
    return replace(
        checkpoint,
        config=config_of_tokens(config),
        token_embedding=rows,
        patch_embedding=None,
        patch_embedding_bias=None,
    )


def patch_rows(
    checkpoint: Checkpoint, pixels: npt.NDArray[np.floating[Any]]
) -> npt.NDArray[np.float16]:
    """The embedding's rows of an image's patches [patches, dim], rounded to float16.

    ``pixels`` [channels, size, size] are scaled as the model was trained with. Raises `PromptError`
    when they are of another shape, not finite, or too large for float16 behind the projection, or
    the model takes no images.
    """
    image = checkpoint.config.image
    if image is None:
        name = checkpoint.config.architecture
        raise PromptError(f"the {name} model takes tokens, not images.")
    matrix = as_floats(checkpoint.matrix("patch_embedding")).astype(np.float64)
    products = image.cut(pixels) @ matrix.T + checkpoint.vector("patch_embedding_bias")
    with np.errstate(over="ignore"):
        rows = products.astype("<f2")
    if not np.isfinite(rows).all():
        raise PromptError("a patch of the image is beyond 65504, the largest float16.")
    return rows
