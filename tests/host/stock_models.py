# SPDX-License-Identifier: Apache-2.0
"""Tiny random models of each architecture, made and saved by `transformers` itself."""

from pathlib import Path
from typing import Any

import pytest

__all__ = ["ENCODERS", "IMAGE_ENCODERS", "LANGUAGE_MODELS", "VOCABULARY", "make_stock_model"]

VOCABULARY = 320

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
    "rope_theta": 500.0,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.1, 1.5, 2.0, 3.0, 5.0],
    "long_factor": [2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
}
GPT2: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_embd": 48,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 20, "sliding_window": 5}

LANGUAGE_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", SIZES),
    "llama-untied-heads-of-20": ("Llama", SIZES | {"head_dim": 20, "tie_word_embeddings": False}),
    "llama-biases": ("Llama", SIZES | {"attention_bias": True, "mlp_bias": True}),
    "llama3-scaled": ("Llama", SIZES | {"rope_parameters": LLAMA3}),
    "llama-linear": (
        "Llama",
        SIZES | {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}},
    ),
    "llama-yarn": ("Llama", SIZES | {"rope_parameters": YARN | {"rope_theta": 1e4}}),
    "mistral": ("Mistral", SIZES | {"sliding_window": 5}),
    "mistral-no-window": ("Mistral", SIZES | {"sliding_window": None}),
    "qwen2": ("Qwen2", SIZES | {"tie_word_embeddings": True}),
    "qwen2-windows": (
        "Qwen2",
        SIZES | {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", SIZES | {"head_dim": 16, "tie_word_embeddings": True}),
    "gemma2": ("Gemma2", SIZES | GEMMA),
    "gemma2-no-caps": (
        "Gemma2",
        SIZES | GEMMA | {"attn_logit_softcapping": None, "final_logit_softcapping": None},
    ),
    "gemma2-llama-scale": ("Gemma2", SIZES | GEMMA | {"query_pre_attn_scalar": 16}),
    "gemma3": ("Gemma3Text", SIZES | GEMMA),
    "gemma3-llama-scale": (
        "Gemma3Text",
        SIZES | GEMMA | {"query_pre_attn_scalar": 16, "num_hidden_layers": 7},
    ),
    "gemma3-linear": (
        "Gemma3Text",
        SIZES
        | GEMMA
        | {
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "phi3": ("Phi3", SIZES | {"sliding_window": 6, "tie_word_embeddings": False}),
    "phi3-longrope": (
        "Phi3",
        SIZES
        | {
            "original_max_position_embeddings": 32,
            "rope_parameters": LONGROPE | {"rope_theta": 1e4},
        },
    ),
    "phi3-partial": (
        "Phi3",
        SIZES
        | {
            "hidden_size": 64,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "partial_rotary_factor": 0.75,
            },
        },
    ),
    "gpt2": ("GPT2", GPT2),
    "gpt2-untied-inner": ("GPT2", GPT2 | {"n_inner": 96, "activation_function": "gelu"}),
}
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", {name: SIZES[name] for name in SIZES if "key_value" not in name}),
    "bert-one-type": (
        "Bert",
        {name: SIZES[name] for name in SIZES if "key_value" not in name}
        | {"type_vocab_size": 1, "hidden_act": "gelu_new"},
    ),
}
IMAGE_ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": (
        "ViT",
        {
            "hidden_size": 48,
            "intermediate_size": 80,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": 20,
            "patch_size": 4,
        },
    ),
    "vit-grey-no-biases": (
        "ViT",
        {
            "hidden_size": 32,
            "intermediate_size": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 9,
            "patch_size": 3,
            "num_channels": 1,
            "qkv_bias": False,
        },
    ),
}
CLASSES = {
    "GPT2": "GPT2LMHeadModel",
    "Gemma3Text": "Gemma3ForCausalLM",
    "Bert": "BertModel",
    "ViT": "ViTModel",
}


def make_stock_model(kind: str, folder: Path, **save: Any) -> Any:
    """The `transformers` model, in float32 with plain attention, after `save_pretrained`.

    Every tensor is random, gains and biases too, or whether they are used would not show.
    """
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    name, settings = (LANGUAGE_MODELS | ENCODERS | IMAGE_ENCODERS)[kind]
    config = getattr(transformers, f"{name}Config")(**settings)
    config._attn_implementation = "eager"
    torch.manual_seed(1)
    model = getattr(transformers, CLASSES.get(name, f"{name}ForCausalLM"))(config)
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            gain = tensor.dim() == 1 and key.endswith("weight") and not name.startswith("Gemma")
            tensor.normal_(1.0 if gain else 0.0, 0.2)
    model = model.float().eval()
    model.save_pretrained(folder, **save)
    return model
