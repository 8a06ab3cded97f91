# SPDX-License-Identifier: Apache-2.0
"""Tokenizers described by a `tokenizer.json`, run by the `tokenizers` library."""

from collections.abc import Sequence
from pathlib import Path

import tokenizers

from weft.errors import TokenizerError, shown
from weft.files import JsonObject, as_list, in_file, parse_json_object, read_json_object, read_text
from weft.tokenizer.protocol import check_token_ids, utf8

__all__ = ["HuggingFaceTokenizer", "load_huggingface_tokenizer"]

FILE_LIMIT_BYTES = 1 << 28


class HuggingFaceTokenizer:
    """A `tokenizers.Tokenizer` behind weft's protocol.

    Whether a prompt begins with BOS is decided by the file's own post-processor, as it is in
    `transformers`.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        vocab_size: int,
        bos_id: int | None,
        eos_ids: tuple[int, ...],
    ) -> None:
        self._backend = backend
        self.vocab_size = vocab_size
        self.bos_id = bos_id
        self.eos_ids = eos_ids

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a prompt, with the special tokens that the post-processor adds."""
        utf8(text)
        try:
            return self._backend.encode(text, add_special_tokens=add_special_tokens).ids
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a damaged file makes the library raise, or panic
            reason = " ".join(str(error).split())[:200]
            raise TokenizerError(f"the tokenizer cannot encode the prompt ({reason}).") from error

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of the ids without special tokens; ids that the file does not name have none."""
        check_token_ids(token_ids, self.vocab_size)
        return self._backend.decode(list(token_ids), skip_special_tokens=True)


def load_huggingface_tokenizer(folder: Path, vocab_size: int) -> HuggingFaceTokenizer:
    """The tokenizer of a model folder.

    `vocab_size` is the model's; ids may stay unused, but none may lie beyond it. BOS and EOS are
    those of `generation_config.json` where it names them, else of `config.json`.

    Raises `FileError` or `TokenizerError` when `tokenizer.json` is missing, damaged or too large
    for the model, or when one of the configuration files is.
    """
    path = folder / "tokenizer.json"
    text = read_text(path, limit_bytes=FILE_LIMIT_BYTES)
    with in_file(path):
        parse_json_object(text)  # its sentence is better than the library's
    bos_ids = _special_ids(folder, "bos_token_id", vocab_size)
    eos_ids = _special_ids(folder, "eos_token_id", vocab_size)
    backend = _parse(text, path)
    largest = max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest >= vocab_size:
        raise TokenizerError(
            f"{path} has a token with id {largest}, but the model's vocab_size is {vocab_size}."
        )
    return HuggingFaceTokenizer(
        backend, vocab_size=vocab_size, bos_id=bos_ids[0] if bos_ids else None, eos_ids=eos_ids
    )


def _parse(text: str, path: Path) -> tokenizers.Tokenizer:
    """The library's tokenizer; it raises plain `Exception`, or `PanicException` on a panic."""
    try:
        backend = tokenizers.Tokenizer.from_str(text)
        backend.no_truncation()
        backend.no_padding()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        reason = " ".join(str(error).split())[:200]
        raise TokenizerError(f"{path} is not a usable tokenizer ({reason}).") from error
    return backend


def _special_ids(folder: Path, name: str, vocab_size: int) -> tuple[int, ...]:
    """The ids that the model's configuration files give for `name`."""
    for file in ("generation_config.json", "config.json"):
        path = folder / file
        if path.is_file():
            fields = read_json_object(path)
            with in_file(path):
                ids = _token_ids(fields, name, vocab_size)
            if ids:
                return ids
    return ()


def _token_ids(fields: JsonObject, name: str, vocab_size: int) -> tuple[int, ...]:
    """The ids in a field that may be absent, null, one id or a list of ids."""
    value = fields.get(name)
    if value is None:
        return ()
    items = as_list(value)
    ids: list[int] = []
    for item in [value] if items is None else items:
        if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item < vocab_size:
            raise TokenizerError(
                f"{name} is {shown(value)}, but token ids are between 0 and {vocab_size - 1}."
            )
        ids.append(item)
    return tuple(ids)
