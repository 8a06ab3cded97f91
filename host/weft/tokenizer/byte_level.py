# SPDX-License-Identifier: Apache-2.0
"""Byte-level BPE tokenizers built from their parts: tokens, merges, and how a text is cut first.

Source of the patterns: `llm_tokenizer_bpe` of src/llama-vocab.cpp in
https://github.com/ggml-org/llama.cpp, which took them from the models' tokenizer.json files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, processors

from weft.errors import TokenizerError, shown

__all__ = ["PRE_TOKENIZERS", "PreTokenizer", "byte_level_backend"]


@dataclass(frozen=True, kw_only=True)
class PreTokenizer:
    """How a text is cut before it is merged: by each of `patterns` in turn.

    With `whole_words` a part that is a token is not merged at all; `add_bos` is whether a prompt
    begins with BOS where the file does not say.
    """

    patterns: tuple[str, ...]
    whole_words: bool = False
    add_bos: bool = False


WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_GPT2 = PreTokenizer(patterns=(WORDS,))
_LLAMA3 = PreTokenizer(
    patterns=(CONTRACTIONS + r"|\p{N}{1,3}" + REST,), whole_words=True, add_bos=True
)
_DIGITS = PreTokenizer(patterns=(r"\p{N}", WORDS))

PRE_TOKENIZERS: dict[str, PreTokenizer] = {
    "default": PreTokenizer(
        patterns=(r"[\p{P}\$\+<=>\^~\|]+", WORDS, r"\p{N}+", r"[0-9][0-9][0-9]")
    ),
    "gpt-2": _GPT2,
    "olmo": _GPT2,
    "mpt": _GPT2,
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "falcon3": _LLAMA3,
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "refact": _DIGITS,
    "command-r": _DIGITS,
    "codeshell": _DIGITS,
    "qwen2": PreTokenizer(patterns=(CONTRACTIONS + r"|\p{N}" + REST,)),
    "tekken": PreTokenizer(patterns=(TEKKEN,), whole_words=True, add_bos=True),
}
"""By `tokenizer.ggml.pre`."""


def byte_level_backend(
    *,
    tokens: Sequence[str],
    merges: Sequence[tuple[str, str]],
    pre_tokenizer: PreTokenizer,
    control: Sequence[str],
    user_defined: Sequence[str],
    bos: tuple[str, int] | None,
) -> tokenizers.Tokenizer:
    """A tokenizer of the `tokenizers` library.

    `control` tokens have no text; `bos` is put in front of a prompt. Raises `TokenizerError` where
    the parts do not fit together.
    """
    vocab: dict[str, int] = {}
    for token_id, token in enumerate(tokens):
        if vocab.setdefault(token, token_id) != token_id:
            raise TokenizerError(f"tokens {vocab[token]} and {token_id} are both {shown(token)}.")
    try:
        model = models.BPE(vocab, list(merges), ignore_merges=pre_tokenizer.whole_words)
        backend = tokenizers.Tokenizer(model)
        cuts = [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated")
            for pattern in pre_tokenizer.patterns
        ]
        bytes_to_text = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([*cuts, bytes_to_text])
        # The library's list of either texts or tokens is more than a type checker can see through.
        add_tokens = cast(Callable[[list[AddedToken]], int], backend.add_tokens)  # pyright: ignore[reportUnknownMemberType]
        backend.decoder = decoders.ByteLevel()
        added = [AddedToken(t, normalized=False, special=True) for t in control]
        added += [AddedToken(t, normalized=False, special=False) for t in user_defined]
        add_tokens(added)
        if bos is not None:
            backend.post_processor = processors.TemplateProcessing(
                single=[bos[0], "$A"], special_tokens=[bos]
            )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises plain `Exception`s, and panics
        reason = " ".join(str(error).split())[:200]
        raise TokenizerError(f"tokens and merges make no tokenizer ({reason}).") from error
    return backend
