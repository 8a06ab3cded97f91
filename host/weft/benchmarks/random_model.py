# SPDX-License-Identifier: Apache-2.0
"""Models of a given shape with random weights: what a step costs does not depend on the values."""

from collections.abc import Mapping

import numpy as np

from weft.model import Checkpoint, ModelConfig
from weft.model.checkpoint import FloatTensor, LayerWeights
from weft.model.lora import Adapter, LowRank

__all__ = ["random_adapter", "random_checkpoint"]


def random_checkpoint(shape: ModelConfig, seed: int = 1) -> Checkpoint:
    """Normal weights with a spread of 1/sqrt(inputs), gains of 1."""
    rng = np.random.default_rng(seed)

    def tensor(size: tuple[int, ...]) -> FloatTensor:
        if len(size) == 1:
            return np.ones(size, np.float32)
        return rng.standard_normal(size, np.float32) * np.float32(size[1] ** -0.5)

    def layer() -> LayerWeights:
        return LayerWeights(**{name: tensor(s) for name, s in shape.layer_shapes().items()})

    outside = {name: tensor(size) for name, size in shape.model_shapes().items()}
    if shape.tied_embeddings:
        outside["lm_head"] = outside["token_embedding"]
    layers = tuple(layer() for _ in range(shape.n_layers))
    return Checkpoint(config=shape, layers=layers, **outside)


def random_adapter(
    shape: ModelConfig, ranks: Mapping[str, int], *, seed: int = 1, size: float = 0.3
) -> Adapter:
    """Changes of the matrices with a rank, in all layers, about ``size`` times as large as the
    weights of `random_checkpoint`."""
    rng = np.random.default_rng(seed)

    def change(name: str) -> LowRank:
        (outputs, inputs), rank = shape.layer_shapes()[name], ranks[name]
        a = rng.standard_normal((rank, inputs), np.float32) * np.float32(inputs**-0.5)
        b = rng.standard_normal((outputs, rank), np.float32)
        return LowRank(a=a, b=b, scale=size * rank**-0.5)

    keys = [(layer, name) for layer in range(shape.n_layers) for name in ranks]
    return Adapter(name="random", changes={key: change(key[1]) for key in keys})
