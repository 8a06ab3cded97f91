# SPDX-License-Identifier: Apache-2.0
"""What weft asks of a tokenizer."""

from collections.abc import Sequence
from typing import Protocol

from weft.errors import PromptError, TokenizerError

__all__ = ["Tokenizer", "check_token_ids", "utf8"]


class Tokenizer(Protocol):
    """Turns text into token ids and back.

    `vocab_size` is the model's: every id is below it. `bos_id` begins a sequence, if the model
    has such a token; generation ends at any of `eos_ids`.
    """

    @property
    def vocab_size(self) -> int:
        """Number of ids that the model knows."""
        ...

    @property
    def bos_id(self) -> int | None:
        """The id that begins a sequence, or None when the model has none."""
        ...

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Ids at which generation ends."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a prompt, with what the model expects in front of it (such as BOS).

        Without `add_special_tokens` they continue a sequence. May be empty for an empty text.
        Raises `PromptError` when `text` cannot be encoded.
        """
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of a sequence of ids; BOS, EOS and their like have none.

        Bytes that are not UTF-8 become U+FFFD. Raises `TokenizerError` for an id that the model
        does not know.
        """
        ...


def utf8(text: str) -> bytes:
    """`text` as UTF-8; raise `PromptError` where it holds half of a surrogate pair."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PromptError(
            f"the prompt holds half of a surrogate pair, {text[error.start]!a}, at position "
            f"{error.start}, which is no character."
        ) from error


def check_token_ids(token_ids: Sequence[int], vocab_size: int) -> None:
    """Raise `TokenizerError` for the first id that is not in `range(vocab_size)`."""
    for token_id in token_ids:
        if not 0 <= token_id < vocab_size:
            raise TokenizerError(
                f"token id {token_id} is not between 0 and {vocab_size - 1}, the model's last."
            )
