# SPDX-License-Identifier: Apache-2.0
"""Texts in, embeddings out: an encoder on a device."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.encoder import open_encoder
from weft.errors import ModelError, PromptError
from weft.files import in_file, read_json_object
from weft.kv_format import AUTO, check_kv_name
from weft.model import load_model
from weft.model.config_words import Pooling
from weft.model.fields import Fields
from weft.tokenizer import Tokenizer
from weft.weight_choice import check_name

__all__ = ["DEFAULT_ENCODER", "Embedder", "truncated"]

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
LIMIT_FILE = "sentence_bert_config.json"

Embeddings = npt.NDArray[np.float32]


class Embedder:
    """Turns texts into vectors whose cosine tells how alike the texts are.

    - `model`: a sentence-transformers folder, a GGUF file of an encoder, or a name as for `LLM`.
    - `device`: "reference" (NumPy), "rtl" (cycle accurate, the same bits), another that is
      installed, or "float" for float arithmetic.
    - `preset`, `weights`, `kv_format`, `device_options`: as for `LLM`; float arithmetic has none of
      them.
    - `pooling`: "mean" over the tokens or "cls", the first token's; the model's own by default, and
      the mean where it does not say.
    - `normalize`: vectors of length 1, so that a dot product is the cosine.
    - `max_tokens`: longer texts are cut; the model's own limit by default.

    Raises `WeftError` with one sentence when any of it cannot be used.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_ENCODER,
        *,
        device: str = "reference",
        preset: str = "default",
        weights: str = "w8",
        kv_format: str = AUTO,
        pooling: Pooling | None = None,
        normalize: bool = True,
        max_tokens: int | None = None,
        device_options: dict[str, Any] | None = None,
    ) -> None:
        check_name(weights)
        check_kv_name(kv_format)
        self.loaded = load_model(model)
        config = self.loaded.checkpoint.config
        if config.head != "none":
            raise ModelError(
                f"{self.loaded.name} is a language model, but embeddings come from encoders such "
                f"as {DEFAULT_ENCODER}."
            )
        longest = min(_own_limit(self.loaded.path) or config.max_context, config.max_context)
        if max_tokens is not None and not 3 <= max_tokens <= config.max_context:
            raise ModelError(
                f"max_tokens is {max_tokens}, but must be between 3 and the {config.max_context} "
                f"positions of the model."
            )
        self.pooling: Pooling = pooling or config.pooling or "mean"
        self.max_tokens = longest if max_tokens is None else max_tokens
        self._normalize = normalize
        self.encoder = open_encoder(
            self.loaded.checkpoint,
            device=device,
            preset=preset,
            weights=weights,
            kv_format=kv_format,
            max_tokens=self.max_tokens,
            device_options=device_options,
        )

    @property
    def dim(self) -> int:
        """Numbers of an embedding."""
        return self.loaded.checkpoint.config.dim

    def tokens(self, text: str) -> list[int]:
        """The tokens that a text is read as, cut to `max_tokens`."""
        return truncated(self.loaded.tokenizer, text, self.max_tokens)

    def embed(self, texts: str | Sequence[str]) -> Embeddings:
        """One row for each text: float32 [texts, dim].

        A text's embedding does not depend on the texts beside it. Raises `PromptError` for a text
        that cannot be encoded.
        """
        rows = [self._embed(text) for text in ([texts] if isinstance(texts, str) else texts)]
        return np.stack(rows) if rows else np.zeros((0, self.dim), np.float32)

    def _embed(self, text: str) -> npt.NDArray[np.float32]:
        token_ids = self.tokens(text)
        hidden = self.encoder.run(token_ids, [0] * len(token_ids)).astype(np.float64)
        pooled = hidden.mean(axis=0) if self.pooling == "mean" else hidden[0]
        if self._normalize:
            pooled = pooled / max(float(np.linalg.norm(pooled)), 1e-12)
        return pooled.astype(np.float32)


def truncated(tokenizer: Tokenizer, text: str, max_tokens: int) -> list[int]:
    """At most `max_tokens` tokens; special ones, which stand around the text, are all kept.

    Raises `PromptError` when there is no token at all, or too many special ones.
    """
    token_ids = tokenizer.encode(text)
    if not token_ids:
        raise PromptError("the text has no tokens, so there is no embedding of it.")
    if len(token_ids) <= max_tokens:
        return token_ids
    plain = tokenizer.encode(text, add_special_tokens=False)
    special = len(token_ids) - len(plain)
    if special >= max_tokens:
        raise PromptError(
            f"the tokenizer puts {special} special tokens around a text, but only {max_tokens} "
            f"tokens are allowed."
        )
    front = next((n for n in range(special + 1) if token_ids[n : n + len(plain)] == plain), special)
    behind = token_ids[front + len(plain) :]
    return [*token_ids[:front], *plain[: max_tokens - special], *behind]


def _own_limit(path: Path) -> int | None:
    """The longest text that a sentence-transformers folder was made for, if it says so."""
    file = path / LIMIT_FILE
    if not file.is_file():
        return None
    values = read_json_object(file)
    with in_file(file):
        limit = Fields(values).integer("max_seq_length", 1 << 30)
        if limit < 3:
            raise ModelError(f"max_seq_length is {limit}, but must be at least 3.")
    return limit
