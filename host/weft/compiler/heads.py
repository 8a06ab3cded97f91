# SPDX-License-Identifier: Apache-2.0
"""How attention heads are laid into KV slots."""

import math
from dataclasses import dataclass

from weft.compiler.weight_parts import blocks_of
from weft.errors import CompileError
from weft.model import ModelConfig
from weft_arch.config import BLOCK, Configuration

__all__ = ["Heads"]

MOST_SHARED_CHANNELS = 128
"""Channels of a slot that several heads share."""
MOST_SLOT_BLOCKS = 8
"""Blocks of 32 channels that an ATTEND takes."""
MOST_GROUP_WORDS = 32
"""Words that a VECTOR quantises as one group, which a slot's values are."""


@dataclass(frozen=True)
class Heads:
    """How attention heads are laid into KV slots.

    A slot is a multiple of 32 channels wide. Heads that are no multiple share one where so many
    fill it (4 of 8 channels, 2 of 48), and a query is zero outside its own head's channels; others
    have a slot of their own, which ends with zeros where the head is no multiple of 32.
    """

    head_dim: int
    n_kv_heads: int
    group: int
    """query heads per KV head"""
    per_slot: int
    """KV heads in a slot"""
    words_per_block: int

    @property
    def n_slots(self) -> int:
        """KV slots per layer."""
        return -(-self.n_kv_heads // self.per_slot)

    @property
    def k_blocks(self) -> int:
        """Blocks of 32 channels per slot."""
        return blocks_of(self.per_slot * self.head_dim)

    @property
    def slot_words(self) -> int:
        """Vector memory words per slot."""
        return self.k_blocks * self.words_per_block

    @property
    def fill_slots(self) -> bool:
        """Whether the heads leave no channel of their slots empty."""
        return self.head_dim * self.per_slot == self.k_blocks * BLOCK

    @property
    def are_slots(self) -> bool:
        """Whether every head is a slot: alone in it, with no channel empty."""
        return self.per_slot == 1 and self.fill_slots

    @property
    def rows(self) -> int:
        """Query rows per position and slot."""
        return self.per_slot * self.group

    @classmethod
    def of(cls, model: ModelConfig, config: Configuration) -> "Heads":
        """The layout for a model; a `CompileError` for a head size that has none."""
        size = model.head_dim
        if size % config.lanes:
            raise CompileError(
                f"head_dim is {size}; preset {config.name} takes multiples of {config.lanes}."
            )
        most = min(MOST_SLOT_BLOCKS * BLOCK, MOST_GROUP_WORDS * config.lanes)
        if size > most:
            raise CompileError(
                f"head_dim is {size}; attention of preset {config.name} takes at most {most}."
            )
        full = math.lcm(size, BLOCK)
        shared = full <= MOST_SHARED_CHANNELS and model.n_kv_heads % (full // size) == 0
        per_slot = full // size if shared else 1
        return cls(
            size, model.n_kv_heads, model.heads_per_kv_head, per_slot, config.words_per_block
        )

    def pieces(self, place: int) -> list[tuple[int, int, int, int]]:
        """Where the head at a ``place`` of its slot lies: (first word of the head, words, block of
        the slot, first word in that block)."""
        head_words = self.head_dim * self.words_per_block // BLOCK
        found: list[tuple[int, int, int, int]] = []
        word = 0
        while word < head_words:
            block, start = divmod(place * head_words + word, self.words_per_block)
            size = min(self.words_per_block - start, head_words - word)
            found.append((word, size, block, start))
            word += size
        return found

    def empty_blocks(self, place: int) -> list[int]:
        """The blocks of a slot that hold nothing of the head at a ``place``."""
        own = {block for _, _, block, _ in self.pieces(place)}
        return [block for block in range(self.k_blocks) if block not in own]
