# SPDX-License-Identifier: Apache-2.0
"""The float model: the judge of accuracy, never of bits.

The transformer that a `ModelConfig` describes in plain NumPy, in float64 unless asked otherwise. It
shares no code with any device. Reductions are NumPy's, so its results may differ in the last bits
between machines; nothing compares them for equality.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.errors import PromptError
from weft.float_attention import FloatKVCache, attend, visible
from weft.float_parts import Array, activate, layer_norm, rms_norm, rotate, rotation, softcap
from weft.model.checkpoint import Checkpoint, Matrix, as_floats

__all__ = ["FloatKVCache", "FloatModel"]

Weights = Mapping[str, Array]


class FloatModel:
    """Computes hidden states and logits of a checkpoint in float arithmetic of type `dtype`.

    To judge quantised weights, pass `dequantized(checkpoint, plan)` of `weft.weight_plan`.
    """

    def __init__(
        self, checkpoint: Checkpoint, dtype: type[np.float32] | type[np.float64] = np.float64
    ) -> None:
        self.config = checkpoint.config
        self._dtype: type[np.float32] | type[np.float64] = dtype
        self._layers = tuple(
            {name: self._convert(layer.matrix(name)) for name in self.config.layer_shapes()}
            for layer in checkpoint.layers
        )
        self._outside = {
            name: self._convert(checkpoint.matrix(name)) for name in self.config.model_shapes()
        }

    def logits(self, token_ids: Sequence[int], cache: FloatKVCache | None = None) -> Array:
        """Logits [tokens, vocab_size]; row `i` predicts what follows `token_ids[i]`.

        The tokens stand behind those in `cache`, which takes them in; without one they begin the
        sequence. Raises `PromptError` when there is no token, one is not in the vocabulary, they
        reach beyond the model's context, or the model is an encoder, which predicts none.
        """
        if self.config.head == "none":
            raise PromptError(
                f"the {self.config.architecture} model is an encoder, which predicts no tokens."
            )
        hidden = self.hidden_states(token_ids, cache)
        logits = self._linear(hidden, self._outside, "lm_head")
        return softcap(logits, self.config.logit_softcap)

    def hidden_states(
        self,
        token_ids: Sequence[int],
        cache: FloatKVCache | None = None,
        *,
        token_types: Sequence[int] | None = None,
    ) -> Array:
        """What the last layer makes of each token, behind the final norm: [tokens, dim].

        An encoder sees all tokens at once and keeps nothing in a cache. `token_types` are 0 where
        they are not given. Raises `PromptError` as `logits` does, and for a type that is not there.
        """
        if self.config.image is not None:
            raise PromptError(f"the {self.config.architecture} model takes images, not tokens.")
        cache = FloatKVCache() if cache is None else cache
        start = cache.position
        self._check(token_ids, start)
        if start and not self.config.causal:
            raise PromptError(
                "an encoder reads all tokens at once, so nothing may be in its cache."
            )
        return self._through(self._embed(token_ids, start, token_types), start, cache)

    def image_states(self, pixels: Array) -> Array:
        """What the last layer makes of the first token and each patch: [1 + patches, dim].

        `pixels` [channels, size, size] are scaled as the model was trained with. Raises
        `PromptError` when they are of another shape, not finite, or the model takes no images.
        """
        if self.config.image is None:
            raise PromptError(f"the {self.config.architecture} model takes tokens, not images.")
        patches = self.config.image.cut(pixels).astype(self._dtype)
        tables = self._outside
        embedded = patches @ tables["patch_embedding"].T + tables["patch_embedding_bias"]
        hidden = np.concatenate([tables["token_embedding"], embedded])
        hidden = hidden + tables["position_embedding"]
        return self._through(hidden, 0, FloatKVCache())

    def _through(self, hidden: Array, start: int, cache: FloatKVCache) -> Array:
        """All layers and the norm behind them."""
        for index in range(self.config.n_layers):
            hidden = self._layer(hidden, index, start, cache)
        if self.config.norm_order == "post":
            return hidden
        return self._norm(hidden, self._outside, "final_norm")

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
        _check_ids("token id", token_ids, self.config.vocab_size)
        end = position + len(token_ids)
        if end > self.config.max_context:
            raise PromptError(
                f"the sequence is {end} tokens long, but the model's context is "
                f"{self.config.max_context}."
            )

    def _embed(self, token_ids: Sequence[int], start: int, types: Sequence[int] | None) -> Array:
        """The sum of all embeddings of each token, [tokens, dim]."""
        tables, config = self._outside, self.config
        hidden = tables["token_embedding"][np.asarray(token_ids)] * config.embedding_scale
        if config.positions == "learned":
            hidden = hidden + tables["position_embedding"][start : start + len(token_ids)]
        if types is not None:
            if len(types) != len(token_ids):
                raise PromptError(
                    f"there are {len(types)} token types, but {len(token_ids)} tokens."
                )
            _check_ids("token type", types, max(1, config.token_types))
        if config.token_types:
            chosen = np.zeros(len(token_ids), np.int_) if types is None else np.asarray(types)
            hidden = hidden + tables["token_type_embedding"][chosen]
        if config.embedding_norm:
            hidden = self._norm(hidden, tables, "embedding_norm")
        return hidden.astype(self._dtype, copy=False)

    def _layer(self, hidden: Array, index: int, start: int, cache: FloatKVCache) -> Array:
        """Attention and feed-forward part with their norms, in the model's order."""
        weights = self._layers[index]
        for name in ("attention", "ffn"):
            if self.config.norm_order == "post":
                change = self._part(name, hidden, index, start, cache)
                hidden = self._norm(hidden + change, weights, f"{name}_norm")
                continue
            normed = self._norm(hidden, weights, f"{name}_norm")
            change = self._part(name, normed, index, start, cache)
            if self.config.norm_order == "sandwich":
                change = self._norm(change, weights, f"{name}_post_norm")
            hidden = hidden + change
        return hidden

    def _part(self, name: str, hidden: Array, index: int, start: int, cache: FloatKVCache) -> Array:
        if name == "attention":
            return self._attention(hidden, index, start, cache)
        return self._feed_forward(hidden, self._layers[index])

    def _attention(self, hidden: Array, index: int, start: int, cache: FloatKVCache) -> Array:
        """Attention of [tokens, dim]; appends to the cache."""
        config, weights, tokens = self.config, self._layers[index], hidden.shape[0]
        query, key, value = (
            self._linear(hidden, weights, name).reshape(tokens, -1, config.head_dim)
            for name in ("wq", "wk", "wv")
        )
        if config.qk_norm:
            query = rms_norm(query, weights["q_norm"], config.norm_eps)
            key = rms_norm(key, weights["k_norm"], config.norm_eps)
        if config.positions == "rotary":
            by = self._rotation(index, np.arange(start, start + tokens))
            query, key = rotate(query, by), rotate(key, by)
        keys, values = cache.append(index, key, value)
        seen = visible(config, index, tokens, keys.shape[0])
        return self._linear(attend(config, query, keys, values, seen), weights, "wo")

    def _rotation(self, index: int, positions: Any) -> Any:
        by = self.config.rotation(index)
        return rotation(positions, by.frequencies, by.factor, self._dtype)

    def _feed_forward(self, hidden: Array, weights: Weights) -> Array:
        up = self._linear(hidden, weights, "w_up")
        if self.config.feed_forward == "gated":
            gate = self._linear(hidden, weights, "w_gate")
            return self._linear(activate(gate, self.config.activation) * up, weights, "w_down")
        return self._linear(activate(up, self.config.activation), weights, "w_down")

    def _linear(self, hidden: Array, weights: Weights, name: str) -> Array:
        product = hidden @ weights[name].T
        return product + weights[f"{name}_bias"] if name in self.config.biases else product

    def _norm(self, hidden: Array, weights: Weights, name: str) -> Array:
        if self.config.norm == "layer":
            bias = weights[f"{name}_bias"]
            return layer_norm(hidden, weights[name], bias, self.config.norm_eps)
        return rms_norm(hidden, weights[name], self.config.norm_eps)


def _check_ids(what: str, ids: Sequence[int], count: int) -> None:
    for number in ids:
        if not 0 <= number < count:
            raise PromptError(f"{what} {number} is not between 0 and {count - 1}.")
