# SPDX-License-Identifier: Apache-2.0
"""What runs an encoder: tokens in, hidden states out."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from weft.errors import ModelError
from weft.float_model import FloatModel
from weft.model.checkpoint import Checkpoint

__all__ = ["Encoder", "FloatEncoder"]

HiddenStates = npt.NDArray[np.floating[Any]]


class Encoder(Protocol):
    """An encoder on some device."""

    def run(self, token_ids: Sequence[int], token_types: Sequence[int]) -> HiddenStates:
        """What the last layer makes of each token of one text: [tokens, dim].

        Raises `PromptError` for tokens that the model does not know or that are too many.
        """
        ...


class FloatEncoder:
    """An encoder in float arithmetic of type `dtype`, on no device."""

    def __init__(
        self, checkpoint: Checkpoint, dtype: type[np.float32] | type[np.float64] = np.float64
    ) -> None:
        if checkpoint.config.head != "none":
            raise ModelError(
                f"the {checkpoint.config.architecture} model is no encoder, so it gives no "
                f"embeddings."
            )
        self._model = FloatModel(checkpoint, dtype)

    def run(self, token_ids: Sequence[int], token_types: Sequence[int]) -> HiddenStates:
        """What the last layer makes of each token of one text: [tokens, dim]."""
        return self._model.hidden_states(token_ids, token_types=token_types)
