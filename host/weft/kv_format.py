# SPDX-License-Identifier: Apache-2.0
"""How keys and values are kept in memory, and what a user's word for it means for a model.

Keys are what 8 bits hurt, and most where heads are so narrow that several share the scale of a
block: a wide key costs twice the bytes of the keys and twice the cycles of the scores.
"""

from enum import StrEnum

from weft.errors import check_choice
from weft.model import ModelConfig
from weft_arch.config import BLOCK

__all__ = ["AUTO", "KVFormat", "check_kv_name", "choose_kv_format"]

AUTO = "auto"


class KVFormat(StrEnum):
    """Bits of keys and of values in the KV cache."""

    K8V8 = "k8v8"
    """int8 blocks with power-of-two scales, both"""
    K16V8 = "k16v8"
    """keys in two int8 planes, which hold 14 bits and a sign (`weft_arch.blocks.key_planes`)"""

    @property
    def wide_keys(self) -> bool:
        """Whether keys are in two planes."""
        return self is KVFormat.K16V8


def check_kv_name(name: str) -> None:
    """A `ModelError` unless a user may name the KV cache's format like this; says what there is."""
    check_choice("the KV format is", name, [AUTO, *KVFormat])


def choose_kv_format(name: str, model: ModelConfig) -> KVFormat:
    """The format that `name` means for a model: wide keys, where it is left open, for heads of
    fewer than 32 channels. Raises `ModelError` for a name that is none."""
    check_kv_name(name)
    if name != AUTO:
        return KVFormat(name)
    return KVFormat.K16V8 if model.head_dim < BLOCK else KVFormat.K8V8
