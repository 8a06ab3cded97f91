# SPDX-License-Identifier: Apache-2.0
"""Where in a file each tensor of a model lies, by the description of its architecture.

Rotary order: weft rotates interleaved pairs `(2i, 2i + 1)` of a head (`ModelConfig`). Hugging
Face files, and most GGUF files, store the rows of queries and keys so that element `i` pairs with
element `i + rotary_dim / 2` ("half-split"). So row `2i` of a head is the file's row `i`, row
`2i + 1` is its row `i + rotary_dim / 2`, and rows that are not rotated stay. Queries and keys are
permuted alike, so their dot products, and with them the model's outputs, stay what they were.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weft.model.config import ModelConfig
from weft.model.description import Source

__all__ = ["Place", "all_names", "bias_name", "interleaved_rows", "place"]

ROTATED = ("wq", "wk", "q_norm", "k_norm")
BIAS = "_bias"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A tensor's name in the file, the file's shape of it, and which of its rows are meant.

    `shape` is [outputs, inputs], or what there is of it, also where the file is `transposed` or the
    tensor `folded` in it.
    `rows` are in the order of weft; None stands for all as they are.
    """

    name: str
    shape: tuple[int, ...]
    rows: npt.NDArray[np.intp] | None
    transposed: bool
    plus_one: bool
    folded: bool


def place(
    tensors: Mapping[str, Source],
    config: ModelConfig,
    field: str,
    *,
    layer: int = 0,
    interleaved: bool = False,
) -> Place:
    """The place of tensor `field`, which is one of the configuration's `layer_shapes` or
    `model_shapes`; `interleaved` says that the file is in weft's rotary order already."""
    shapes = config.layer_shapes() | config.model_shapes()
    base = field.removesuffix(BIAS)
    source = tensors[base]
    shape = shapes[field]
    rows: npt.NDArray[np.intp] | None = None
    first, total = 0, shape[0]
    if source.stacked:
        counts = [shapes[name][0] for name in source.stacked]
        first, total = sum(counts[: source.stacked.index(base)]), sum(counts)
        rows = np.arange(first, first + shape[0])
    if base in ROTATED and config.positions == "rotary" and not interleaved:
        rows = first + interleaved_rows(shape[0], config.head_dim, rotary_dim(config))
    return Place(
        name=_name(tensors, field, layer),
        shape=(total, *shape[1:]),
        rows=rows,
        transposed=source.transposed and len(shape) > 1,
        plus_one=source.plus_one,
        folded=source.folded,
    )


def all_names(tensors: Mapping[str, Source], config: ModelConfig) -> Iterator[str]:
    """The names of all tensors that a file of the model may hold; a tied head may be there too."""
    for field in config.model_shapes():
        yield _name(tensors, field, 0)
    fields = list(config.layer_shapes())
    for layer in range(config.n_layers):
        for field in fields:
            yield _name(tensors, field, layer)


def bias_name(weight: str) -> str:
    """The name of the bias beside a weight."""
    return weight.removesuffix(".weight") + ".bias"


def _name(tensors: Mapping[str, Source], field: str, layer: int) -> str:
    """A tensor's name in the file; the bias of a weight has its name but for the ending."""
    name = tensors[field.removesuffix(BIAS)].name.format(layer=layer)
    return bias_name(name) if field.endswith(BIAS) else name


def rotary_dim(config: ModelConfig) -> int:
    """How many channels of a head are rotated: all in front of the pairs that turn by 0."""
    frequencies = config.rotation(0).frequencies
    turned = [index for index, value in enumerate(frequencies) if value]
    return 2 * (turned[-1] + 1) if turned else 0


def interleaved_rows(rows: int, head_dim: int, rotary_dim: int) -> npt.NDArray[np.intp]:
    """For each row in weft's order, its place among half-split rows of whole heads."""
    head = np.arange(head_dim)
    head[:rotary_dim] = head[:rotary_dim].reshape(2, -1).T.reshape(-1)
    return (np.arange(rows // head_dim)[:, np.newaxis] * head_dim + head).reshape(-1)
