# SPDX-License-Identifier: Apache-2.0
"""The tokenizer that a GGUF file carries in its metadata.

Source: `llama_vocab::impl::load` of src/llama-vocab.cpp in https://github.com/ggml-org/llama.cpp.
"""

import numpy as np

from weft.errors import TokenizerError, shown
from weft.gguf_metadata import Metadata
from weft.tokenizer.byte_level import PRE_TOKENIZERS, byte_level_backend
from weft.tokenizer.huggingface import HuggingFaceTokenizer
from weft.tokenizer.protocol import Tokenizer
from weft.tokenizer.sentencepiece import BYTE_PIECE, SentencePieceTokenizer, TokenKind
from weft.tokenizer.wordpiece import wordpiece_backend

__all__ = ["gguf_special_tokens", "gguf_tokenizer"]

PREFIX = "tokenizer.ggml."
KINDS = ("llama", "gpt2", "bert")
ENDS = (
    b"</s>",
    b"<|eot_id|>",
    b"<|eom_id|>",
    b"<|im_end|>",
    b"<|end|>",
    b"<|endoftext|>",
    b"<|end_of_text|>",
    b"<end_of_turn>",
)
"""Tokens that end a generation whatever the keys say: files often name only one of several."""


def gguf_tokenizer(metadata: Metadata, vocab_size: int) -> Tokenizer:
    """The tokenizer for a model of `vocab_size` rows of embedding.

    Raises `TokenizerError` or `ModelError` naming the key at fault, or the kind of tokenizer that
    weft does not know: `llama` (SentencePiece), `gpt2` (byte-level BPE) and `bert` (WordPiece) are
    known.
    """
    kind = metadata.text(f"{PREFIX}model")
    tokens = metadata.strings(f"{PREFIX}tokens")
    if kind not in KINDS:
        raise TokenizerError(f"{PREFIX}model is {shown(kind)}, but weft knows {', '.join(KINDS)}.")
    if not tokens:
        raise TokenizerError(f"{PREFIX}tokens holds no token.")
    if len(tokens) > vocab_size:
        raise TokenizerError(
            f"{PREFIX}tokens holds {len(tokens)} tokens, but the embedding has {vocab_size} rows."
        )
    if kind == "bert":
        return _wordpiece(metadata, tokens, vocab_size)
    if metadata.boolean(f"{PREFIX}add_eos_token"):
        raise TokenizerError(f"{PREFIX}add_eos_token is true, but weft does not end its prompts.")
    kinds = _kinds(metadata, tokens, sentencepiece=kind == "llama")
    if kind == "llama":
        return _sentencepiece(metadata, tokens, kinds, vocab_size)
    return _byte_level(metadata, tokens, kinds, vocab_size)


def gguf_special_tokens(metadata: Metadata) -> dict[str, str]:
    """The texts of the tokens that begin and end a sequence, for chat templates."""
    tokens = metadata.strings(f"{PREFIX}tokens") or []
    found: dict[str, str] = {}
    for name in ("bos", "eos"):
        token_id = _token_id(metadata, f"{name}_token_id", len(tokens))
        if token_id is not None:
            found[f"{name}_token"] = tokens[token_id].decode("utf-8", "replace")
    return found


def _sentencepiece(
    metadata: Metadata, tokens: list[bytes], kinds: list[TokenKind], vocab_size: int
) -> SentencePieceTokenizer:
    scores = metadata.numbers(f"{PREFIX}scores").astype(np.float64)
    if len(scores) < len(tokens) or np.isnan(scores).any():
        raise TokenizerError(
            f"{PREFIX}scores holds {np.count_nonzero(~np.isnan(scores))} numbers for "
            f"{len(tokens)} tokens."
        )
    bos_id, add_bos = _bos(metadata, len(tokens), default=True)
    return SentencePieceTokenizer(
        pieces=tuple(tokens),
        scores=tuple(scores.tolist()),
        kinds=tuple(kinds),
        vocab_size=vocab_size,
        bos_id=bos_id,
        eos_ids=_end_ids(metadata, tokens),
        add_bos=add_bos,
        space_prefix=metadata.boolean(f"{PREFIX}add_space_prefix", True) is True,
    )


def _wordpiece(metadata: Metadata, tokens: list[bytes], vocab_size: int) -> HuggingFaceTokenizer:
    """Older files name the tokens around a text as those of BERT, newer ones as BOS and EOS."""
    texts = [_text(f"token {token_id}", token) for token_id, token in enumerate(tokens)]
    kinds = _kinds(metadata, tokens, sentencepiece=False)

    def special(*names: str) -> int:
        found = [_token_id(metadata, f"{name}_token_id", len(tokens)) for name in names]
        for token_id in found:
            if token_id is not None:
                return token_id
        raise TokenizerError(f"{PREFIX}{names[0]}_token_id is missing.")

    first, last = special("cls", "bos"), special("seperator", "eos")
    control = [token_id for token_id, kind in enumerate(kinds) if kind is TokenKind.CONTROL]
    backend = wordpiece_backend(
        tokens=texts, control=control, unknown=special("unknown"), first=first, last=last
    )
    return HuggingFaceTokenizer(backend, vocab_size=vocab_size, bos_id=first, eos_ids=())


