# SPDX-License-Identifier: Apache-2.0
"""Llama 2 and 3, SmolLM, and what most others vary."""

from weft.errors import ModelError, shown
from weft.model.config_checks import check_size
from weft.model.config_words import Activation
from weft.model.description import (
    Architecture,
    GGUFForm,
    HuggingFaceForm,
    Settings,
    sources,
)
from weft.model.fields import Fields
from weft.model.huggingface_rope import rotation_settings

__all__ = ["GGUF_TENSORS", "LLAMA", "TENSORS", "activation", "decoder_settings", "head_size"]

TENSORS = sources(
    {
        "wq": "model.layers.{layer}.self_attn.q_proj.weight",
        "wk": "model.layers.{layer}.self_attn.k_proj.weight",
        "wv": "model.layers.{layer}.self_attn.v_proj.weight",
        "wo": "model.layers.{layer}.self_attn.o_proj.weight",
        "w_gate": "model.layers.{layer}.mlp.gate_proj.weight",
        "w_up": "model.layers.{layer}.mlp.up_proj.weight",
        "w_down": "model.layers.{layer}.mlp.down_proj.weight",
        "attention_norm": "model.layers.{layer}.input_layernorm.weight",
        "ffn_norm": "model.layers.{layer}.post_attention_layernorm.weight",
        "token_embedding": "model.embed_tokens.weight",
        "final_norm": "model.norm.weight",
        "lm_head": "lm_head.weight",
    }
)
GGUF_TENSORS = sources(
    {
        "wq": "blk.{layer}.attn_q.weight",
        "wk": "blk.{layer}.attn_k.weight",
        "wv": "blk.{layer}.attn_v.weight",
        "wo": "blk.{layer}.attn_output.weight",
        "w_gate": "blk.{layer}.ffn_gate.weight",
        "w_up": "blk.{layer}.ffn_up.weight",
        "w_down": "blk.{layer}.ffn_down.weight",
        "attention_norm": "blk.{layer}.attn_norm.weight",
        "ffn_norm": "blk.{layer}.ffn_norm.weight",
        "token_embedding": "token_embd.weight",
        "final_norm": "output_norm.weight",
        "lm_head": "output.weight",
    }
)

ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu_erf",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
"""Names of activations in `transformers`, and what each stands for."""


def activation(fields: Fields, name: str, default: str) -> Activation:
    """The activation that a field names."""
    value = fields.raw(name) if name in fields else default
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise ModelError(f"{name} is {shown(value)}, but weft computes {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[value]


def head_size(fields: Fields, dim: int, n_heads: int, default: int = 0) -> int:
    """`head_dim`, or where there is none `default`, or each head's share of the channels."""
    head_dim = fields.integer("head_dim", default)
    if head_dim == 0:
        if n_heads <= 0 or dim % n_heads:
            raise ModelError(
                f"hidden_size {shown(dim)} is not a multiple of num_attention_heads "
                f"{shown(n_heads)}, and there is no head_dim."
            )
        head_dim = dim // n_heads
    check_size("head_dim", head_dim)
    return head_dim


def decoder_settings(
    fields: Fields,
    *,
    kv_heads: int | None = None,
    head_dim: int = 0,
    norm_eps: float = 1e-6,
    context: int = 2048,
    tied: bool = False,
    theta: float = 10000.0,
    layers: str = "",
) -> Settings:
    """Sizes and constants under the names that Llama's relatives share.

    The keywords are what absent fields stand for in `transformers`; `layers` is as in
    `rotation_settings`.
    """
    dim = fields.integer("hidden_size")
    n_heads = fields.integer("num_attention_heads")
    n_layers = fields.integer("num_hidden_layers")
    check_size("n_layers", n_layers)
    head_dim = head_size(fields, dim, n_heads, head_dim)
    max_context = fields.integer("max_position_embeddings", context)
    check_size("max_context", max_context)
    return {
        "n_layers": n_layers,
        "dim": dim,
        "hidden_dim": fields.integer("intermediate_size"),
        "n_heads": n_heads,
        "n_kv_heads": fields.integer("num_key_value_heads", kv_heads or n_heads),
        "head_dim": head_dim,
        "vocab_size": fields.integer("vocab_size"),
        "max_context": max_context,
        "norm_eps": fields.number("rms_norm_eps", norm_eps),
        "tied_embeddings": fields.boolean("tie_word_embeddings", tied),
        "activation": activation(fields, "hidden_act", "silu"),
    } | rotation_settings(
        fields, head_dim=head_dim, context=max_context, theta=theta, layers=layers
    )


def _settings(fields: Fields) -> Settings:
    attention = {"wq", "wk", "wv", "wo"} if fields.boolean("attention_bias") else set[str]()
    feed_forward = {"w_gate", "w_up", "w_down"} if fields.boolean("mlp_bias") else set[str]()
    return decoder_settings(fields) | {"biases": frozenset(attention | feed_forward)}


LLAMA = Architecture(
    name="llama",
    fixed={},
    huggingface=HuggingFaceForm(
        classes=("LlamaForCausalLM",),
        model_type="llama",
        settings=_settings,
        tensors=TENSORS,
    ),
    gguf=GGUFForm(name="llama", tensors=GGUF_TENSORS, interleaved=True),
)
