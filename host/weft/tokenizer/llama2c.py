# SPDX-License-Identifier: Apache-2.0
"""The tokenizer of llama2.c: byte-pair merges by score, with byte fallback.

The file is the longest piece's length (int32), then per token its score (float32), the length of
its piece (int32) and the piece itself; little-endian. A piece is UTF-8 text, or `<0xHH>` for the
byte HH; ids 0, 1 and 2 are unknown, BOS and EOS, and byte HH is id `HH + 3`.

Source: `build_tokenizer`, `encode` and `decode` of run.c in https://github.com/karpathy/llama2.c.
Unlike run.c, which drops lone bytes that are not printable, `decode` keeps every byte, so that a
character spelled in byte tokens comes out whole.
"""

import heapq
import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from weft.errors import FileError, TokenizerError
from weft.files import file_size_bytes, in_file
from weft.tokenizer.protocol import check_token_ids, utf8

__all__ = ["Llama2cTokenizer", "load_llama2c_tokenizer"]

BOS_ID = 1
EOS_ID = 2
FIRST_BYTE_ID = 3
BYTE_PIECE = re.compile(rb"<0x([0-9A-Fa-f]{2})>")
LOWEST_SCORE = -1e10
"""Pairs of this score and below are never merged."""

ENTRY = struct.Struct("<fi")
FILE_LIMIT_BYTES = 1 << 28


class Llama2cTokenizer:
    """Pieces and scores by token id; `pieces` are the file's bytes.

    Raises `TokenizerError` when there is no token for a space or not one for every byte, without
    which not every text can be encoded.
    """

    def __init__(self, pieces: Sequence[bytes], scores: Sequence[float]) -> None:
        self._pieces = tuple(pieces)
        self._scores = tuple(scores)
        self._ids: dict[bytes, int] = {}
        for token_id, piece in enumerate(self._pieces):
            self._ids.setdefault(piece, token_id)
        if len(self._pieces) < FIRST_BYTE_ID + 256:
            raise TokenizerError(
                f"a llama2.c tokenizer of {len(self._pieces)} tokens has no room for the "
                f"{FIRST_BYTE_ID + 256} special and byte tokens."
            )
        if b" " not in self._ids:
            raise TokenizerError("a llama2.c tokenizer needs a token for the space.")
        self._output = tuple(self._output_of(piece) for piece in self._pieces)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return len(self._pieces)

    @property
    def bos_id(self) -> int:
        """The id that begins a sequence."""
        return BOS_ID

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """EOS, and BOS: the training data separates its texts by BOS, and run.c stops there."""
        return (BOS_ID, EOS_ID)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """BOS, then the tokens of `text` behind a space that the format puts in front.

        Without `add_special_tokens` there is no BOS and no such space.

        Characters become tokens, or their bytes do where there is no such token; then the
        neighbours whose joint piece has the highest score are merged, the leftmost first among
        equals, until none can be.
        """
        utf8(text)
        ids = [BOS_ID] if add_special_tokens else []
        if add_special_tokens and text:
            ids.append(self._ids[b" "])
        for character in text:
            piece = character.encode("utf-8")
            if piece in self._ids:
                ids.append(self._ids[piece])
            else:
                ids.extend(FIRST_BYTE_ID + byte for byte in piece)
        return self._merge(ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of the ids; a token right behind BOS loses its leading space."""
        check_token_ids(token_ids, self.vocab_size)
        output = bytearray()
        previous = -1
        for token_id in token_ids:
            piece = self._output[token_id]
            if token_id not in (BOS_ID, EOS_ID):
                spaced = previous == BOS_ID and self._pieces[token_id].startswith(b" ")
                output += piece[1:] if spaced else piece
            previous = token_id
        return output.decode("utf-8", errors="replace")

    def _output_of(self, piece: bytes) -> bytes:
        match = BYTE_PIECE.fullmatch(piece)
        return bytes([int(match[1], 16)]) if match else piece

    def _merge(self, ids: list[int]) -> list[int]:
        """Merge neighbours, the best score first.

        The sequence is a linked list over positions; a heap holds every pair that can be merged,
        ordered by score and then position. An entry is stale when one of its two tokens has been
        merged away since.
        """
        n = len(ids)
        following = list(range(1, n + 1))
        preceding = list(range(-1, n - 1))
        heap: list[tuple[float, int, int, int, int]] = []

        def consider(left: int) -> None:
            right = following[left] if left >= 0 else n
            if right >= n:
                return
            merged = self._ids.get(self._pieces[ids[left]] + self._pieces[ids[right]])
            if merged is not None and self._scores[merged] > LOWEST_SCORE:
                entry = (-self._scores[merged], left, ids[left], ids[right], merged)
                heapq.heappush(heap, entry)

        for position in range(n):
            consider(position)
        while heap:
            _, left, left_id, right_id, merged = heapq.heappop(heap)
            right = following[left]
            if right >= n or ids[left] != left_id or ids[right] != right_id:
                continue
            ids[left], ids[right] = merged, -1
            following[left] = following[right]
            if following[left] < n:
                preceding[following[left]] = left
            consider(preceding[left])
            consider(left)
        return [token_id for token_id in ids if token_id >= 0]


def load_llama2c_tokenizer(path: Path, vocab_size: int) -> Llama2cTokenizer:
    """The tokenizer in `path` for a model of `vocab_size` tokens.

    Raises `FileError` or `TokenizerError` naming the file and the token at fault when it is
    missing, cut off, damaged, or has another number of tokens.
    """
    data = _read(path)
    if len(data) < 4:
        raise TokenizerError(f"{path} is cut off after {len(data)} bytes.")
    (longest,) = struct.unpack_from("<i", data)
    pieces: list[bytes] = []
    scores: list[float] = []
    offset = 4
    for token_id in range(vocab_size):
        if offset + ENTRY.size > len(data):
            raise TokenizerError(
                f"{path} is cut off at token {token_id} of the model's {vocab_size}."
            )
        score, length = cast(tuple[float, int], ENTRY.unpack_from(data, offset))
        offset += ENTRY.size
        if not 1 <= length <= longest or offset + length > len(data):
            raise TokenizerError(
                f"{path}: the piece of token {token_id} is said to be {length} bytes long, but "
                f"{min(longest, len(data) - offset)} are possible."
            )
        piece = data[offset : offset + length]
        offset += length
        if not math.isfinite(score) or b"\0" in piece:
            raise TokenizerError(
                f"{path}: token {token_id} has score {score} and piece {piece[:40]!r}, which is "
                f"not usable."
            )
        pieces.append(piece)
        scores.append(score)
    if offset != len(data):
        raise TokenizerError(
            f"{path} goes on for {len(data) - offset} bytes behind the model's {vocab_size} tokens."
        )
    with in_file(path):
        return Llama2cTokenizer(pieces, scores)


def _read(path: Path) -> bytes:
    size_bytes = file_size_bytes(path)
    if size_bytes > FILE_LIMIT_BYTES:
        raise FileError(
            f"{path} is {size_bytes} bytes long, but at most {FILE_LIMIT_BYTES} are expected."
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}).") from error
