# SPDX-License-Identifier: Apache-2.0
"""Turns the metadata of a GGUF file into a `ModelConfig`, or says why it cannot.

Source of the keys: docs/gguf.md of https://github.com/ggml-org/ggml and `Keys` of gguf-py.
"""

import math

from weft.errors import ModelError, shown
from weft.gguf_metadata import Metadata
from weft.model.config import ModelConfig

__all__ = ["ARCHITECTURES", "parse_gguf_config"]

ARCHITECTURES = ("llama",)
"""Values of `general.architecture` that weft runs; Mistral's models are `llama` too."""

NEUTRAL: dict[str, tuple[object, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0,),
    "attention.max_alibi_bias": (0,),
    "attention.scale": (0,),
    "attn_logit_softcapping": (0,),
    "embedding_scale": (0, 1),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "final_logit_softcapping": (0,),
    "logit_scale": (0, 1),
    "pooling_type": (0,),
    "residual_scale": (0, 1),
    "rope.scale_linear": (1,),
    "use_parallel_residual": (False,),
}
"""Keys that change what a model computes, and the values with which they do not. weft computes
none of the others, and ignoring them would give wrong outputs."""


def parse_gguf_config(
    metadata: Metadata, *, vocab_size: int | None, tied_embeddings: bool
) -> ModelConfig:
    """The configuration that a file's metadata describes.

    `vocab_size` is the number of rows of the embedding, None where the file has none; whether there
    is a head of its own is seen from the tensors too.

    Raises `ModelError` for a key that is missing, of the wrong type or out of bounds, and for
    whatever weft does not compute.
    """
    architecture = metadata.text("general.architecture")
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"general.architecture is {shown(architecture)}, but weft runs "
            f"{', '.join(ARCHITECTURES)} from GGUF files."
        )
    _check_whole(metadata)
    if vocab_size is None:
        raise ModelError("the file holds no tensor token_embd.weight.")
    dim = _integer(metadata, f"{architecture}.embedding_length")
    n_heads = _integer(metadata, f"{architecture}.attention.head_count")
    head_dim = _head_dim(metadata, architecture, dim, n_heads)
    context = _integer(metadata, f"{architecture}.context_length")
    _check_supported(metadata, architecture, head_dim, context)
    return ModelConfig(
        architecture=architecture,
        n_layers=_integer(metadata, f"{architecture}.block_count"),
        dim=dim,
        hidden_dim=_integer(metadata, f"{architecture}.feed_forward_length"),
        n_heads=n_heads,
        n_kv_heads=_integer(metadata, f"{architecture}.attention.head_count_kv", default=n_heads),
        head_dim=head_dim,
        vocab_size=vocab_size,
        max_context=context,
        norm_eps=_number(metadata, f"{architecture}.attention.layer_norm_rms_epsilon"),
        rope_theta=_number(metadata, f"{architecture}.rope.freq_base", default=10000.0),
        tied_embeddings=tied_embeddings,
        activation="silu",
    )


def _check_whole(metadata: Metadata) -> None:
    """Refuse parts of models."""
    kind = metadata.text("general.type", "model")
    if kind != "model":
        raise ModelError(f"general.type is {shown(kind)}, but weft runs whole models.")
    parts = metadata.integer("split.count", 1)
    if parts not in (0, 1):
        raise ModelError(
            f"split.count is {parts}, but weft reads models in one file (gguf-split --merge joins "
            f"the parts)."
        )


def _head_dim(metadata: Metadata, architecture: str, dim: int, n_heads: int) -> int:
    key = f"{architecture}.attention.key_length"
    head_dim = _integer(metadata, key, default=0)
    if head_dim == 0:
        if n_heads <= 0 or dim % n_heads:
            raise ModelError(
                f"{architecture}.embedding_length {dim} is not a multiple of "
                f"{architecture}.attention.head_count {n_heads}, and there is no {key}."
            )
        head_dim = dim // n_heads
    for other in ("attention.value_length", "rope.dimension_count"):
        value = _integer(metadata, f"{architecture}.{other}", default=head_dim)
        if value != head_dim:
            raise ModelError(
                f"{architecture}.{other} is {value}, but weft runs heads that are {head_dim} wide "
                f"throughout."
            )
    return head_dim


def _check_supported(metadata: Metadata, architecture: str, head_dim: int, context: int) -> None:
    for name, neutral in NEUTRAL.items():
        key = f"{architecture}.{name}"
        if key not in metadata:
            continue
        value = metadata.boolean(key) if isinstance(neutral[0], bool) else metadata.number(key)
        own_scale = name == "attention.scale" and math.isclose(
            value or 0, 1 / math.sqrt(max(head_dim, 1)), rel_tol=1e-6
        )
        if value not in neutral and not own_scale:
            raise ModelError(
                f"{key} is {metadata.shown(key)}, but weft runs models where it is "
                f"{' or '.join(str(item).lower() for item in neutral)}."
            )
    window = _integer(metadata, f"{architecture}.attention.sliding_window", default=0)
    if 0 < window < context:
        raise ModelError(
            f"{architecture}.attention.sliding_window is {window}, but weft attends to all of the "
            f"{context} positions."
        )
    scaling = metadata.text(f"{architecture}.rope.scaling.type", "linear")
    factor = _number(metadata, f"{architecture}.rope.scaling.factor", default=1.0)
    if scaling != "none" and (scaling != "linear" or factor not in (0, 1)):
        raise ModelError(
            f"{architecture}.rope.scaling.type is {shown(scaling)} with a factor of {factor:g}, "
            f"but weft does not scale rotary embeddings."
        )


def _integer(metadata: Metadata, key: str, default: int | None = None) -> int:
    value = metadata.integer(key, default)
    if value is None:
        raise ModelError(f"metadata key {key} is missing.")
    return value


def _number(metadata: Metadata, key: str, default: float | None = None) -> float:
    value = metadata.number(key, default)
    if value is None:
        raise ModelError(f"metadata key {key} is missing.")
    return value
