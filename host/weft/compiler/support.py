# SPDX-License-Identifier: Apache-2.0
"""What the compiler cannot yet make a program of."""

from dataclasses import fields

from weft.errors import shown
from weft.model import ModelConfig

__all__ = ["unsupported"]

ALWAYS = {
    "n_layers",
    "dim",
    "hidden_dim",
    "n_heads",
    "n_kv_heads",
    "head_dim",
    "vocab_size",
    "max_context",
    "norm_eps",
    "rope_theta",
    "tied_embeddings",
    "activation",
    "architecture",
}
"""Fields of which every value can be compiled; of the others only the default can."""


def unsupported(config: ModelConfig) -> str | None:
    """Why there can be no program for a model, as a sentence, or None where there can be one."""
    for field in fields(config):
        value: object = getattr(config, field.name)
        if field.name not in ALWAYS and value != field.default:
            return (
                f"{field.name} of the {config.architecture} model is {shown(value)}, for which "
                f"there is no device program yet."
            )
    return None
