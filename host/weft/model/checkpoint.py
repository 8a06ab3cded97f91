# SPDX-License-Identifier: Apache-2.0
"""A model: its configuration and its named tensors."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.errors import ModelError
from weft.model.config import ModelConfig
from weft.quantize import BLOCK, QuantizedMatrix, WeightFormat, quantize

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

PIECE_VALUES = 1 << 20
"""Numbers of a stored matrix that are unpacked at a time, so that memory is needed for the result
and little else."""
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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All of it, for NumPy."""
        return self.floats(0, self.shape[0]).astype(dtype or np.float32, copy=False)

    @property
    def in_int8_blocks(self) -> bool:
        """Whether the file has blocks of 32 integers with a scale, which `w8` takes unchanged."""
        return False

    def quantized(self, weight_format: WeightFormat) -> QuantizedMatrix:
        """The matrix in a format of the device: the file's own blocks unchanged where they are of
        that format, else quantised from the numbers they stand for.

        Raises `ModelError` when a number is not finite or too large for the format.
        """
        matrix = self.blank(weight_format)
        for first, end in self.pieces():
            part = quantize(self.floats(first, end), weight_format)
            matrix.codes[first:end], matrix.scales[first:end] = part.codes, part.scales
        return matrix

    def blank(self, weight_format: WeightFormat) -> QuantizedMatrix:
        """A quantised matrix of this shape, to be filled piece by piece."""
        rows, columns = self.shape
        shape = (rows, -(-columns // BLOCK), BLOCK)
        narrow = weight_format.codebook is not None
        return QuantizedMatrix(
            format=weight_format,
            columns=columns,
            codes=np.empty(shape, np.uint8) if narrow else np.empty(shape, np.int8),
            scales=np.empty(shape[:2], np.float16),
            codebook=weight_format.codebook,
        )

    def pieces(self) -> Iterator[tuple[int, int]]:
        """First row and end of pieces of about `PIECE_VALUES` numbers."""
        rows, columns = self.shape
        step = max(1, PIECE_VALUES // max(1, columns))
        for first in range(0, rows, step):
            yield first, min(first + step, rows)


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
    """The tensors of one transformer layer, in the shapes of `ModelConfig.layer_shapes`; those that
    the configuration does not ask for are None."""

    wq: Matrix
    wk: Matrix
    wv: Matrix
    wo: Matrix
    w_gate: Matrix | None = None
    w_up: Matrix
    w_down: Matrix
    attention_norm: FloatTensor
    attention_norm_bias: FloatTensor | None = None
    attention_post_norm: FloatTensor | None = None
    attention_post_norm_bias: FloatTensor | None = None
    ffn_norm: FloatTensor
    ffn_norm_bias: FloatTensor | None = None
    ffn_post_norm: FloatTensor | None = None
    ffn_post_norm_bias: FloatTensor | None = None
    q_norm: FloatTensor | None = None
    k_norm: FloatTensor | None = None
    wq_bias: FloatTensor | None = None
    wk_bias: FloatTensor | None = None
    wv_bias: FloatTensor | None = None
    wo_bias: FloatTensor | None = None
    w_gate_bias: FloatTensor | None = None
    w_up_bias: FloatTensor | None = None
    w_down_bias: FloatTensor | None = None

    def matrix(self, name: str) -> Matrix:
        """A matrix by its name; `ModelError` where the layer has none of that name."""
        return _present(name, getattr(self, name, None))

    def vector(self, name: str) -> FloatTensor:
        """A gain or bias by its name; `ModelError` where the layer has none of that name."""
        return _vector(name, getattr(self, name, None))


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model's configuration and weights; norms are float32, a matrix may stay in its file.

    `wq` and `wk`, with their biases and the gains `q_norm` and `k_norm`, are in the interleaved
    rotary order of `ModelConfig`. With tied embeddings `lm_head` is the same array as
    `token_embedding`. Tensors that the configuration does not ask for are None.

    Raises `ModelError` when an array is not float32, or a tensor missing, too many, or not of the
    shape that the configuration gives it; the sentence names the tensor as in `named_tensors`. That
    every number is finite is for the loaders to check, because they know the tensor's name in the
    file.
    """

    config: ModelConfig
    layers: tuple[LayerWeights, ...]
    token_embedding: Matrix
    final_norm: FloatTensor | None = None
    lm_head: Matrix | None = None
    patch_embedding: Matrix | None = None
    patch_embedding_bias: FloatTensor | None = None
    position_embedding: FloatTensor | None = None
    token_type_embedding: FloatTensor | None = None
    embedding_norm: FloatTensor | None = None
    embedding_norm_bias: FloatTensor | None = None
    final_norm_bias: FloatTensor | None = None
    lm_head_bias: FloatTensor | None = None

    def __post_init__(self) -> None:
        if len(self.layers) != self.config.n_layers:
            raise ModelError(
                f"the checkpoint holds {len(self.layers)} layers, but its configuration has "
                f"n_layers {self.config.n_layers}."
            )
        layer_shapes = self.config.layer_shapes()
        _check_tensors("", self, self.config.model_shapes(), ("config", "layers"))
        for index, layer in enumerate(self.layers):
            _check_tensors(f"layers.{index}.", layer, layer_shapes)
        if self.config.tied_embeddings and self.lm_head is not self.token_embedding:
            raise ModelError("the embeddings are tied, but lm_head is a tensor of its own.")

    def matrix(self, name: str) -> Matrix:
        """A table or matrix outside the layers by its name; `ModelError` where there is none."""
        return _present(name, getattr(self, name, None))

    def vector(self, name: str) -> FloatTensor:
        """A gain or bias outside the layers by its name; `ModelError` where there is none."""
        return _vector(name, getattr(self, name, None))

    def named_tensors(self) -> Iterator[tuple[str, Matrix]]:
        """Yield (name, tensor); a layer's names are `layers.{index}.{field}`.

        `lm_head` is left out when it is tied, so each tensor comes once.
        """
        outside = list(self.config.model_shapes())
        behind = outside.index("final_norm") if "final_norm" in outside else len(outside)
        for name in outside[:behind]:
            yield name, self.matrix(name)
        for index, layer in enumerate(self.layers):
            for name in self.config.layer_shapes():
                yield f"layers.{index}.{name}", layer.matrix(name)
        for name in outside[behind:]:
            if name != "lm_head" or not self.config.tied_embeddings:
                yield name, self.matrix(name)

    @property
    def n_parameters(self) -> int:
        """How many numbers the model consists of; a tied table counts once."""
        return sum(tensor.size for _, tensor in self.named_tensors())


def check_finite(
    name: str,
    tensor: FloatTensor,
    *,
    first_row: int = 0,
    rows: npt.NDArray[np.intp] | None = None,
) -> None:
    """Raise `ModelError` naming the first element of `tensor` that is NaN or infinite.

    `first_row` is the place of its first row in the tensor that it is a part of, or `rows` are the
    places of all its rows there.
    """
    finite = np.isfinite(tensor)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        row = index[0] + first_row if rows is None else int(rows[index[0]])
        raise ModelError(f"tensor {name} holds {tensor[index]} at index {[row, *index[1:]]}.")


def _check_tensors(
    prefix: str,
    holder: LayerWeights | Checkpoint,
    shapes: dict[str, tuple[int, ...]],
    others: tuple[str, ...] = (),
) -> None:
    """Each field of `holder` but `others` is a tensor of its shape, or None where there is none."""
    for name in (field.name for field in fields(holder)):
        tensor: Matrix | None = None if name in others else getattr(holder, name)
        shape = shapes.get(name)
        if tensor is None and shape is not None:
            raise ModelError(f"tensor {prefix}{name} is missing.")
        if tensor is None:
            continue
        if shape is None:
            raise ModelError(
                f"tensor {prefix}{name} is given, but the configuration has no place for it."
            )
        if isinstance(tensor, np.ndarray) and tensor.dtype != np.float32:
            raise ModelError(f"tensor {prefix}{name} is {tensor.dtype}, but must be float32.")
        if tensor.shape != shape:
            raise ModelError(
                f"tensor {prefix}{name} has shape {list(tensor.shape)}, but the configuration "
                f"asks for {list(shape)}."
            )


def _present(name: str, tensor: Matrix | None) -> Matrix:
    if tensor is None:
        raise ModelError(f"the model has no tensor {name}.")
    return tensor


def _vector(name: str, tensor: Matrix | None) -> FloatTensor:
    found = _present(name, tensor)
    if isinstance(found, StoredMatrix):
        raise ModelError(f"tensor {name} is a matrix.")
    return found
