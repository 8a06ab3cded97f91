# SPDX-License-Identifier: Apache-2.0
"""Turns the metadata of a GGUF file into a `ModelConfig`, or says why it cannot.

Source of the keys: docs/gguf.md of https://github.com/ggml-org/ggml and `Keys` of gguf-py.
"""

import math

from weft.errors import ModelError, shown
from weft.gguf_metadata import Metadata
from weft.model.architectures import ARCHITECTURES
from weft.model.architectures.windows import window
from weft.model.config import ModelConfig
from weft.model.config_checks import check_size
from weft.model.description import Architecture, GGUFForm, GGUFKeys, Settings
from weft.model.gguf_file import GGUFFile
from weft.model.gguf_rope import rotation_settings
from weft.model.places import bias_name

__all__ = ["gguf_architecture", "parse_gguf_config"]

NEUTRAL: dict[str, tuple[object, ...]] = {
    "attention.clamp_kqv": (0,),
    "attention.max_alibi_bias": (0,),
    "attn_logit_softcapping": (0,),
    "embedding_scale": (0, 1),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "final_logit_softcapping": (0,),
    "logit_scale": (0, 1),
    "residual_scale": (0, 1),
    "use_parallel_residual": (False,),
}
"""Keys that change what a model computes, and the values with which they do not. weft computes
none of the others, and ignoring them would give wrong outputs."""


def gguf_architecture(metadata: Metadata) -> tuple[Architecture, GGUFForm]:
    """The description that `general.architecture` asks for."""
    name = metadata.text("general.architecture")
    forms = {each.gguf.name: (each, each.gguf) for each in ARCHITECTURES if each.gguf}
    if name not in forms:
        raise ModelError(
            f"general.architecture is {shown(name)}, but weft runs {', '.join(forms)} from GGUF "
            f"files."
        )
    return forms[name]


def parse_gguf_config(file: GGUFFile) -> ModelConfig:
    """The configuration that a file's metadata describes; which biases there are, and whether there
    is a head of its own, is seen from the tensors.

    Raises `ModelError` for a key that is missing, of the wrong type or out of bounds, and for
    whatever weft does not compute.
    """
    metadata = file.metadata
    architecture, form = gguf_architecture(metadata)
    _check_whole(metadata)
    keys = GGUFKeys(
        metadata=metadata, architecture=form.name, tensors=frozenset(file.tensors), form=form
    )
    embedding = file.tensors.get(form.tensors["token_embedding"].name)
    if embedding is None:
        raise ModelError("the file holds no tensor token_embd.weight.")
    settings = architecture.fixed | _sizes(keys, architecture.fixed, vocab_size=embedding.rows)
    settings["biases"] = _biases(keys)
    if settings.get("head") != "none":
        settings["tied_embeddings"] = form.tensors["lm_head"].name not in file.tensors
    if settings.get("positions") != "learned":
        settings |= rotation_settings(keys, settings, file)
    _check_neutral(keys)
    own = form.settings(keys, settings)
    if "sliding_window" not in own:
        size = keys.integer("attention.sliding_window", 0)
        own |= window(size or None, None, settings["max_context"])
    return ModelConfig(architecture=architecture.name, **(settings | own))


def _sizes(keys: GGUFKeys, fixed: Settings, vocab_size: int) -> Settings:
    dim, n_heads = keys.needed("embedding_length"), keys.needed("attention.head_count")
    n_layers, context = keys.needed("block_count"), keys.needed("context_length")
    for name, value in {
        "n_layers": n_layers,
        "dim": dim,
        "n_heads": n_heads,
        "max_context": context,
    }.items():
        check_size(name, value)
    head_dim = _head_dim(keys, dim, n_heads)
    causal = keys.metadata.boolean(f"{keys.architecture}.attention.causal", True)
    if not causal and fixed.get("causal", True):
        raise ModelError(
            f"{keys.architecture}.attention.causal is false, but weft runs causal ones of this "
            f"architecture."
        )
    kind = "layer_norm" if fixed.get("norm") == "layer" else "layer_norm_rms"
    settings: Settings = {
        "n_layers": n_layers,
        "dim": dim,
        "hidden_dim": keys.needed("feed_forward_length"),
        "n_heads": n_heads,
        "n_kv_heads": keys.integer("attention.head_count_kv", n_heads),
        "head_dim": head_dim,
        "vocab_size": vocab_size,
        "max_context": context,
        "norm_eps": keys.needed_number(f"attention.{kind}_epsilon"),
    }
    scale = keys.number("attention.scale") or 0
    if scale and not math.isclose(scale, 1 / math.sqrt(head_dim), rel_tol=1e-6):
        settings["query_scale"] = scale
    return settings


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


def _head_dim(keys: GGUFKeys, dim: int, n_heads: int) -> int:
    head_dim = keys.integer("attention.key_length") or 0
    if head_dim == 0:
        if dim % n_heads:
            raise ModelError(
                f"{keys.architecture}.embedding_length {dim} is not a multiple of "
                f"{keys.architecture}.attention.head_count {n_heads}, and there is no "
                f"{keys.architecture}.attention.key_length."
            )
        head_dim = dim // n_heads
    check_size("head_dim", head_dim)
    value = keys.integer("attention.value_length", head_dim)
    if value != head_dim:
        raise ModelError(
            f"{keys.architecture}.attention.value_length is {value}, but weft runs heads that are "
            f"{head_dim} wide throughout."
        )
    return head_dim


def _biases(keys: GGUFKeys) -> frozenset[str]:
    """The matrices that have a bias in the first layer, or outside the layers."""
    sources = {f: s for f, s in keys.form.tensors.items() if f.startswith("w") or f == "lm_head"}
    return frozenset(
        field
        for field, source in sources.items()
        if bias_name(source.name.format(layer=0)) in keys.tensors
    )


def _check_neutral(keys: GGUFKeys) -> None:
    metadata = keys.metadata
    for name, neutral in NEUTRAL.items():
        key = f"{keys.architecture}.{name}"
        if key not in metadata or name in keys.form.known:
            continue
        value = metadata.boolean(key) if isinstance(neutral[0], bool) else metadata.number(key)
        if value not in neutral:
            raise ModelError(
                f"{key} is {metadata.shown(key)}, but weft runs models where it is "
                f"{' or '.join(str(item).lower() for item in neutral)}."
            )
