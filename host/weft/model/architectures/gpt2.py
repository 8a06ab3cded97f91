# SPDX-License-Identifier: Apache-2.0
"""GPT-2: LayerNorm, learned positions, a plain feed-forward part, biases everywhere."""

from weft.model.architectures.llama import GGUF_TENSORS, activation, head_size
from weft.model.description import (
    Architecture,
    GGUFForm,
    HuggingFaceForm,
    Settings,
    Source,
    sources,
)
from weft.model.fields import Fields

__all__ = ["GPT2"]

QKV = ("wq", "wk", "wv")


def _settings(fields: Fields) -> Settings:
    fields.refuse("scale_attn_weights", True)
    fields.refuse("scale_attn_by_inverse_layer_idx", False)
    fields.refuse("add_cross_attention", False)
    dim, n_heads = fields.integer("n_embd", 768), fields.integer("n_head", 12)
    return {
        "n_layers": fields.integer("n_layer", 12),
        "dim": dim,
        "hidden_dim": fields.integer("n_inner", 4 * dim),
        "n_heads": n_heads,
        "n_kv_heads": n_heads,
        "head_dim": head_size(fields, dim, n_heads),
        "vocab_size": fields.integer("vocab_size", 50257),
        "max_context": fields.integer("n_positions", 1024),
        "norm_eps": fields.number("layer_norm_epsilon", 1e-5),
        "tied_embeddings": fields.boolean("tie_word_embeddings", True),
        "activation": activation(fields, "activation_function", "gelu_new"),
    }


def _matrix(name: str, stacked: tuple[str, ...] = ()) -> Source:
    """A layer called Conv1D, which is stored [inputs, outputs]."""
    return Source(name=f"transformer.h.{{layer}}.{name}.weight", stacked=stacked, transposed=True)


TENSORS = {
    **{field: _matrix("attn.c_attn", QKV) for field in QKV},
    "wo": _matrix("attn.c_proj"),
    "w_up": _matrix("mlp.c_fc"),
    "w_down": _matrix("mlp.c_proj"),
    **sources(
        {
            "attention_norm": "transformer.h.{layer}.ln_1.weight",
            "ffn_norm": "transformer.h.{layer}.ln_2.weight",
            "token_embedding": "transformer.wte.weight",
            "position_embedding": "transformer.wpe.weight",
            "final_norm": "transformer.ln_f.weight",
            "lm_head": "lm_head.weight",
        }
    ),
}

GPT2 = Architecture(
    name="gpt2",
    fixed={
        "norm": "layer",
        "feed_forward": "plain",
        "positions": "learned",
        "activation": "gelu_tanh",
        "biases": frozenset({"wq", "wk", "wv", "wo", "w_up", "w_down"}),
    },
    huggingface=HuggingFaceForm(
        classes=("GPT2LMHeadModel",),
        model_type="gpt2",
        settings=_settings,
        tensors=TENSORS,
        prefix="transformer.",
        ignored=("*h.*.attn.bias", "*h.*.attn.masked_bias"),
    ),
    gguf=GGUFForm(
        name="gpt2",
        tensors=GGUF_TENSORS
        | {field: Source(name="blk.{layer}.attn_qkv.weight", stacked=QKV) for field in QKV}
        | sources({"position_embedding": "position_embd.weight"}),
    ),
)
