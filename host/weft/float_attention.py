# SPDX-License-Identifier: Apache-2.0
"""Attention of the float model, and the keys and values that it keeps."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from weft.float_parts import Array, softcap
from weft.model.config import ModelConfig

__all__ = ["FloatKVCache", "attend", "visible"]


@dataclass
class FloatKVCache:
    """Keys (rotated) and values seen so far: per layer [positions, n_kv_heads, head_dim]."""

    keys: list[Array] = field(default_factory=list["Array"])
    values: list[Array] = field(default_factory=list["Array"])

    @property
    def position(self) -> int:
        """How many tokens the cache holds, which is the position of the next one."""
        return self.keys[0].shape[0] if self.keys else 0

    def append(self, layer: int, keys: Array, values: Array) -> tuple[Array, Array]:
        """Take in a layer's keys and values of some tokens; all that there are of that layer."""
        if layer < len(self.keys):
            keys = np.concatenate([self.keys[layer], keys])
            values = np.concatenate([self.values[layer], values])
            self.keys[layer], self.values[layer] = keys, values
        else:
            self.keys.append(keys)
            self.values.append(values)
        return keys, values

    def keep(self, positions: int) -> None:
        """Forget all but the first `positions` tokens."""
        self.keys = [keys[:positions] for keys in self.keys]
        self.values = [values[:positions] for values in self.values]


def visible(config: ModelConfig, layer: int, tokens: int, keys: int) -> npt.NDArray[np.bool_]:
    """Which keys each of the last `tokens` positions attends to: [tokens, keys]."""
    if not config.causal:
        return np.ones((tokens, keys), np.bool_)
    seen = np.tri(tokens, keys, keys - tokens, dtype=np.bool_)
    if config.slides(layer) and config.sliding_window is not None:
        seen &= ~np.tri(tokens, keys, keys - tokens - config.sliding_window, dtype=np.bool_)
    return seen


def attend(
    config: ModelConfig, query: Array, keys: Array, values: Array, seen: npt.NDArray[np.bool_]
) -> Array:
    """Grouped-query attention of [tokens, n_heads, head_dim] over [keys, n_kv_heads, head_dim]."""
    scale = config.query_scale or 1 / math.sqrt(config.head_dim)
    keys = np.repeat(keys, config.heads_per_kv_head, axis=1).transpose(1, 2, 0)
    values = np.repeat(values, config.heads_per_kv_head, axis=1).transpose(1, 0, 2)
    scores = softcap(query.transpose(1, 0, 2) @ keys * scale, config.attention_softcap)
    scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return (weights @ values).transpose(1, 0, 2).reshape(query.shape[0], config.q_dim)
