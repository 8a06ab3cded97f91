# SPDX-License-Identifier: Apache-2.0
"""WordPiece tokenizers, which BERT encoders have, built from the vocabulary of a GGUF file.

llama.cpp's converter writes a piece that begins a word with U+2581 in front, and one that goes on
inside a word without the ## that the original vocabulary has. Texts are lowercased and lose their
accents, as llama.cpp does with all of these models.
"""

from collections.abc import Callable, Sequence
from typing import cast

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from weft.errors import TokenizerError, shown

__all__ = ["wordpiece_backend"]

WORD_BEGIN = "\u2581"
LONGEST_WORD = 100
"""Characters; a longer word is unknown as a whole."""


def wordpiece_backend(
    *, tokens: Sequence[str], control: Sequence[int], unknown: int, first: int, last: int
) -> tokenizers.Tokenizer:
    """A tokenizer of the `tokenizers` library.

    `control` are the ids of the tokens that are no pieces of words; `first` and `last` stand around
    every text. Raises `TokenizerError` where the parts do not fit together.
    """
    special = {*control, unknown, first, last}
    vocab: dict[str, int] = {}
    for token_id, token in enumerate(tokens):
        piece = token if token_id in special else _piece(token)
        if vocab.setdefault(piece, token_id) != token_id:
            raise TokenizerError(f"tokens {vocab[piece]} and {token_id} are both {shown(piece)}.")
    try:
        backend = tokenizers.Tokenizer(
            models.WordPiece(
                vocab=vocab, unk_token=tokens[unknown], max_input_chars_per_word=LONGEST_WORD
            )
        )
        backend.normalizer = normalizers.BertNormalizer(strip_accents=True, lowercase=True)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        backend.post_processor = processors.TemplateProcessing(
            single=[tokens[first], "$A", tokens[last]],
            special_tokens=[(tokens[first], first), (tokens[last], last)],
        )
        # The library's list of either texts or tokens is more than a type checker can see through.
        add_tokens = cast(Callable[[list[AddedToken]], int], backend.add_tokens)  # pyright: ignore[reportUnknownMemberType]
        names = [tokens[token_id] for token_id in sorted(special) if tokens[token_id]]
        add_tokens([AddedToken(name, normalized=False, special=True) for name in names])
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises plain `Exception`s, and panics
        reason = " ".join(str(error).split())[:200]
        raise TokenizerError(f"the tokens make no WordPiece tokenizer ({reason}).") from error
    return backend


def _piece(token: str) -> str:
    """The token as the original vocabulary spells it."""
    if token.startswith(WORD_BEGIN):
        return token.removeprefix(WORD_BEGIN)
    return f"##{token}"
