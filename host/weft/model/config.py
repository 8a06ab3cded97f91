# SPDX-License-Identifier: Apache-2.0
"""The shape of a model, free of any file format."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

from weft.errors import ModelError, shown

__all__ = ["Activation", "ModelConfig"]

Activation = Literal["silu", "gelu_tanh", "gelu_erf"]
"""Activation of the gated feed-forward layer; `gelu_erf` is the exact form of GELU."""

_BOUNDS = {
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


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape and constants of a Llama-family model.

    Checked once on construction; raises `ModelError` with a sentence that names the field, its
    value and the bound.

    Rotary convention: weft rotates **interleaved** pairs. Elements `2i` and `2i + 1` of a head
    form the pair that is turned by `position * rope_theta ** (-2i / head_dim)`. Loaders of formats
    with another convention permute the rows of `wq` and `wk`, so nothing after them needs to know.
    """

    n_layers: int
    dim: int
    hidden_dim: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab_size: int
    max_context: int
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    tied_embeddings: bool = False
    activation: Activation = "silu"
    architecture: str = "llama"

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            if field.name in _BOUNDS:
                _check_size(field.name, value, _BOUNDS[field.name])
        if self.n_heads % self.n_kv_heads:
            raise ModelError(
                f"n_heads is {self.n_heads}, which is not a multiple of n_kv_heads "
                f"{self.n_kv_heads}."
            )
        if self.head_dim % 2:
            raise ModelError(
                f"head_dim is {self.head_dim}, but rotary embedding needs an even number."
            )
        _check_real("norm_eps", self.norm_eps, low=0.0, high=1.0)
        _check_real("rope_theta", self.rope_theta, low=0.0, high=1e12)
        if self.activation not in get_args(Activation):
            raise ModelError(
                f"activation is {shown(self.activation)}, but weft knows "
                f"{', '.join(get_args(Activation))}."
            )

    @property
    def q_dim(self) -> int:
        """Output channels of `wq`, which are the input channels of `wo`."""
        return self.n_heads * self.head_dim

    @property
    def kv_dim(self) -> int:
        """Output channels of `wk` and of `wv`."""
        return self.n_kv_heads * self.head_dim

    @property
    def heads_per_kv_head(self) -> int:
        """How many query heads share one key/value head."""
        return self.n_heads // self.n_kv_heads

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor of one layer; a matrix is [output channels, input channels]."""
        return {
            "wq": (self.q_dim, self.dim),
            "wk": (self.kv_dim, self.dim),
            "wv": (self.kv_dim, self.dim),
            "wo": (self.dim, self.q_dim),
            "w_gate": (self.hidden_dim, self.dim),
            "w_up": (self.hidden_dim, self.dim),
            "w_down": (self.dim, self.hidden_dim),
            "attention_norm": (self.dim,),
            "ffn_norm": (self.dim,),
        }

    def model_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor outside the layers; `lm_head` is there whether tied or not."""
        return {
            "token_embedding": (self.vocab_size, self.dim),
            "final_norm": (self.dim,),
            "lm_head": (self.vocab_size, self.dim),
        }


def _check_size(name: str, value: object, largest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelError(f"{name} is {shown(value)}, but must be an integer.")
    if not 1 <= value <= largest:
        raise ModelError(f"{name} is {shown(value)}, but must be between 1 and {largest}.")


def _check_real(name: str, value: object, *, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ModelError(f"{name} is {shown(value)}, but must be a number.")
    if not low < value <= high:  # false for NaN and infinities too
        raise ModelError(
            f"{name} is {shown(value)}, but must be greater than {low:g} and at most {high:g}."
        )
