# SPDX-License-Identifier: Apache-2.0
"""BERT encoders, such as MiniLM: bidirectional, norms behind the parts, segment embeddings."""

from weft.model.architectures.llama import GGUF_TENSORS, activation, head_size
from weft.model.config_words import Pooling
from weft.model.description import (
    Architecture,
    GGUFForm,
    GGUFKeys,
    HuggingFaceForm,
    Settings,
    sources,
)
from weft.model.fields import Fields

__all__ = ["BERT"]


def _settings(fields: Fields) -> Settings:
    fields.refuse("position_embedding_type", "absolute")
    fields.refuse("is_decoder", False)
    fields.refuse("add_cross_attention", False)
    dim, n_heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    return {
        "n_layers": fields.integer("num_hidden_layers"),
        "dim": dim,
        "hidden_dim": fields.integer("intermediate_size"),
        "n_heads": n_heads,
        "n_kv_heads": n_heads,
        "head_dim": head_size(fields, dim, n_heads),
        "vocab_size": fields.integer("vocab_size"),
        "max_context": fields.integer("max_position_embeddings", 512),
        "norm_eps": fields.number("layer_norm_eps", 1e-12),
        "token_types": fields.integer("type_vocab_size", 2),
        "activation": activation(fields, "hidden_act", "gelu"),
    }


POOLINGS: dict[int, Pooling | None] = {0: None, 1: "mean", 2: "cls"}
"""llama.cpp's numbers."""


def _gguf(keys: GGUFKeys, sizes: Settings) -> Settings:
    types = keys.metadata.integer("tokenizer.ggml.token_type_count", 2)
    return {"token_types": types, "pooling": POOLINGS.get(keys.integer("pooling_type", 0) or 0)}


BERT = Architecture(
    name="bert",
    fixed={
        "norm": "layer",
        "norm_order": "post",
        "feed_forward": "plain",
        "activation": "gelu_erf",
        "biases": frozenset({"wq", "wk", "wv", "wo", "w_up", "w_down"}),
        "causal": False,
        "positions": "learned",
        "embedding_norm": True,
        "head": "none",
    },
    huggingface=HuggingFaceForm(
        classes=("BertModel", "BertForMaskedLM", "BertForPreTraining"),
        model_type="bert",
        settings=_settings,
        tensors=sources(
            {
                "wq": "bert.encoder.layer.{layer}.attention.self.query.weight",
                "wk": "bert.encoder.layer.{layer}.attention.self.key.weight",
                "wv": "bert.encoder.layer.{layer}.attention.self.value.weight",
                "wo": "bert.encoder.layer.{layer}.attention.output.dense.weight",
                "attention_norm": "bert.encoder.layer.{layer}.attention.output.LayerNorm.weight",
                "w_up": "bert.encoder.layer.{layer}.intermediate.dense.weight",
                "w_down": "bert.encoder.layer.{layer}.output.dense.weight",
                "ffn_norm": "bert.encoder.layer.{layer}.output.LayerNorm.weight",
                "token_embedding": "bert.embeddings.word_embeddings.weight",
                "position_embedding": "bert.embeddings.position_embeddings.weight",
                "token_type_embedding": "bert.embeddings.token_type_embeddings.weight",
                "embedding_norm": "bert.embeddings.LayerNorm.weight",
            }
        ),
        prefix="bert.",
        ignored=("*embeddings.position_ids", "*pooler.dense.*", "cls.*"),
    ),
    gguf=GGUFForm(
        name="bert",
        tensors=GGUF_TENSORS
        | sources(
            {
                "attention_norm": "blk.{layer}.attn_output_norm.weight",
                "ffn_norm": "blk.{layer}.layer_output_norm.weight",
                "position_embedding": "position_embd.weight",
                "token_type_embedding": "token_types.weight",
                "embedding_norm": "token_embd_norm.weight",
            }
        ),
        settings=_gguf,
    ),
)
