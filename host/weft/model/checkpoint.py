# SPDX-License-Identifier: Apache-2.0
"""A model in memory: its configuration and its named float32 tensors."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from weft.errors import ModelError
from weft.model.config import ModelConfig

__all__ = ["Checkpoint", "FloatTensor", "LayerWeights", "check_finite"]

FloatTensor = npt.NDArray[np.float32]
"""A float32 tensor; a matrix is [output channels, input channels]."""


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """The tensors of one transformer layer, in the shapes of `ModelConfig.layer_shapes`."""

    wq: FloatTensor
    wk: FloatTensor
    wv: FloatTensor
    wo: FloatTensor
    w_gate: FloatTensor
    w_up: FloatTensor
    w_down: FloatTensor
    attention_norm: FloatTensor
    ffn_norm: FloatTensor


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model's configuration and weights.

    `wq` and `wk` are in the interleaved rotary order of `ModelConfig`. With tied embeddings
    `lm_head` is the same array as `token_embedding`.

    Raises `ModelError` when a tensor is not float32 or not of the shape that the configuration
    gives it; the sentence names the tensor as in `named_tensors`. That every number is finite is
    for the loaders to check, because they know the tensor's name in the file.
    """

    config: ModelConfig
    layers: tuple[LayerWeights, ...]
    token_embedding: FloatTensor
    final_norm: FloatTensor
    lm_head: FloatTensor

    def __post_init__(self) -> None:
        if len(self.layers) != self.config.n_layers:
            raise ModelError(
                f"the checkpoint holds {len(self.layers)} layers, but its configuration has "
                f"n_layers {self.config.n_layers}."
            )
        layer_shapes = self.config.layer_shapes()
        shapes = self.config.model_shapes()
        for name, tensor in self.named_tensors():
            shape = shapes.get(name) or layer_shapes[name.rsplit(".", 1)[-1]]
            if tensor.dtype != np.float32:
                raise ModelError(f"tensor {name} is {tensor.dtype}, but must be float32.")
            if tensor.shape != shape:
                raise ModelError(
                    f"tensor {name} has shape {list(tensor.shape)}, but the configuration "
                    f"asks for {list(shape)}."
                )
        if self.config.tied_embeddings and self.lm_head is not self.token_embedding:
            raise ModelError("the embeddings are tied, but lm_head is a tensor of its own.")

    def named_tensors(self) -> Iterator[tuple[str, FloatTensor]]:
        """Yield (name, tensor); a layer's names are `layers.{index}.{field}`.

        `lm_head` is left out when it is tied, so each tensor comes once.
        """
        yield "token_embedding", self.token_embedding
        for index, layer in enumerate(self.layers):
            for field in fields(layer):
                yield f"layers.{index}.{field.name}", getattr(layer, field.name)
        yield "final_norm", self.final_norm
        if not self.config.tied_embeddings:
            yield "lm_head", self.lm_head

    @property
    def n_parameters(self) -> int:
        """How many numbers the model consists of; a tied table counts once."""
        return sum(tensor.size for _, tensor in self.named_tensors())


def check_finite(name: str, tensor: FloatTensor) -> None:
    """Raise `ModelError` naming the first element of `tensor` that is NaN or infinite."""
    finite = np.isfinite(tensor)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ModelError(f"tensor {name} holds {tensor[index]} at index {list(index)}.")