def _byte_level(
    metadata: Metadata, tokens: list[bytes], kinds: list[TokenKind], vocab_size: int
) -> HuggingFaceTokenizer:
    pre = metadata.text(f"{PREFIX}pre", "default") or ""
    pre_tokenizer = PRE_TOKENIZERS.get(pre)
    if pre_tokenizer is None:
        raise TokenizerError(
            f"{PREFIX}pre is {shown(pre)}, but weft knows {', '.join(PRE_TOKENIZERS)}."
        )
    texts = [_text(f"token {token_id}", token) for token_id, token in enumerate(tokens)]
    bos_id, add_bos = _bos(metadata, len(tokens), default=pre_tokenizer.add_bos)
    end_ids = _end_ids(metadata, tokens)
    silent = {*end_ids, *([] if bos_id is None else [bos_id])}
    control = [
        text
        for token_id, text in enumerate(texts)
        if text and (kinds[token_id] is TokenKind.CONTROL or token_id in silent)
    ]
    user_defined = [t for t, k in zip(texts, kinds, strict=True) if k is TokenKind.USER_DEFINED]
    backend = byte_level_backend(
        tokens=texts,
        merges=_merges(metadata),
        pre_tokenizer=pre_tokenizer,
        control=control,
        user_defined=[text for text in user_defined if text and text not in set(control)],
        bos=(texts[bos_id], bos_id) if add_bos and bos_id is not None else None,
    )
    return HuggingFaceTokenizer(backend, vocab_size=vocab_size, bos_id=bos_id, eos_ids=end_ids)


def _kinds(metadata: Metadata, tokens: list[bytes], *, sentencepiece: bool) -> list[TokenKind]:
    """The kind of every token; without `token_type` what looks like a byte is one."""
    numbers = metadata.numbers(f"{PREFIX}token_type")
    if not len(numbers):
        return [
            TokenKind.BYTE if sentencepiece and BYTE_PIECE.fullmatch(token) else TokenKind.NORMAL
            for token in tokens
        ]
    if len(numbers) < len(tokens):
        raise TokenizerError(
            f"{PREFIX}token_type holds {len(numbers)} numbers for {len(tokens)} tokens."
        )
    known = {int(kind): kind for kind in TokenKind}
    return [known.get(number, TokenKind.UNDEFINED) for number in numbers[: len(tokens)].tolist()]


def _merges(metadata: Metadata) -> list[tuple[str, str]]:
    merges: list[tuple[str, str]] = []
    for index, raw in enumerate(metadata.strings(f"{PREFIX}merges") or []):
        left, _, right = _text(f"merge {index}", raw).partition(" ")
        if not left or not right:
            raise TokenizerError(
                f"merge {index} of {PREFIX}merges is {shown(raw)}, which is no pair."
            )
        merges.append((left, right))
    return merges


def _bos(metadata: Metadata, n_tokens: int, *, default: bool) -> tuple[int | None, bool]:
    """The token that begins a sequence, and whether prompts get it."""
    bos_id = _token_id(metadata, "bos_token_id", n_tokens)
    add_bos = metadata.boolean(f"{PREFIX}add_bos_token", default) is True
    if add_bos and bos_id is None:
        raise TokenizerError(f"prompts are to begin with BOS, but {PREFIX}bos_token_id is missing.")
    return bos_id, add_bos


def _end_ids(metadata: Metadata, tokens: list[bytes]) -> tuple[int, ...]:
    named = (_token_id(metadata, f"{name}_token_id", len(tokens)) for name in ("eos", "eot", "eom"))
    found = {token_id for token_id in named if token_id is not None}
    found.update(token_id for token_id, token in enumerate(tokens) if token in ENDS)
    return tuple(sorted(found))


def _token_id(metadata: Metadata, name: str, n_tokens: int) -> int | None:
    token_id = metadata.integer(PREFIX + name)
    if token_id is not None and not 0 <= token_id < n_tokens:
        raise TokenizerError(
            f"{PREFIX}{name} is {token_id}, but token ids are between 0 and {n_tokens - 1}."
        )
    return token_id


def _text(what: str, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise TokenizerError(f"{what} is {shown(raw)}, which is not UTF-8 text.") from None
