# SPDX-License-Identifier: Apache-2.0
"""SentencePiece's byte-pair tokenizers as GGUF files describe them: pieces, scores, kinds of token.

Source: `llm_tokenizer_spm_session` and `token_to_piece` of src/llama-vocab.cpp in
https://github.com/ggml-org/llama.cpp.
"""

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from weft.errors import TokenizerError, shown
from weft.tokenizer.protocol import check_token_ids, utf8

__all__ = ["SentencePieceTokenizer", "TokenKind"]

SPACE = "\u2581".encode()
"""What stands for a space inside pieces."""
BYTE_PIECE = re.compile(rb"<0x([0-9A-F]{2})>")


class TokenKind(IntEnum):
    """What a token is, by its number in `tokenizer.ggml.token_type`."""

    UNDEFINED = 0
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


SPECIAL = (TokenKind.UNKNOWN, TokenKind.CONTROL, TokenKind.USER_DEFINED)
"""Kinds that are found in a text before it is cut into pieces."""


@dataclass(frozen=True, kw_only=True)
class SentencePieceTokenizer:
    """Tokens by id: their pieces in UTF-8 with `SPACE` for spaces, scores and kinds.

    A prompt begins with `bos_id` where `add_bos`. With `space_prefix` a space is put in front of
    it and behind every special token, and decoding takes one away from the front.

    Raises `TokenizerError` when two tokens have one piece, or when a byte has no token: then not
    every text could be encoded.
    """

    pieces: tuple[bytes, ...]
    scores: tuple[float, ...]
    kinds: tuple[TokenKind, ...]
    vocab_size: int
    bos_id: int | None
    eos_ids: tuple[int, ...]
    add_bos: bool
    space_prefix: bool
    _ids: dict[bytes, int] = field(init=False, repr=False, compare=False)
    _special: re.Pattern[bytes] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids: dict[bytes, int] = {}
        for token_id, piece in enumerate(self.pieces):
            if ids.setdefault(piece, token_id) != token_id:
                raise TokenizerError(f"tokens {ids[piece]} and {token_id} are both {shown(piece)}.")
        missing = [byte for byte in range(256) if b"<0x%02X>" % byte not in ids]
        if missing:
            raise TokenizerError(f"there is no token <0x{missing[0]:02X}> for that byte.")
        special = [p for p, k in zip(self.pieces, self.kinds, strict=True) if k in SPECIAL and p]
        longest_first = sorted(special, key=len, reverse=True)
        pattern = b"|".join(re.escape(piece) for piece in longest_first)
        object.__setattr__(self, "_ids", ids)
        object.__setattr__(self, "_special", re.compile(b"(%s)" % pattern) if special else None)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """BOS where the model wants it, then the tokens of `text`.

        Without `add_special_tokens` there is neither BOS nor a space put in front. The text of a
        special token is that token. Between them characters are merged to pieces, the pair of the
        highest score first, the leftmost among equals, until none is left; what is no piece then
        becomes its bytes.
        """
        raw = utf8(text)
        ids = (
            [self.bos_id] if add_special_tokens and self.add_bos and self.bos_id is not None else []
        )
        parts = self._special.split(raw) if self._special else [raw]
        prefix = self.space_prefix and add_special_tokens
        for index, part in enumerate(parts):
            if index % 2:  # what the pattern found
                ids.append(self._ids[part])
                prefix = self.space_prefix
            elif part:
                ids += self._merged((b" " + part if prefix else part).replace(b" ", SPACE).decode())
                prefix = False
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of the ids; control, unknown and unused tokens have none."""
        check_token_ids(token_ids, self.vocab_size)
        raw = b"".join(self._text(token_id) for token_id in token_ids)
        if self.space_prefix and raw.startswith(b" "):
            raw = raw[1:]
        return raw.decode("utf-8", errors="replace")

    def _text(self, token_id: int) -> bytes:
        if token_id >= len(self.pieces):  # the embedding has more rows than there are tokens
            return b""
        kind, piece = self.kinds[token_id], self.pieces[token_id]
        if kind is TokenKind.BYTE:
            match = BYTE_PIECE.fullmatch(piece)
            return bytes([int(match[1], 16)]) if match else b""
        if kind is TokenKind.NORMAL:
            return piece.replace(SPACE, b" ")
        return piece if kind is TokenKind.USER_DEFINED else b""

    def _merged(self, text: str) -> list[int]:
        """The tokens of a text without special ones.

        Symbols are a linked list over the places of characters; a heap holds the pairs that can be
        merged. An entry is stale when one of its symbols has grown or gone since.
        """
        symbols = [character.encode() for character in text]
        n = len(symbols)
        following, preceding = list(range(1, n + 1)), list(range(-1, n - 1))
        heap: list[tuple[float, int, bytes, bytes, int]] = []

        def consider(left: int) -> None:
            right = following[left] if left >= 0 else n
            if right >= n:
                return
            token_id = self._ids.get(symbols[left] + symbols[right])
            if token_id is not None:
                score = self.scores[token_id]
                heapq.heappush(heap, (-score, left, symbols[left], symbols[right], right))

        for place in range(n):
            consider(place)
        while heap:
            _, left, left_symbol, right_symbol, right = heapq.heappop(heap)
            if following[left] != right or (symbols[left], symbols[right]) != (
                left_symbol,
                right_symbol,
            ):
                continue
            symbols[left], symbols[right] = left_symbol + right_symbol, b""
            following[left] = following[right]
            if following[left] < n:
                preceding[following[left]] = left
            consider(preceding[left])
            consider(left)
        ids: list[int] = []
        for symbol in filter(None, symbols):
            token_id = self._ids.get(symbol)
            ids += [self._ids[b"<0x%02X>" % b] for b in symbol] if token_id is None else [token_id]
        return ids
