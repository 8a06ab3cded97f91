# SPDX-License-Identifier: Apache-2.0
"""The architectures that weft runs, one description each. docs/models.md shows how to add one."""

from weft.model.architectures.bert import BERT
from weft.model.architectures.gemma import GEMMA2, GEMMA3
from weft.model.architectures.gpt2 import GPT2
from weft.model.architectures.llama import LLAMA
from weft.model.architectures.mistral import MISTRAL
from weft.model.architectures.phi3 import PHI3
from weft.model.architectures.qwen import QWEN2, QWEN3
from weft.model.architectures.vit import VIT
from weft.model.description import Architecture, Source

__all__ = ["ARCHITECTURES", "Architecture", "Source"]

ARCHITECTURES = (LLAMA, MISTRAL, QWEN2, QWEN3, GEMMA2, GEMMA3, PHI3, GPT2, BERT, VIT)
