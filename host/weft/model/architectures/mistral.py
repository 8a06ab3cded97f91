# SPDX-License-Identifier: Apache-2.0
"""Mistral: Llama with a sliding window in all layers. Its GGUF files call themselves llama."""

from weft.model.architectures.llama import TENSORS, decoder_settings
from weft.model.architectures.windows import window
from weft.model.description import Architecture, HuggingFaceForm, Settings
from weft.model.fields import Fields

__all__ = ["MISTRAL"]


def _settings(fields: Fields) -> Settings:
    settings = decoder_settings(fields, kv_heads=8, context=4096 * 32)
    null = fields.is_null("sliding_window")
    size = None if null else fields.integer("sliding_window", 4096)
    return settings | window(size, None, settings["max_context"])


MISTRAL = Architecture(
    name="mistral",
    fixed={},
    huggingface=HuggingFaceForm(
        classes=("MistralForCausalLM",),
        model_type="mistral",
        settings=_settings,
        tensors=TENSORS,
    ),
)
