# SPDX-License-Identifier: Apache-2.0
"""A model: its configuration and its named tensors."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from weft.errors import ModelError
from weft.model.config import ModelConfig
from weft.quantize import QuantizedMatrix, WeightFormat, quantize

__all__ = [
    "Checkpoint",
    "FloatTensor",
    "LayerWeights",
    "Matrix",
    "StoredMatrix",
    "as_floats",
    "as_quantized",
    "check_finite",
]

FloatTensor = npt.NDArray[np.float32]
"""A float32 tensor; a matrix is [output channels, input channels]."""


class StoredMatrix(ABC):
    """A matrix [output channels, input channels] that stays in its file, in the file's own format,
    until somebody asks for numbers."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    @property
    def size(self) -> int:
        """How many numbers it consists of."""
        rows, columns = self.shape
        return rows * columns

    @abstractmethod
    def floats(self, first: int, end: int) -> FloatTensor:
        """Rows `first` to `end` as float32; `ModelError` where one is not finite."""

    @abstractmethod
    def quantized(self, weight_format: WeightFormat) -> QuantizedMatrix:
        """The matrix in a format of the device: the file's own blocks unchanged where they are of
        that format, else quantised from the numbers they stand for.

        Raises `ModelError` when a number is not finite or too large for the format.
        """


Matrix = FloatTensor | StoredMatrix


def as_floats(matrix: Matrix, first: int = 0, end: int | None = None) -> FloatTensor:
    """Rows `first` to `end` of a matrix, or all of them, as float32; a vector as it is."""
    if isinstance(matrix, StoredMatrix):
        return matrix.floats(first, matrix.shape[0] if end is None else min(end, matrix.shape[0]))
    return matrix[first:end]


def as_quantized(matrix: Matrix, weight_format: WeightFormat) -> QuantizedMatrix:
    """A matrix in a format of the device."""
    if isinstance(matrix, StoredMatrix):
        return matrix.quantized(weight_format)
    return quantize(matrix, weight_format)


@dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """The tensors of one transformer layer, in the shapes of `ModelConfig.layer_shapes`."""

    wq: Matrix
    wk: Matrix
    wv: Matrix
    wo: Matrix
    w_gate: Matrix
    w_up: Matrix
    w_down: Matrix
    attention_norm: FloatTensor
    ffn_norm: FloatTensor


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model's configuration and weights; norms are float32, a matrix may stay in its file.

    `wq` and `wk` are in the interleaved rotary order of `ModelConfig`. With tied embeddings
    `lm_head` is the same array as `token_embedding`.

    Raises `ModelError` when an array is not float32 or a tensor not of the shape that the
    configuration gives it; the sentence names the tensor as in `named_tensors`. That every number
    is finite is for the loaders to check, because they know the tensor's name in the file.
    """

    config: ModelConfig
    layers: tuple[LayerWeights, ...]
    token_embedding: Matrix
    final_norm: FloatTensor
    lm_head: Matrix

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
            if isinstance(tensor, np.ndarray) and tensor.dtype != np.float32:
                raise ModelError(f"tensor {name} is {tensor.dtype}, but must be float32.")
            if tensor.shape != shape:
                raise ModelError(
                    f"tensor {name} has shape {list(tensor.shape)}, but the configuration "
                    f"asks for {list(shape)}."
                )
        if self.config.tied_embeddings and self.lm_head is not self.token_embedding:
            raise ModelError("the embeddings are tied, but lm_head is a tensor of its own.")

    def named_tensors(self) -> Iterator[tuple[str, Matrix]]:
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


def check_finite(name: str, tensor: FloatTensor, *, first_row: int = 0) -> None:
    """Raise `ModelError` naming the first element of `tensor` that is NaN or infinite.

    `first_row` is the place of its first row in the tensor that it is a part of.
    """
    finite = np.isfinite(tensor)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        place = [index[0] + first_row, *index[1:]]
        raise ModelError(f"tensor {name} holds {tensor[index]} at index {place}.")
