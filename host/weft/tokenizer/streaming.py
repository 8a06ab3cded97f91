# SPDX-License-Identifier: Apache-2.0
"""Turns tokens into text as they arrive, without ever splitting a character."""

from collections.abc import Sequence

from weft.tokenizer.protocol import Tokenizer

__all__ = ["StreamingDetokenizer"]

CONTEXT_TOKENS = 4
REPLACEMENT = "\ufffd"


class StreamingDetokenizer:
    """Text of a growing sequence of tokens.

    A character of several bytes may span several tokens; text is held back while it ends in the
    middle of one. What `push` and `finish` return, put together, is what `decode` gives for all
    tokens at once behind the context.

    How text depends on its neighbours (a space in front of a word, say) differs between
    tokenizers, so the new text is always the difference between decoding a few tokens with and
    without the new ones. The cost of a token does not grow with the length of the sequence.

    `context` are the tokens in front of the first pushed one, such as the prompt's.
    """

    def __init__(self, tokenizer: Tokenizer, context: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._context = list(context[-CONTEXT_TOKENS:])
        """Tokens whose text has been given out, and on which the next text may depend."""
        self._pending: list[int] = []
        """Tokens whose text has not been given out."""

    def push(self, token_id: int) -> str:
        """Take one token; return the text that is complete with it, which may be empty."""
        self._pending.append(token_id)
        text = self._pending_text()
        if not text or text.endswith(REPLACEMENT):
            return ""
        self._context, self._pending = self._pending, []
        return text

    def finish(self) -> str:
        """Text still held back at the end of the sequence; half a character is U+FFFD."""
        text = self._pending_text()
        self._context, self._pending = [*self._context, *self._pending], []
        return text

    def _pending_text(self) -> str:
        before = self._tokenizer.decode(self._context)
        return self._tokenizer.decode([*self._context, *self._pending])[len(before) :]
