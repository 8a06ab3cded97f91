# SPDX-License-Identifier: Apache-2.0
"""Which format each weight of a model is stored in, and what the model becomes by it."""

from dataclasses import dataclass, replace

from weft.errors import check_choice
from weft.model.checkpoint import Checkpoint, LayerWeights, Matrix, as_quantized
from weft.quantize import WeightFormat

__all__ = ["LAYER_MATRICES", "WeightPlan", "dequantized"]

LAYER_MATRICES = ("wq", "wk", "wv", "wo", "w_gate", "w_up", "w_down")
"""The matrices of a layer, in the order in which a layer uses them; a plain one has no w_gate."""


@dataclass(frozen=True, kw_only=True)
class WeightPlan:
    """A format per kind of weight; None keeps float. Norms are never quantised.

    `lm_head` and `token_embedding` of a tied table may differ: the plan then stands for two
    copies of it.
    """

    layers: WeightFormat | None
    lm_head: WeightFormat | None
    token_embedding: WeightFormat | None

    @classmethod
    def named(cls, name: str) -> "WeightPlan":
        """The plan that a user asks for with `w8` or `w4`, or `float`: one format throughout.

        Raises `ModelError` for any other name.
        """
        if name == "float":
            return cls(layers=None, lm_head=None, token_embedding=None)
        check_choice("weights are", name, ["float", *WeightFormat])
        chosen = WeightFormat(name)
        return cls(layers=chosen, lm_head=chosen, token_embedding=chosen)


def dequantized(checkpoint: Checkpoint, plan: WeightPlan) -> Checkpoint:
    """The float model whose weights are exactly what the quantised ones stand for.

    It tells what quantising the weights alone costs, with all arithmetic in float. Its tables are
    not tied, because they may differ.
    """

    def rounded(matrix: Matrix, weight_format: WeightFormat | None) -> Matrix:
        return matrix if weight_format is None else as_quantized(matrix, weight_format).dequantize()

    def rounded_layer(layer: LayerWeights) -> LayerWeights:
        names = checkpoint.config.matrices
        changes = {name: rounded(layer.matrix(name), plan.layers) for name in names}
        return replace(layer, **changes)

    head = checkpoint.lm_head
    return replace(
        checkpoint,
        config=replace(checkpoint.config, tied_embeddings=False),
        layers=tuple(rounded_layer(layer) for layer in checkpoint.layers),
        token_embedding=rounded(checkpoint.token_embedding, plan.token_embedding),
        lm_head=None if head is None else rounded(head, plan.lm_head),
    )
