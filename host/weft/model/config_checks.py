# SPDX-License-Identifier: Apache-2.0
"""What a `ModelConfig` is checked for: each function raises `ModelError` with one sentence."""

from typing import TYPE_CHECKING, get_args

from weft.errors import ModelError, shown
from weft.model import config_words as words

if TYPE_CHECKING:
    from weft.model.config import ModelConfig

__all__ = [
    "check_choices",
    "check_combinations",
    "check_constants",
    "check_rotation",
    "check_size",
    "check_sizes",
]

BOUNDS = {
    "n_layers": 1024,
    "dim": 1 << 16,
    "hidden_dim": 1 << 18,
    "n_heads": 1024,
    "n_kv_heads": 1024,
    "head_dim": 1024,
    "vocab_size": 1 << 20,
    "max_context": 1 << 24,
}
"""Largest accepted value per size; smallest is 1. Far above any model that exists for this class
of machine, and small enough that no product of sizes is ever a surprise."""

MOST_TOKEN_TYPES = 1 << 16
LARGEST_FREQUENCY = 1000.0
"""In radians per position. A frequency above 1 exists only where positions are stretched."""

CONSTANTS = {
    "norm_eps": (0.0, 1.0),
    "rope_theta": (0.0, 1e12),
    "rope_factor": (0.0, 1000.0),
    "embedding_scale": (0.0, 1e4),
    "query_scale": (0.0, 1e4),
    "attention_softcap": (0.0, 1e6),
    "logit_softcap": (0.0, 1e6),
}
"""A constant is greater than the first number and at most the second, or None where that is its
default."""
OPTIONAL = ("query_scale", "attention_softcap", "logit_softcap")
FLAGS = ("tied_embeddings", "qk_norm", "causal", "embedding_norm")


def check_size(name: str, value: object) -> None:
    """A count is an integer within its bounds; for loaders that use it before there is a config."""
    _check_integer(name, value, 1, BOUNDS[name])


def check_sizes(config: "ModelConfig") -> None:
    """Counts are integers within their bounds, and query heads can share key/value heads."""
    for name in BOUNDS:
        check_size(name, getattr(config, name))
    _check_integer("token_types", config.token_types, 0, MOST_TOKEN_TYPES)
    if config.n_heads % config.n_kv_heads:
        raise ModelError(
            f"n_heads is {config.n_heads}, which is not a multiple of n_kv_heads "
            f"{config.n_kv_heads}."
        )


def check_choices(config: "ModelConfig") -> None:
    """Words are among those that weft knows, flags are true or false."""
    choices: dict[str, object] = {
        "activation": words.Activation,
        "norm": words.NormKind,
        "norm_order": words.NormOrder,
        "feed_forward": words.FeedForward,
        "positions": words.Positions,
        "head": words.HeadKind,
    }
    for name, kind in choices.items():
        _check_word(name, getattr(config, name), get_args(kind))
    if config.pooling is not None:
        _check_word("pooling", config.pooling, get_args(words.Pooling))
    for name in FLAGS:
        _check_flag(name, getattr(config, name))


def check_constants(config: "ModelConfig") -> None:
    """Real numbers are finite and within their bounds."""
    for name, (low, high) in CONSTANTS.items():
        value: object = getattr(config, name)
        if not (value is None and name in OPTIONAL):
            _check_real(name, value, low=low, high=high)


def check_rotation(config: "ModelConfig") -> None:
    """Frequencies fit the heads, windows fit the layers."""
    if config.positions == "rotary" and config.head_dim % 2:
        raise ModelError(
            f"head_dim is {config.head_dim}, but rotary embedding needs an even number."
        )
    for name in ("rope_frequencies", "rope_frequencies_local"):
        _check_frequencies(name, getattr(config, name), config)
    if config.sliding_window is not None:
        _check_integer("sliding_window", config.sliding_window, 1, BOUNDS["max_context"])
    for name in ("sliding_layers", "rope_frequencies_local"):
        if config.sliding_window is None and getattr(config, name) is not None:
            raise ModelError(f"{name} is given, but there is no sliding_window.")
    layers = config.sliding_layers
    if layers is not None:
        if len(layers) != config.n_layers:
            raise ModelError(
                f"sliding_layers names {len(layers)} layers, but n_layers is {config.n_layers}."
            )
        for index, value in enumerate(layers):
            _check_flag(f"sliding_layers[{index}]", value)


def check_combinations(config: "ModelConfig") -> None:
    """What contradicts each other, or exists in no model, is refused."""
    known = {*config.matrices, "lm_head"} if config.head == "lm" else {*config.matrices}
    for name in sorted(config.biases):
        if name not in known:
            raise ModelError(
                f"biases names {shown(name)}, but the matrices of this model are "
                f"{', '.join(sorted(known))}."
            )
    if config.qk_norm and config.norm != "rms":
        raise ModelError(f"qk_norm is true, but norm is {config.norm!r} and not 'rms'.")
    if config.head == "none" and config.tied_embeddings:
        raise ModelError("tied_embeddings is true, but head is 'none'.")
    if config.head == "lm" and not config.causal:
        raise ModelError("head is 'lm', but a model that is not causal has none.")
    if config.head == "lm" and config.pooling is not None:
        raise ModelError(f"pooling is {config.pooling!r}, but head is 'lm' and not 'none'.")
    if config.image is not None:
        if config.positions != "learned" or config.head != "none":
            raise ModelError("image is given, but only encoders with learned positions take one.")
        if (config.vocab_size, config.max_context) != (1, config.image.patches + 1):
            raise ModelError(
                f"vocab_size is {config.vocab_size} and max_context {config.max_context}, but an "
                f"image of {config.image.patches} patches stands behind one token."
            )
    if config.sliding_window is not None and not config.causal:
        raise ModelError("sliding_window is given, but only causal models have one.")


def _check_frequencies(name: str, values: tuple[float, ...] | None, config: "ModelConfig") -> None:
    if values is None:
        return
    if config.positions != "rotary":
        raise ModelError(f"{name} is given, but positions is {config.positions!r}.")
    if len(values) != config.head_dim // 2:
        raise ModelError(
            f"{name} has {len(values)} numbers, but heads have {config.head_dim // 2} pairs."
        )
    for index, value in enumerate(values):
        if not 0.0 <= value <= LARGEST_FREQUENCY:  # true for NaN too
            raise ModelError(
                f"{name}[{index}] is {shown(value)}, but must be between 0 and "
                f"{LARGEST_FREQUENCY:g}."
            )


def _check_integer(name: str, value: object, least: int, largest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelError(f"{name} is {shown(value)}, but must be an integer.")
    if not least <= value <= largest:
        raise ModelError(f"{name} is {shown(value)}, but must be between {least} and {largest}.")


def _check_real(name: str, value: object, *, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError(f"{name} is {shown(value)}, but must be a number.")
    if not low < value <= high:  # false for NaN and infinities too
        raise ModelError(
            f"{name} is {shown(value)}, but must be greater than {low:g} and at most {high:g}."
        )


def _check_word(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ModelError(f"{name} is {shown(value)}, but weft knows {', '.join(known)}.")


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ModelError(f"{name} is {shown(value)}, but must be true or false.")
