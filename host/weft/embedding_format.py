# SPDX-License-Identifier: Apache-2.0
"""How the rows of the token embedding are kept in memory.

A run reads one row per token, so this is a matter of memory, not of time: a vocabulary of 32,000
takes half of a small model's bytes.
"""

from enum import StrEnum

from weft.errors import check_choice
from weft.kv_format import AUTO
from weft.model.checkpoint import Matrix, StoredMatrix
from weft_arch.config import BLOCK
from weft_arch.isa import LoadFormat

__all__ = ["EmbeddingFormat", "check_embedding_name", "choose_embedding_format"]


class EmbeddingFormat(StrEnum):
    """A row of the token embedding in memory."""

    F16 = "f16"
    """float16 values"""
    Q8 = "q8"
    """blocks of 32 int8 codes with a float16 scale, as in `w8`"""

    @property
    def load_format(self) -> LoadFormat:
        """What LOAD calls it."""
        return LoadFormat.Q8 if self is EmbeddingFormat.Q8 else LoadFormat.F16


def check_embedding_name(name: str) -> None:
    """A `ModelError` unless a user may name the format of embeddings like this."""
    check_choice("the embedding format is", name, [AUTO, *EmbeddingFormat])


def choose_embedding_format(name: str, table: Matrix | None = None) -> EmbeddingFormat:
    """The format that `name` means for an embedding [vocabulary, dim]. Where it is left open: q8 if
    the file has the table in blocks that stay unchanged so, else f16.

    Raises `ModelError` for a name that is none.
    """
    check_embedding_name(name)
    if name != AUTO:
        return EmbeddingFormat(name)
    whole = isinstance(table, StoredMatrix) and table.in_int8_blocks and table.shape[1] % BLOCK == 0
    return EmbeddingFormat.Q8 if whole else EmbeddingFormat.F16
