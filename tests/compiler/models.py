# SPDX-License-Identifier: Apache-2.0
"""Small random models, and running them on the reference."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.compiler import CompiledModel, compile_model
from weft.model import Checkpoint, LayerWeights, ModelConfig
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft_arch.config import Configuration, preset
from weft_sim.reference import ReferenceDevice

__all__ = ["BERT", "SMALL", "compiled", "model_config", "random_model", "runner", "tokens"]

SMALL: dict[str, Any] = {
    "n_layers": 2,
    "dim": 64,
    "hidden_dim": 96,
    "n_heads": 4,
    "n_kv_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "max_context": 80,
    "tied_embeddings": True,
}

BERT: dict[str, Any] = {
    "architecture": "bert",
    "head": "none",
    "causal": False,
    "positions": "learned",
    "norm": "layer",
    "norm_order": "post",
    "embedding_norm": True,
    "token_types": 2,
    "feed_forward": "plain",
    "activation": "gelu_erf",
    "biases": frozenset({"wq", "wk", "wv", "wo", "w_up", "w_down"}),
    "tied_embeddings": False,
    "pooling": "mean",
    "n_kv_heads": 4,
}
"""Changes that make the small model an encoder."""


def model_config(**changes: Any) -> ModelConfig:
    """The shape of a small model with some changes."""
    return ModelConfig(**(SMALL | changes))


def random_model(config: ModelConfig, seed: int = 1) -> Checkpoint:
    """Random weights that keep activations of ordinary size, gains around 1, biases around 0."""
    rng = np.random.default_rng(seed)

    def tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
        return {name: tensor(name, shape) for name, shape in shapes.items()}

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            mean = 0 if name.endswith("_bias") else 1
            return rng.normal(mean, 0.1, shape).astype(np.float32)
        spread = 6 if name.endswith("_embedding") else 1.5
        return rng.normal(0, spread / shape[1] ** 0.5, shape).astype(np.float32)

    outside = tensors(config.model_shapes())
    if config.tied_embeddings:
        outside["lm_head"] = outside["token_embedding"]
    layers = tuple(LayerWeights(**tensors(config.layer_shapes())) for _ in range(config.n_layers))
    return Checkpoint(config=config, layers=layers, **outside)


def compiled(
    model: Checkpoint | None = None,
    config: Configuration | str = "default",
    weights: WeightFormat = WeightFormat.W8,
    **more: Any,
) -> CompiledModel:
    """A compiled model; the small one by default."""
    chosen = preset(config) if isinstance(config, str) else config
    return compile_model(model or random_model(model_config()), chosen, weights, **more)


def runner(of: CompiledModel) -> ModelRunner:
    """The model on a reference device of its own."""
    return ModelRunner(of, ReferenceDevice(of.config, memory_bytes=of.memory.size + 4096))


def tokens(n: int, vocab_size: int = SMALL["vocab_size"], seed: int = 0) -> Sequence[int]:
    """Random token ids."""
    return np.random.default_rng(seed).integers(0, vocab_size, n).tolist()
