# SPDX-License-Identifier: Apache-2.0
"""What runs an encoder: tokens or an image in, hidden states out."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from weft.compiler import compile_model
from weft.compiler.patches import patch_rows
from weft.devices import find_preset, open_device
from weft.errors import ModelError, PromptError
from weft.float_model import FloatModel
from weft.model.checkpoint import Checkpoint
from weft.runtime import ModelRunner
from weft.weight_choice import choose_format

__all__ = ["FLOAT", "DeviceEncoder", "Encoder", "FloatEncoder", "open_encoder"]

FLOAT = "float"
"""The name, among devices, of float arithmetic on none."""

HiddenStates = npt.NDArray[np.floating[Any]]
Pixels = npt.NDArray[np.floating[Any]]


class Encoder(Protocol):
    """An encoder on some device."""

    def run(self, token_ids: Sequence[int], token_types: Sequence[int]) -> HiddenStates:
        """What the last layer makes of each token of one text: [tokens, dim].

        Raises `PromptError` for tokens that the model does not know or that are too many.
        """
        ...

    def run_image(self, pixels: Pixels) -> HiddenStates:
        """What the last layer makes of the first token and each patch: [1 + patches, dim].

        `pixels` [channels, size, size] are scaled as the model was trained with. Raises
        `PromptError` when they are of another shape, not finite, or the model takes no images.
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

    def run_image(self, pixels: Pixels) -> HiddenStates:
        """What the last layer makes of the first token and each patch: [1 + patches, dim]."""
        return self._model.image_states(pixels)


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
        self._checkpoint = checkpoint

    def run(self, token_ids: Sequence[int], token_types: Sequence[int]) -> HiddenStates:
        """What the last layer makes of each token of one text: [tokens, dim]."""
        if self._checkpoint.config.image is not None:
            name = self._checkpoint.config.architecture
            raise PromptError(f"the {name} model takes images, not tokens.")
        return self.runner.encode(token_ids, token_types)

    def run_image(self, pixels: Pixels) -> HiddenStates:
        """What the last layer makes of the first token and each patch: [1 + patches, dim]."""
        rows = patch_rows(self._checkpoint, pixels)
        self.runner.write_embeddings(1, rows)
        return self.runner.encode(range(1 + len(rows)))


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
