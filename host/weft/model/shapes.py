# SPDX-License-Identifier: Apache-2.0
"""Shapes of well-known models, for forecasts and benchmarks: no weights."""

from typing import Any

from weft.model.config import ModelConfig
from weft.model.rope import base_frequencies

__all__ = ["ENCODER_SHAPES", "KNOWN_SHAPES"]

_QWEN2 = frozenset({"wq", "wk", "wv"})


def _shape(
    n_layers: int,
    dim: int,
    hidden_dim: int,
    heads: tuple[int, int, int],
    vocab_size: int,
    max_context: int,
    *,
    tied: bool = True,
    **more: Any,
) -> ModelConfig:
    """``heads``: query heads, KV heads, channels of a head."""
    return ModelConfig(
        n_layers=n_layers,
        dim=dim,
        hidden_dim=hidden_dim,
        n_heads=heads[0],
        n_kv_heads=heads[1],
        head_dim=heads[2],
        vocab_size=vocab_size,
        max_context=max_context,
        tied_embeddings=tied,
        **more,
    )


def _gemma3(n_layers: int, dim: int, hidden_dim: int, heads: tuple[int, int, int]) -> ModelConfig:
    """Five layers with a window of 512 positions and turned by frequencies of their own, then one
    without."""
    return _shape(
        *(n_layers, dim, hidden_dim, heads, 262144, 32768),
        architecture="gemma3",
        activation="gelu_tanh",
        norm_order="sandwich",
        norm_eps=1e-6,
        qk_norm=True,
        embedding_scale=dim**0.5,
        query_scale=heads[2] ** -0.5,
        rope_theta=1e6,
        rope_frequencies_local=base_frequencies(1e4, heads[2]),
        sliding_window=512,
        sliding_layers=tuple((layer + 1) % 6 != 0 for layer in range(n_layers)),
    )


KNOWN_SHAPES: dict[str, ModelConfig] = {
    "stories260k": _shape(5, 64, 172, (8, 4, 8), 512, 512),
    "stories15m": _shape(6, 288, 768, (6, 6, 48), 32000, 256),
    "stories42m": _shape(8, 512, 1376, (8, 8, 64), 32000, 1024),
    "stories110m": _shape(12, 768, 2048, (12, 12, 64), 32000, 1024),
    "smollm2-135m": _shape(30, 576, 1536, (9, 3, 64), 49152, 8192),
    "smollm2-360m": _shape(32, 960, 2560, (15, 5, 64), 49152, 8192),
    "qwen2.5-0.5b": _shape(24, 896, 4864, (14, 2, 64), 151936, 32768, biases=_QWEN2),
    "tinyllama-1.1b": _shape(22, 2048, 5632, (32, 4, 64), 32000, 2048, tied=False),
    "gemma-3-270m": _gemma3(18, 640, 2048, (4, 1, 256)),
    "gemma-3-1b": _gemma3(26, 1152, 6912, (4, 1, 256)),
    "llama-3.2-1b": _shape(16, 2048, 8192, (32, 8, 64), 128256, 131072),
    "llama-2-7b": _shape(32, 4096, 11008, (32, 32, 128), 32000, 4096, tied=False),
}
"""By the name that people give them."""
ENCODER_SHAPES: dict[str, ModelConfig] = {
    "minilm-l6": _shape(
        *(6, 384, 1536, (12, 12, 32), 30522, 512),
        tied=False,
        architecture="bert",
        activation="gelu_erf",
        norm="layer",
        norm_order="post",
        norm_eps=1e-12,
        feed_forward="plain",
        biases=frozenset({"wq", "wk", "wv", "wo", "w_up", "w_down"}),
        causal=False,
        positions="learned",
        token_types=2,
        embedding_norm=True,
        head="none",
        pooling="mean",
    ),
}
"""Encoders, likewise."""
