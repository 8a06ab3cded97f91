# SPDX-License-Identifier: Apache-2.0
"""Low-rank adapters (LoRA): what one adds to a model's matrices, and the model with it added.

A matrix W [outputs, inputs] becomes W + scale * B A, with A [rank, inputs] and B [outputs, rank]
(Hu et al., LoRA, section 4.1). The merged model costs on the device what the model itself costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from weft.errors import ModelError
from weft.model.checkpoint import Checkpoint, FloatTensor, Matrix, as_floats

__all__ = ["HEAD", "Adapter", "LowRank", "merged"]

HEAD = -1
"""The layer of `lm_head`."""


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """A change of a matrix: scale * b a, of float32 `a` [rank, inputs] and `b` [outputs, rank]; the
    outputs are in weft's order."""

    a: FloatTensor
    b: FloatTensor
    scale: float

    @property
    def rank(self) -> int:
        """Rows of `a`."""
        return self.a.shape[0]

    def added_to(self, matrix: Matrix) -> FloatTensor:
        """The changed matrix: the change is computed in float64, the sum rounded to float32."""
        change = self.scale * (self.b.astype(np.float64) @ self.a.astype(np.float64))
        return (as_floats(matrix) + change).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """Changes by (layer, name of the matrix); `HEAD` and `lm_head` for the head."""

    name: str
    changes: Mapping[tuple[int, str], LowRank]


def merged(checkpoint: Checkpoint, adapter: Adapter) -> Checkpoint:
    """The model with an adapter's changes added to its weights, which are then floats.

    Raises `ModelError` when a change leads to a weight that is not finite.
    """
    layers = list(checkpoint.layers)
    head = checkpoint.lm_head
    for (layer, name), change in adapter.changes.items():
        before = checkpoint.matrix(name) if layer == HEAD else layers[layer].matrix(name)
        with np.errstate(over="ignore", invalid="ignore"):
            after = change.added_to(before)
        if not np.isfinite(after).all():
            where = name if layer == HEAD else f"layers.{layer}.{name}"
            raise ModelError(f"adapter {adapter.name} makes {where} infinite.")
        if layer == HEAD:
            head = after
        else:
            layers[layer] = replace(layers[layer], **{name: after})
    return replace(checkpoint, layers=tuple(layers), lm_head=head)
