# SPDX-License-Identifier: Apache-2.0
"""What runs an encoder: tokens in, hidden states out."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from weft.compiler import compile_model
from weft.devices import find_preset, open_device
from weft.errors import ModelError
from weft.float_model import FloatModel
from weft.model.checkpoint import Checkpoint
from weft.runtime import ModelRunner
from weft.weight_choice import choose_format

__all__ = ["FLOAT", "DeviceEncoder", "Encoder", "FloatEncoder", "open_encoder"]

FLOAT = "float"
"""The name, among devices, of float arithmetic on none."""

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


class DeviceEncoder:
    """An encoder compiled for a preset and loaded onto a device; texts of up to `max_tokens`."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str,
        preset: str,
        weights: str,
        kv_format: str,
        max_tokens: int,
        device_options: dict[str, Any] | None = None,
    ) -> None:
        config = find_preset(preset)
        form = choose_format(weights, checkpoint)
        compiled = compile_model(
            checkpoint, config, form, kv_format=kv_format, max_context=max_tokens
        )
        opened = open_device(
            device, config, memory_bytes=compiled.memory.size, **(device_options or {})
        )
        self.runner = ModelRunner(compiled, opened)

    def run(self, token_ids: Sequence[int], token_types: Sequence[int]) -> HiddenStates:
        """What the last layer makes of each token of one text: [tokens, dim]."""
        return self.runner.encode(token_ids, token_types)


def open_encoder(
    checkpoint: Checkpoint,
    *,
    device: str,
    preset: str,
    weights: str,
    kv_format: str,
    max_tokens: int,
    device_options: dict[str, Any] | None = None,
) -> Encoder:
    """The encoder on a device, or in float arithmetic."""
    if device == FLOAT:
        return FloatEncoder(checkpoint, np.float32)
    return DeviceEncoder(
        checkpoint,
        device=device,
        preset=preset,
        weights=weights,
        kv_format=kv_format,
        max_tokens=max_tokens,
        device_options=device_options,
    )
