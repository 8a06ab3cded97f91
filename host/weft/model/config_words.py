# SPDX-License-Identifier: Apache-2.0
"""The words by which a `ModelConfig` says what a model computes."""

from typing import Literal

__all__ = [
    "Activation",
    "FeedForward",
    "HeadKind",
    "NormKind",
    "NormOrder",
    "Pooling",
    "Positions",
]

Activation = Literal["silu", "gelu_tanh", "gelu_erf"]
"""Activation of the feed-forward layer; `gelu_erf` is the exact form of GELU."""
NormKind = Literal["rms", "layer"]
"""RMSNorm, or LayerNorm, which takes the mean away first and has a bias beside its gain."""
NormOrder = Literal["pre", "post", "sandwich"]
"""Where the norms stand; see `ModelConfig`."""
FeedForward = Literal["gated", "plain"]
Positions = Literal["rotary", "learned"]
HeadKind = Literal["lm", "none"]
Pooling = Literal["mean", "cls"]
"""The mean of all hidden states, or the first one (as it is, without a layer behind it)."""
