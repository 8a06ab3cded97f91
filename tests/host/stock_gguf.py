# SPDX-License-Identifier: Apache-2.0
"""Writes models of `transformers` as llama.cpp's converter does; names are the `gguf` package's."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np

__all__ = ["KINDS", "write_stock_gguf"]

KINDS = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "llama-biases": gguf.MODEL_ARCH.LLAMA,
    "llama3-scaled": gguf.MODEL_ARCH.LLAMA,
    "llama-linear": gguf.MODEL_ARCH.LLAMA,
    "llama-yarn": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma2-llama-scale": gguf.MODEL_ARCH.GEMMA2,
    "gemma3-llama-scale": gguf.MODEL_ARCH.GEMMA3,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "phi3-longrope": gguf.MODEL_ARCH.PHI3,
    "phi3-partial": gguf.MODEL_ARCH.PHI3,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "bert": gguf.MODEL_ARCH.BERT,
}
"""Which architecture of GGUF each of `stock_models` becomes."""


def write_stock_gguf(kind: str, model: Any, path: Path) -> None:
    """The model in float32."""
    architecture, config = KINDS[kind], model.config
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    _write_keys(writer, config, architecture)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for key, tensor in model.state_dict().items():
        if "pooler" in key or (key == "lm_head.weight" and config.tie_word_embeddings):
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert name is not None, key
        array = tensor.numpy()
        writer.add_tensor(name, np.ascontiguousarray(_converted(key, array, config, architecture)))
    rope = getattr(config, "rope_parameters", None) or {}
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if rope.get("rope_type") == "llama3":
        plain = rope["rope_theta"] ** (-np.arange(0, head_dim, 2) / head_dim)
        factors = plain / model.model.rotary_emb.inv_freq.numpy()
        writer.add_tensor("rope_freqs.weight", factors.astype(np.float32))
    if rope.get("rope_type") == "longrope":
        for word in ("short", "long"):
            factors = np.asarray(rope[f"{word}_factor"], np.float32)
            writer.add_tensor(f"rope_factors_{word}.weight", factors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _converted(key: str, array: np.ndarray, config: Any, architecture: Any) -> np.ndarray:
    """What the converter makes of one tensor."""
    arch = gguf.MODEL_ARCH
    if architecture == arch.LLAMA and ("q_proj" in key or "k_proj" in key):
        heads = config.num_attention_heads if "q_proj" in key else config.num_key_value_heads
        halves = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
        return halves.swapaxes(1, 2).reshape(array.shape)
    if architecture in (arch.GEMMA2, arch.GEMMA3) and key.endswith("norm.weight"):
        return array + 1
    if architecture == arch.GPT2 and array.ndim == 2 and (".attn." in key or ".mlp." in key):
        return array.T
    return array


def _write_keys(writer: gguf.GGUFWriter, config: Any, architecture: Any) -> None:
    arch = gguf.MODEL_ARCH
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if architecture in (arch.GPT2, arch.BERT):
        gpt2 = architecture == arch.GPT2
        writer.add_feed_forward_length(4 * config.hidden_size if gpt2 else config.intermediate_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon if gpt2 else config.layer_norm_eps)
        if not gpt2:
            writer.add_causal_attention(False)
            writer.add_pooling_type(gguf.PoolingType.CLS)
            writer.add_token_type_count(config.type_vocab_size)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if architecture != arch.PHI3:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    rope = config.rope_parameters
    if "full_attention" in rope:
        rope = rope["full_attention"]
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    kinds = {"linear": gguf.RopeScalingType.LINEAR, "yarn": gguf.RopeScalingType.YARN}
    if rope["rope_type"] in kinds:
        writer.add_rope_scaling_type(kinds[rope["rope_type"]])
        writer.add_rope_scaling_factor(rope["factor"])
    original = rope.get("original_max_position_embeddings")
    if original:
        writer.add_rope_scaling_orig_ctx_len(original)
    if rope["rope_type"] == "longrope":
        scale = config.max_position_embeddings / original
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(scale) / np.log(original))))
    window = getattr(config, "sliding_window", None)
    if window:
        writer.add_sliding_window(window)
    if architecture == arch.GEMMA2:
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
