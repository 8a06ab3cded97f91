# SPDX-License-Identifier: Apache-2.0
"""Qwen 2 and 2.5 have biases of queries, keys and values; Qwen 3 norms queries and keys instead."""

from weft.model.architectures.llama import GGUF_TENSORS, TENSORS, decoder_settings
from weft.model.architectures.windows import layer_types, window
from weft.model.description import (
    Architecture,
    GGUFForm,
    HuggingFaceForm,
    Settings,
    sources,
)
from weft.model.fields import Fields

__all__ = ["QWEN2", "QWEN3"]


def _windows(fields: Fields, settings: Settings) -> Settings:
    if not fields.boolean("use_sliding_window"):
        return {}
    null = fields.is_null("sliding_window")
    size = None if null else fields.integer("sliding_window", 4096)
    first = fields.integer("max_window_layers", 28)
    layers = layer_types(fields, settings["n_layers"], lambda layer: layer >= first)
    return window(size, layers, settings["max_context"])


def _qwen2(fields: Fields) -> Settings:
    settings = decoder_settings(fields, kv_heads=32, context=32768)
    return settings | _windows(fields, settings)


def _qwen3(fields: Fields) -> Settings:
    settings = decoder_settings(fields, kv_heads=32, head_dim=128, context=32768)
    biased = {"wq", "wk", "wv", "wo"} if fields.boolean("attention_bias") else set[str]()
    return settings | _windows(fields, settings) | {"biases": frozenset(biased)}


QWEN2 = Architecture(
    name="qwen2",
    fixed={"biases": frozenset({"wq", "wk", "wv"})},
    huggingface=HuggingFaceForm(
        classes=("Qwen2ForCausalLM",),
        model_type="qwen2",
        settings=_qwen2,
        tensors=TENSORS,
    ),
    gguf=GGUFForm(name="qwen2", tensors=GGUF_TENSORS),
)

QWEN3 = Architecture(
    name="qwen3",
    fixed={"qk_norm": True},
    huggingface=HuggingFaceForm(
        classes=("Qwen3ForCausalLM",),
        model_type="qwen3",
        settings=_qwen3,
        tensors=TENSORS
        | sources(
            {
                "q_norm": "model.layers.{layer}.self_attn.q_norm.weight",
                "k_norm": "model.layers.{layer}.self_attn.k_norm.weight",
            }
        ),
    ),
    gguf=GGUFForm(
        name="qwen3",
        tensors=GGUF_TENSORS
        | sources(
            {
                "q_norm": "blk.{layer}.attn_q_norm.weight",
                "k_norm": "blk.{layer}.attn_k_norm.weight",
            }
        ),
    ),
)
