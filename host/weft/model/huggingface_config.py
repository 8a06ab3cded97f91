# SPDX-License-Identifier: Apache-2.0
"""Turns a Hugging Face `config.json` into a `ModelConfig`, or says why it cannot."""

from collections.abc import Mapping

from weft.errors import ModelError, shown
from weft.model.architectures import ARCHITECTURES, Architecture
from weft.model.config import ModelConfig
from weft.model.fields import Fields

__all__ = ["architecture_of", "parse_config"]


def parse_config(config: Mapping[str, object]) -> ModelConfig:
    """The configuration that a `config.json` describes.

    Absent fields take the defaults of the architecture's class in `transformers`. Raises
    `ModelError` for a field that is missing, of the wrong kind or out of bounds, and for whatever
    weft does not compute: other architectures and ways of scaling, quantised checkpoints.
    """
    architecture = architecture_of(config)
    if config.get("quantization_config") is not None:
        raise ModelError(
            "the checkpoint is quantised (quantization_config is set), but weft quantises float "
            "checkpoints itself."
        )
    settings = architecture.huggingface.settings(Fields(config))
    return ModelConfig(architecture=architecture.name, **(architecture.fixed | settings))


def architecture_of(config: Mapping[str, object]) -> Architecture:
    """The description that a `config.json` asks for."""
    classes = config.get("architectures")
    model_type = config.get("model_type")
    for architecture in ARCHITECTURES:
        form = architecture.huggingface
        if classes is None and model_type == form.model_type:
            return architecture
        if any(classes == [name] for name in form.classes):
            return architecture
    known = ", ".join(name for each in ARCHITECTURES for name in each.huggingface.classes)
    raise ModelError(f"architectures is {shown(classes)}, but weft runs {known}.")
