# SPDX-License-Identifier: Apache-2.0
"""Phi-3: Llama with joined matrices, LongRoPE, sometimes a window and partly rotated heads."""

from weft.model.architectures.llama import GGUF_TENSORS, TENSORS, decoder_settings
from weft.model.architectures.windows import window
from weft.model.description import (
    Architecture,
    GGUFForm,
    HuggingFaceForm,
    Settings,
    Source,
)
from weft.model.fields import Fields

__all__ = ["PHI3"]

QKV = ("wq", "wk", "wv")
GATE_UP = ("w_gate", "w_up")


def _joined(qkv: str, gate_up: str) -> dict[str, Source]:
    names = {qkv: QKV, gate_up: GATE_UP}
    return {
        field: Source(name=name, stacked=fields)
        for name, fields in names.items()
        for field in fields
    }


def _settings(fields: Fields) -> Settings:
    settings = decoder_settings(fields, norm_eps=1e-5, context=4096)
    size = fields.integer("sliding_window") if "sliding_window" in fields else None
    return settings | window(size, None, settings["max_context"])


PHI3 = Architecture(
    name="phi3",
    fixed={},
    huggingface=HuggingFaceForm(
        classes=("Phi3ForCausalLM",),
        model_type="phi3",
        settings=_settings,
        tensors=TENSORS
        | _joined(
            "model.layers.{layer}.self_attn.qkv_proj.weight",
            "model.layers.{layer}.mlp.gate_up_proj.weight",
        ),
    ),
    gguf=GGUFForm(
        name="phi3",
        tensors=GGUF_TENSORS | _joined("blk.{layer}.attn_qkv.weight", "blk.{layer}.ffn_up.weight"),
    ),
)
