# SPDX-License-Identifier: Apache-2.0
"""The float model: the judge of accuracy, never of bits.

A Llama-family transformer in plain NumPy, in float64 unless asked otherwise. It shares no code
with any device. Reductions are NumPy's, so its results may differ in the last bits between
machines; nothing compares them for equality.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.errors import PromptError
from weft.model.checkpoint import Checkpoint, Matrix, as_floats

__all__ = ["FloatKVCache", "FloatModel"]

Array = npt.NDArray[np.floating[Any]]


@dataclass
class FloatKVCache:
    """Keys (rotated) and values seen so far: per layer [positions, n_kv_heads, head_dim]."""

    keys: list[Array] = field(default_factory=list["Array"])
    values: list[Array] = field(default_factory=list["Array"])

    @property
    def position(self) -> int:
        """How many tokens the cache holds, which is the position of the next one."""
        return self.keys[0].shape[0] if self.keys else 0


class FloatModel:
    """Computes logits of a checkpoint in float arithmetic of type `dtype`.

    To judge quantised weights, pass `dequantized(checkpoint, plan)` of `weft.weight_plan`.
    """

    def __init__(
        self, checkpoint: Checkpoint, dtype: type[np.float32] | type[np.float64] = np.float64
    ) -> None:
        self.config = checkpoint.config
        self._dtype = dtype
        self._layers = tuple(
            SimpleNamespace(
                **{
                    name: self._convert(layer.matrix(name))
                    for name in checkpoint.config.layer_shapes()
                }
            )
            for layer in checkpoint.layers
        )
        self._token_embedding = self._convert(checkpoint.token_embedding)
        self._final_norm = self._convert(checkpoint.vector("final_norm"))
        self._lm_head = self._convert(checkpoint.matrix("lm_head"))

    def logits(self, token_ids: Sequence[int], cache: FloatKVCache | None = None) -> Array:
        """Logits [tokens, vocab_size]; row `i` predicts what follows `token_ids[i]`.

        The tokens stand behind those in `cache`, which takes them in; without one they begin the
        sequence. Raises `PromptError` when there is no token, one is not in the vocabulary, or
        they reach beyond the model's context.
        """
        cache = FloatKVCache() if cache is None else cache
        self._check(token_ids, cache.position)
        positions = np.arange(cache.position, cache.position + len(token_ids))
        rotation = self._rotation(positions)
        if not cache.keys:
            empty = np.zeros((0, self.config.n_kv_heads, self.config.head_dim), self._dtype)
            cache.keys = [empty] * self.config.n_layers
            cache.values = [empty] * self.config.n_layers
        hidden = self._token_embedding[np.asarray(token_ids)]
        for index, layer in enumerate(self._layers):
            normed = self._norm(hidden, layer.attention_norm)
            hidden = hidden + self._attention(normed, layer, index, rotation, cache)
            normed = self._norm(hidden, layer.ffn_norm)
            gated = self._activation(normed @ layer.w_gate.T) * (normed @ layer.w_up.T)
            hidden = hidden + gated @ layer.w_down.T
        return self._norm(hidden, self._final_norm) @ self._lm_head.T

    def greedy(
        self, token_ids: Sequence[int], max_tokens: int, eos_ids: Sequence[int] = ()
    ) -> list[int]:
        """At most `max_tokens` tokens that follow, each the likeliest; the lowest id of equals.

        Ends behind the first token in `eos_ids`, which is included, and at the context's end.
        """
        cache = FloatKVCache()
        output: list[int] = []
        chunk = list(token_ids)
        while len(output) < max_tokens and cache.position < self.config.max_context:
            token_id = int(self.logits(chunk, cache)[-1].argmax())
            output.append(token_id)
            if token_id in eos_ids:
                break
            chunk = [token_id]
        return output

    def _convert(self, tensor: Matrix) -> Any:
        return as_floats(tensor).astype(self._dtype, copy=False)

    def _check(self, token_ids: Sequence[int], position: int) -> None:
        if not len(token_ids):
            raise PromptError("there are no tokens to compute logits for.")
        for token_id in token_ids:
            if not 0 <= token_id < self.config.vocab_size:
                raise PromptError(
                    f"token id {token_id} is not between 0 and {self.config.vocab_size - 1}."
                )
        end = position + len(token_ids)
        if end > self.config.max_context:
            raise PromptError(
                f"the sequence is {end} tokens long, but the model's context is "
                f"{self.config.max_context}."
            )

    def _norm(self, hidden: Array, weight: Array) -> Array:
        """RMSNorm over the last axis."""
        mean_square = np.mean(np.square(hidden), axis=-1, keepdims=True)
        return hidden / np.sqrt(mean_square + self.config.norm_eps) * weight

    def _rotation(self, positions: npt.NDArray[np.int_]) -> npt.NDArray[np.complexfloating[Any]]:
        """exp(i * angle) as [tokens, 1, head_dim / 2]; angles in float64."""
        half = np.arange(self.config.head_dim // 2, dtype=np.float64)
        frequencies = self.config.rope_theta ** (-2.0 * half / self.config.head_dim)
        angles = positions[:, np.newaxis].astype(np.float64) * frequencies
        complex_type = np.complex64 if self._dtype is np.float32 else np.complex128
        return np.exp(1j * angles).astype(complex_type)[:, np.newaxis, :]

    def _rotate(self, vectors: Array, rotation: npt.NDArray[np.complexfloating[Any]]) -> Array:
        """Turn the interleaved pairs of [tokens, heads, head_dim]."""
        pairs = np.ascontiguousarray(vectors).view(rotation.dtype) * rotation
        return pairs.view(self._dtype)

    def _attention(
        self,
        normed: Array,
        layer: SimpleNamespace,
        index: int,
        rotation: npt.NDArray[np.complexfloating[Any]],
        cache: FloatKVCache,
    ) -> Array:
        """Causal grouped-query attention of [tokens, dim]; appends to the cache."""
        config = self.config
        tokens = normed.shape[0]
        start = cache.keys[index].shape[0]
        query = (normed @ layer.wq.T).reshape(tokens, config.n_heads, config.head_dim)
        key = (normed @ layer.wk.T).reshape(tokens, config.n_kv_heads, config.head_dim)
        value = (normed @ layer.wv.T).reshape(tokens, config.n_kv_heads, config.head_dim)
        query, key = self._rotate(query, rotation), self._rotate(key, rotation)
        cache.keys[index] = np.concatenate([cache.keys[index], key])
        cache.values[index] = np.concatenate([cache.values[index], value])

        keys = np.repeat(cache.keys[index], config.heads_per_kv_head, axis=1).transpose(1, 2, 0)
        values = np.repeat(cache.values[index], config.heads_per_kv_head, axis=1)
        scores = query.transpose(1, 0, 2) @ keys / math.sqrt(config.head_dim)
        future = ~np.tri(tokens, start + tokens, start, dtype=np.bool_)
        scores = np.where(future, -np.inf, scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ values.transpose(1, 0, 2)).transpose(1, 0, 2)
        return mixed.reshape(tokens, config.q_dim) @ layer.wo.T

    def _activation(self, gate: Array) -> Array:
        """The gated layer's activation, element by element."""
        if self.config.activation == "silu":
            return gate / (1 + np.exp(-np.maximum(gate, -80.0)))
        if self.config.activation == "gelu_tanh":
            inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)
            return 0.5 * gate * (1 + np.tanh(inner))
        erf = np.vectorize(math.erf, otypes=[self._dtype])
        return 0.5 * gate * (1 + erf(gate / math.sqrt(2)))
