# SPDX-License-Identifier: Apache-2.0
"""The shape of a model, free of any file format."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from weft.model import config_checks as check
from weft.model.config_words import (
    Activation,
    FeedForward,
    HeadKind,
    NormKind,
    NormOrder,
    Pooling,
    Positions,
)
from weft.model.image_shape import ImageShape

__all__ = ["Activation", "ModelConfig", "Rotation"]


class Rotation(NamedTuple):
    """How the heads of a layer are turned."""

    frequencies: tuple[float, ...]
    """radians per position of each pair"""
    factor: float
    """of cosines and sines"""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape and constants of a transformer; the defaults are those of the Llama family.

    Checked once on construction; raises `ModelError` with a sentence that names the field, its
    value and the bound.

    What a layer computes, f being attention, then the feed-forward part:

    | norm_order | a part |
    |---|---|
    | pre | x + f(norm(x)) |
    | post | norm(x + f(x)) |
    | sandwich | x + post_norm(f(norm(x))) |

    The norms of attention and feed-forward part are `attention_norm`, `attention_post_norm`,
    `ffn_norm` and `ffn_post_norm`. A norm is RMSNorm, or LayerNorm (`layer`), and then each has a
    bias beside its gain. The feed-forward part is `w_down @ (act(w_gate @ x) * (w_up @ x))`, or
    `w_down @ act(w_up @ x)` where it is plain.

    Rotary convention: weft rotates **interleaved** pairs. Elements `2i` and `2i + 1` of a head
    form the pair that is turned by `position * frequencies[i]` radians (`Rotation`). Loaders of
    formats with another convention permute the rows of `wq` and `wk`, so nothing after them needs
    to know.
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

    norm: NormKind = "rms"
    norm_order: NormOrder = "pre"
    """with `post` there is no `final_norm`"""
    feed_forward: FeedForward = "gated"
    biases: frozenset[str] = frozenset()
    """names of the matrices NAME that have a bias, which is tensor NAME_bias"""
    qk_norm: bool = False
    """RMSNorm of each query and key before the rotation, with gains `q_norm` and `k_norm`"""
    causal: bool = True
    """False: every position attends to all (an encoder)"""

    positions: Positions = "rotary"
    """learned: row p of `position_embedding` is added to the embedding, and nothing is rotated"""
    rope_frequencies: tuple[float, ...] | None = None
    """radians per position of each pair; None: rope_theta ** (-2i / head_dim); 0.0: not rotated"""
    rope_factor: float = 1.0
    """factor of the cosines and sines of `rope_frequencies`: the attention factor of YaRN"""
    rope_frequencies_local: tuple[float, ...] | None = None
    """those of the layers with a window, where they differ; their cosines have no factor"""
    sliding_window: int | None = None
    """such a layer attends to this many positions, the query's own included"""
    sliding_layers: tuple[bool, ...] | None = None
    """which layers have the window; None: all, if there is one"""

    image: ImageShape | None = None
    """what tokens behind the first are made of by `patch_embedding`; None: ids of tokens"""
    token_types: int = 0
    """rows of `token_type_embedding`, which is added to the embedding; 0: there is none"""
    embedding_scale: float = 1.0
    """factor of the token embedding"""
    embedding_norm: bool = False
    """norm `embedding_norm` behind the sum of the embeddings"""
    query_scale: float | None = None
    """factor of the scores; None: 1/sqrt(head_dim)"""
    attention_softcap: float | None = None
    """c: scores become c * tanh(score / c), before the mask"""
    logit_softcap: float | None = None
    """the same for logits"""
    head: HeadKind = "lm"
    """none: the hidden states are the result"""
    pooling: Pooling | None = None
    """how hidden states become one embedding of a text; None: they do not"""

    def __post_init__(self) -> None:
        check.check_sizes(self)
        check.check_choices(self)
        check.check_constants(self)
        check.check_rotation(self)
        check.check_combinations(self)

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

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Shape of each matrix of one layer, in the order of their use: [outputs, inputs]."""
        gate = {"w_gate": (self.hidden_dim, self.dim)} if self.feed_forward == "gated" else {}
        return {
            "wq": (self.q_dim, self.dim),
            "wk": (self.kv_dim, self.dim),
            "wv": (self.kv_dim, self.dim),
            "wo": (self.dim, self.q_dim),
            **gate,
            "w_up": (self.hidden_dim, self.dim),
            "w_down": (self.dim, self.hidden_dim),
        }

    def slides(self, layer: int) -> bool:
        """Whether a layer attends to the last `sliding_window` positions only."""
        if self.sliding_window is None:
            return False
        return self.sliding_layers is None or self.sliding_layers[layer]

    def rotation(self, layer: int) -> Rotation:
        """How a layer's heads are turned."""
        if self.slides(layer) and self.rope_frequencies_local is not None:
            return Rotation(self.rope_frequencies_local, 1.0)
        if self.rope_frequencies is not None:
            return Rotation(self.rope_frequencies, self.rope_factor)
        pairs = range(self.head_dim // 2)
        frequencies = tuple(self.rope_theta ** (-2 * i / self.head_dim) for i in pairs)
        return Rotation(frequencies, self.rope_factor)

    @cached_property
    def rotations(self) -> tuple[Rotation, ...]:
        """All that there are, in the order of the layers; none without rotary positions."""
        if self.positions != "rotary":
            return ()
        return tuple(dict.fromkeys(self.rotation(layer) for layer in range(self.n_layers)))

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor of one layer; a matrix is [output channels, input channels]."""
        shapes: dict[str, tuple[int, ...]] = dict(self.matrices)
        norms = ["attention_norm", "ffn_norm"]
        if self.norm_order == "sandwich":
            norms += ["attention_post_norm", "ffn_post_norm"]
        shapes |= self._norm_shapes(norms)
        if self.qk_norm:
            shapes |= {"q_norm": (self.head_dim,), "k_norm": (self.head_dim,)}
        return shapes | {
            f"{name}_bias": shape[:1]
            for name, shape in self.matrices.items()
            if name in self.biases
        }

    def model_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor outside the layers; `lm_head` is there whether tied or not."""
        shapes: dict[str, tuple[int, ...]] = {"token_embedding": (self.vocab_size, self.dim)}
        if self.image is not None:
            shapes["patch_embedding"] = (self.dim, self.image.patch_values)
            shapes["patch_embedding_bias"] = (self.dim,)
        if self.positions == "learned":
            shapes["position_embedding"] = (self.max_context, self.dim)
        if self.token_types:
            shapes["token_type_embedding"] = (self.token_types, self.dim)
        if self.embedding_norm:
            shapes |= self._norm_shapes(["embedding_norm"])
        if self.norm_order != "post":
            shapes |= self._norm_shapes(["final_norm"])
        if self.head == "lm":
            shapes["lm_head"] = (self.vocab_size, self.dim)
        if "lm_head" in self.biases:
            shapes["lm_head_bias"] = (self.vocab_size,)
        return shapes

    def _norm_shapes(self, names: list[str]) -> dict[str, tuple[int, ...]]:
        endings = ["", "_bias"] if self.norm == "layer" else [""]
        return {name + ending: (self.dim,) for name in names for ending in endings}
