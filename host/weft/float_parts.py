# SPDX-License-Identifier: Apache-2.0
"""The functions that the float model is made of, each over NumPy arrays of float32 or float64."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.model.config_words import Activation

__all__ = [
    "Array",
    "Rotation",
    "activate",
    "layer_norm",
    "rms_norm",
    "rotate",
    "rotation",
    "softcap",
]

Array = npt.NDArray[np.floating[Any]]
Rotation = npt.NDArray[np.complexfloating[Any]]

ERF_STEPS = 1024
"""Places per unit at which erf is tabulated."""
ERF_END = 6
"""Beyond it erf is 1 in float64."""


def rms_norm(hidden: Array, gain: Array, eps: float) -> Array:
    """RMSNorm over the last axis."""
    mean_square = np.mean(np.square(hidden), axis=-1, keepdims=True)
    return hidden / np.sqrt(mean_square + eps) * gain


def layer_norm(hidden: Array, gain: Array, bias: Array, eps: float) -> Array:
    """LayerNorm over the last axis."""
    return rms_norm(hidden - hidden.mean(axis=-1, keepdims=True), gain, eps) + bias


def softcap(values: Array, cap: float | None) -> Array:
    """`cap * tanh(values / cap)`; the values themselves without a cap."""
    return values if cap is None else cap * np.tanh(values / cap)


def activate(values: Array, activation: Activation) -> Array:
    """The feed-forward layer's activation, element by element."""
    if activation == "silu":
        return values / (1 + np.exp(-np.maximum(values, -80.0)))
    if activation == "gelu_tanh":
        inner = math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)
        return 0.5 * values * (1 + np.tanh(inner))
    return 0.5 * values * (1 + erf(values / math.sqrt(2)))


def erf(values: Array) -> Array:
    """The error function to about 1e-14, by cubic Hermite interpolation of a table.

    The interpolation error is at most h^4 / 384 times the largest fourth derivative (below 8).
    """
    places = np.abs(values).clip(0, ERF_END - 1 / ERF_STEPS).astype(np.float64) * ERF_STEPS
    index = places.astype(np.int32)
    t = places - index
    low, high = ERF_TABLE[index], ERF_TABLE[index + 1]
    low_slope, high_slope = ERF_SLOPES[index], ERF_SLOPES[index + 1]
    rise = high - low
    curve = (low_slope + high_slope - 2 * rise) * t + 3 * rise - 2 * low_slope - high_slope
    return np.copysign(low + t * (low_slope + t * curve), values).astype(values.dtype)


def _erf_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """erf at the places, and its slope there per step."""
    places = np.arange(ERF_END * ERF_STEPS + 1) / ERF_STEPS
    slopes = 2 / math.sqrt(math.pi) * np.exp(-(places**2)) / ERF_STEPS
    return np.array([math.erf(place) for place in places]), slopes


ERF_TABLE, ERF_SLOPES = _erf_table()


def rotation(
    positions: npt.NDArray[np.int_],
    frequencies: tuple[float, ...],
    factor: float,
    dtype: type[np.float32] | type[np.float64],
) -> Rotation:
    """`factor * exp(i * angle)` as [tokens, 1, head_dim / 2]; angles in float64."""
    angles = positions[:, np.newaxis].astype(np.float64) * np.asarray(frequencies)
    complex_type = np.complex64 if dtype is np.float32 else np.complex128
    return (factor * np.exp(1j * angles)).astype(complex_type)[:, np.newaxis, :]


def rotate(vectors: Array, by: Rotation) -> Array:
    """Turn the interleaved pairs of [tokens, heads, head_dim]."""
    return (np.ascontiguousarray(vectors).view(by.dtype) * by).view(vectors.dtype)
