# SPDX-License-Identifier: Apache-2.0
"""ViT image encoders: one learned token, then the patches of an image."""

from weft.model.architectures.llama import activation, head_size
from weft.model.description import Architecture, HuggingFaceForm, Settings, Source, sources
from weft.model.fields import Fields
from weft.model.image_shape import ImageShape

__all__ = ["VIT"]


def _settings(fields: Fields) -> Settings:
    dim, n_heads = fields.integer("hidden_size", 768), fields.integer("num_attention_heads", 12)
    image = ImageShape(
        size=fields.integer("image_size", 224),
        patch=fields.integer("patch_size", 16),
        channels=fields.integer("num_channels", 3),
    )
    qkv = {"wq", "wk", "wv"} if fields.boolean("qkv_bias", True) else set[str]()
    return {
        "n_layers": fields.integer("num_hidden_layers", 12),
        "dim": dim,
        "hidden_dim": fields.integer("intermediate_size", 3072),
        "n_heads": n_heads,
        "n_kv_heads": n_heads,
        "head_dim": head_size(fields, dim, n_heads),
        "max_context": image.patches + 1,
        "norm_eps": fields.number("layer_norm_eps", 1e-12),
        "activation": activation(fields, "hidden_act", "gelu"),
        "biases": frozenset({"wo", "w_up", "w_down"} | qkv),
        "image": image,
    }


VIT = Architecture(
    name="vit",
    fixed={
        "vocab_size": 1,
        "norm": "layer",
        "feed_forward": "plain",
        "causal": False,
        "positions": "learned",
        "head": "none",
        "pooling": "cls",
    },
    huggingface=HuggingFaceForm(
        classes=("ViTModel", "ViTForImageClassification"),
        model_type="vit",
        settings=_settings,
        tensors=sources(
            {
                "wq": "vit.encoder.layer.{layer}.attention.attention.query.weight",
                "wk": "vit.encoder.layer.{layer}.attention.attention.key.weight",
                "wv": "vit.encoder.layer.{layer}.attention.attention.value.weight",
                "wo": "vit.encoder.layer.{layer}.attention.output.dense.weight",
                "w_up": "vit.encoder.layer.{layer}.intermediate.dense.weight",
                "w_down": "vit.encoder.layer.{layer}.output.dense.weight",
                "attention_norm": "vit.encoder.layer.{layer}.layernorm_before.weight",
                "ffn_norm": "vit.encoder.layer.{layer}.layernorm_after.weight",
                "token_embedding": Source(name="vit.embeddings.cls_token", folded=True),
                "position_embedding": Source(
                    name="vit.embeddings.position_embeddings", folded=True
                ),
                "patch_embedding": Source(
                    name="vit.embeddings.patch_embeddings.projection.weight", folded=True
                ),
                "final_norm": "vit.layernorm.weight",
            }
        ),
        prefix="vit.",
        ignored=("*pooler.dense.*", "classifier.*", "*embeddings.mask_token"),
    ),
)
