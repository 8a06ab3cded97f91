# SPDX-License-Identifier: Apache-2.0
"""Gains and biases: the vectors that one LOAD brings for a part of a layer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from weft.compiler.weight_parts import WeightPart
from weft.errors import CompileError
from weft.model import ModelConfig
from weft.model.checkpoint import FloatTensor
from weft_arch.config import Configuration

__all__ = ["Parameter", "ParameterBlock", "ParameterPlan", "plan_parameters"]

AFTER = {
    "pre": (),
    "post": (),
    "sandwich": ("attention_post_norm", "ffn_post_norm"),
}
"""Norms behind the products of the attention and of the feed-forward part, besides the one norm
that every part has."""
_HIDDEN = {"w_gate", "w_up", "w_down"}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One vector of a block, in words of vector memory; zeros fill the last."""

    name: str
    first: int
    words: int
    part: WeightPart | None = None
    """where it holds the biases of a product, channel by channel"""

    def values(self, tensors: Mapping[str, FloatTensor], config: Configuration) -> FloatTensor:
        """The numbers, [words * lanes]; ``tensors`` by name, a missing bias is zero."""
        lanes, part = config.lanes, self.part
        if part is None:
            return _padded(tensors[self.name], 0, self.words * lanes)
        found = [np.zeros(0, np.float32)]
        for name, n_tiles in zip(part.names, part.n_tiles, strict=True):
            bias = tensors.get(f"{name}_bias", np.zeros(0, np.float32))
            found.append(_padded(bias, part.first_tile * lanes, n_tiles * lanes))
        return np.concatenate(found)


def _padded(vector: FloatTensor, first: int, size: int) -> FloatTensor:
    """``size`` values from ``first`` on, zeros behind the vector's end."""
    part = vector[first : first + size]
    return np.concatenate([part, np.zeros(size - part.size, np.float32)])


@dataclass(frozen=True, kw_only=True)
class ParameterBlock:
    """Parameters side by side."""

    parameters: tuple[Parameter, ...]
    words: int

    def word(self, name: str) -> int:
        """The first word of a parameter, which must be there."""
        return self._find(name).first

    def bias(self, part: WeightPart) -> int | None:
        """The first word of a product's biases, or None where it has none."""
        return next((p.first for p in self.parameters if p.part == part), None)

    def _find(self, name: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise CompileError(f"the plan has no parameter {name}.")


@dataclass(frozen=True, kw_only=True)
class ParameterPlan:
    """The blocks in their order in memory: the embedding's, those of every layer, the head's."""

    embedding: ParameterBlock
    attention: ParameterBlock
    feed_forward: ParameterBlock
    final: ParameterBlock

    @property
    def layer_words(self) -> int:
        """Words of a layer."""
        return self.attention.words + self.feed_forward.words

    @property
    def buffer_words(self) -> tuple[int, int]:
        """Words of vector memory that hold the blocks: the feed-forward part's, and all others
        by turns."""
        others = max(self.embedding.words, self.attention.words, self.final.words)
        return others, self.feed_forward.words

    def words(self, n_layers: int) -> int:
        """Words of a model."""
        return self.embedding.words + n_layers * self.layer_words + self.final.words


def plan_parameters(
    model: ModelConfig, config: Configuration, parts: tuple[WeightPart, ...]
) -> ParameterPlan:
    """Which vectors each block holds; ``parts`` are a layer's."""

    def words(width: int) -> int:
        return -(-width // config.lanes)

    def norm(name: str) -> tuple[tuple[str, int, None], ...]:
        both = (name, f"{name}_bias") if model.norm == "layer" else (name,)
        return tuple((each, words(model.dim), None) for each in both)

    def biases(of: Iterable[WeightPart]) -> list[tuple[str, int, WeightPart]]:
        return [
            (" ".join(part.names), sum(part.n_tiles), part)
            for part in of
            if model.biases.intersection(part.names)
        ]

    hidden = [part for part in parts if _HIDDEN.intersection(part.names)]
    has_final = "final_norm" in model.model_shapes()
    head_words = words(model.head_dim)
    heads = (("k_norm", head_words, None), ("q_norm", head_words, None))
    after = [norm(name) for name in AFTER[model.norm_order]] or [(), ()]
    return ParameterPlan(
        embedding=_block(norm("embedding_norm") if model.embedding_norm else ()),
        attention=_block(
            (
                *norm("attention_norm"),
                *after[0],
                *biases(part for part in parts if part not in hidden),
                *(heads if model.qk_norm else ()),
            )
        ),
        feed_forward=_block((*norm("ffn_norm"), *after[1], *biases(hidden))),
        final=_block(norm("final_norm") if has_final else ()),
    )


def _block(vectors: Iterable[tuple[str, int, WeightPart | None]]) -> ParameterBlock:
    place, parameters = 0, list[Parameter]()
    for name, words, part in vectors:
        parameters.append(Parameter(name=name, first=place, words=words, part=part))
        place += words
    return ParameterBlock(parameters=tuple(parameters), words=place)
