# SPDX-License-Identifier: Apache-2.0
"""Models: configuration, weights and the file formats they come in."""

from weft.model.checkpoint import Checkpoint, FloatTensor, LayerWeights
from weft.model.config import Activation, ModelConfig
from weft.model.load import LoadedModel, held_out_path, load_model, shipped_models

__all__ = [
    "Activation",
    "Checkpoint",
    "FloatTensor",
    "LayerWeights",
    "LoadedModel",
    "ModelConfig",
    "held_out_path",
    "load_model",
    "shipped_models",
]
