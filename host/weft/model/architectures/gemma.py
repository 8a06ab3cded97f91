# SPDX-License-Identifier: Apache-2.0
"""Gemma 2 and 3: norms on both sides of each part, windows in most layers, a scaled embedding.

Hugging Face stores gains as their difference from 1, llama.cpp whole.
"""

import math

from weft.errors import ModelError
from weft.model.architectures.llama import GGUF_TENSORS, TENSORS, activation, decoder_settings
from weft.model.architectures.windows import layer_types
from weft.model.config_checks import BOUNDS
from weft.model.description import (
    Architecture,
    GGUFForm,
    GGUFKeys,
    HuggingFaceForm,
    Settings,
    Source,
    sources,
)
from weft.model.fields import Fields
from weft.model.huggingface_rope import rotation_settings
from weft.model.rope import base_frequencies

__all__ = ["GEMMA2", "GEMMA3"]

NORMS = {
    "attention_norm": "model.layers.{layer}.input_layernorm.weight",
    "attention_post_norm": "model.layers.{layer}.post_attention_layernorm.weight",
    "ffn_norm": "model.layers.{layer}.pre_feedforward_layernorm.weight",
    "ffn_post_norm": "model.layers.{layer}.post_feedforward_layernorm.weight",
    "final_norm": "model.norm.weight",
}
QK_NORMS = {
    "q_norm": "model.layers.{layer}.self_attn.q_norm.weight",
    "k_norm": "model.layers.{layer}.self_attn.k_norm.weight",
}
GGUF_NORMS = {
    "attention_post_norm": "blk.{layer}.post_attention_norm.weight",
    "ffn_post_norm": "blk.{layer}.post_ffw_norm.weight",
}
GGUF_QK_NORMS = {
    "q_norm": "blk.{layer}.attn_q_norm.weight",
    "k_norm": "blk.{layer}.attn_k_norm.weight",
}
CAPS = ("attn_logit_softcapping", "final_logit_softcapping")
LOCAL_THETA = 10000.0
"""Of the layers with a window."""


def _gains(names: dict[str, str]) -> dict[str, Source]:
    return {field: Source(name=name, plus_one=True) for field, name in names.items()}


def _settings(fields: Fields, *, caps: tuple[float, float] | None, every: int) -> Settings:
    """`caps` are the defaults of attention's and logits' soft caps; each layer of number `every`,
    2 * `every` and so on has no window."""
    fields.refuse("use_bidirectional_attention", False)
    gemma3 = caps is None
    settings = decoder_settings(
        fields,
        kv_heads=4,
        head_dim=256,
        context=131072 if gemma3 else 8192,
        tied=True,
        theta=1e6 if gemma3 else 10000.0,
        layers="full_attention" if gemma3 else "",
    )
    settings["activation"] = activation(fields, "hidden_activation", "gelu_pytorch_tanh")
    if fields.boolean("attention_bias"):
        settings["biases"] = frozenset({"wq", "wk", "wv", "wo"})
    for index, name in enumerate(CAPS):
        field = ("attention_softcap", "logit_softcap")[index]
        if not fields.is_null(name) and (caps is not None or name in fields):
            settings[field] = fields.positive(name, caps[index] if caps else None)
    scalar = fields.positive("query_pre_attn_scalar", 256.0)
    return settings | {
        "embedding_scale": math.sqrt(min(max(settings["dim"], 1), BOUNDS["dim"])),
        "query_scale": scalar**-0.5,
        "sliding_window": fields.integer("sliding_window", 4096),
        "sliding_layers": layer_types(
            fields, settings["n_layers"], lambda layer: (layer + 1) % every != 0
        ),
    }


def _gemma2(fields: Fields) -> Settings:
    return _settings(fields, caps=(50.0, 30.0), every=2)


def _gemma3(fields: Fields) -> Settings:
    every = fields.integer("sliding_window_pattern", 6)
    if every < 1:
        raise ModelError(f"sliding_window_pattern is {every}, but must be at least 1.")
    settings = _settings(fields, caps=None, every=every)
    local = rotation_settings(
        _local(fields),
        head_dim=settings["head_dim"],
        context=settings["max_context"],
        theta=fields.positive("rope_local_base_freq", LOCAL_THETA),
        layers="sliding_attention",
    )
    plain = base_frequencies(local["rope_theta"], settings["head_dim"])
    return settings | {"rope_frequencies_local": local.get("rope_frequencies", plain)}


def _local(fields: Fields) -> Fields:
    """Only newer files say how layers with a window are turned; the older fields are of others."""
    return Fields({"rope_parameters": fields.raw("rope_parameters")})


def _gguf(keys: GGUFKeys, sizes: Settings) -> Settings:
    """What llama.cpp knows about these models without a key."""
    every, largest = (2, 46) if keys.architecture == "gemma2" else (6, 62)
    heads = sizes["n_heads"]
    queries = sizes["dim"] / heads if sizes["n_layers"] == largest else sizes["head_dim"]
    layers = tuple((layer + 1) % every != 0 for layer in range(sizes["n_layers"]))
    window = keys.integer("attention.sliding_window", 4096 if every == 2 else None)
    settings: Settings = {
        "embedding_scale": math.sqrt(sizes["dim"]),
        "query_scale": keys.number("attention.scale") or queries**-0.5,
        "sliding_window": window,
        "sliding_layers": None if window is None else layers,
    }
    if keys.architecture == "gemma2":
        settings["attention_softcap"] = keys.number("attn_logit_softcapping", 50.0)
        settings["logit_softcap"] = keys.number("final_logit_softcapping", 30.0)
    elif window is not None:
        theta = keys.number("rope.freq_base_swa", LOCAL_THETA) or LOCAL_THETA
        settings["rope_frequencies_local"] = base_frequencies(theta, sizes["head_dim"])
    return settings


GEMMA2 = Architecture(
    name="gemma2",
    fixed={"norm_order": "sandwich", "activation": "gelu_tanh"},
    huggingface=HuggingFaceForm(
        classes=("Gemma2ForCausalLM",),
        model_type="gemma2",
        settings=_gemma2,
        tensors=TENSORS | _gains(NORMS),
    ),
    gguf=GGUFForm(
        name="gemma2",
        tensors=GGUF_TENSORS | sources(GGUF_NORMS),
        settings=_gguf,
        known=CAPS,
    ),
)

GEMMA3 = Architecture(
    name="gemma3",
    fixed={"norm_order": "sandwich", "activation": "gelu_tanh", "qk_norm": True},
    huggingface=HuggingFaceForm(
        classes=("Gemma3ForCausalLM",),
        model_type="gemma3_text",
        settings=_gemma3,
        tensors=TENSORS | _gains(NORMS | QK_NORMS),
    ),
    gguf=GGUFForm(
        name="gemma3",
        tensors=GGUF_TENSORS | sources(GGUF_NORMS | GGUF_QK_NORMS),
        settings=_gguf,
    ),
)
