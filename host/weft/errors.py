# SPDX-License-Identifier: Apache-2.0
"""The errors that weft raises for bad input.

Every message is one whole sentence that names the thing, the value and the bound. The command
line prints it as one line and ends with exit code 2; a traceback always means a bug in weft.
"""

from collections.abc import Iterable

__all__ = [
    "CompileError",
    "EvaluationError",
    "FileError",
    "ModelError",
    "PromptError",
    "SamplingError",
    "TokenizerError",
    "WeftError",
    "check_choice",
    "shown",
]


class WeftError(Exception):
    """Something the user gave cannot be used; the message is one sentence saying what and why."""


class FileError(WeftError):
    """A file is missing, cannot be read, or is not of the format that its place asks for."""


class ModelError(WeftError):
    """A model is of a kind that weft does not run, or its parts do not fit together."""


class CompileError(WeftError):
    """A model does not fit an accelerator, or a compiler level breaks its specification."""


class TokenizerError(WeftError):
    """A tokenizer is damaged or does not belong to the model."""


class PromptError(WeftError):
    """A prompt cannot be turned into tokens, or does not fit the model."""


class SamplingError(WeftError):
    """A sampling parameter is outside its bounds, or logits cannot be sampled from."""


class EvaluationError(WeftError):
    """Held-out data or logits handed to an evaluation do not fit together."""


def check_choice(what: str, name: str, known: Iterable[str]) -> None:
    """A `ModelError` unless ``name`` is one of those that are known; ``what`` is its subject, as
    "weights are"."""
    names = list(known)
    if name not in names:
        raise ModelError(f"{what} {shown(name)}, but must be one of {', '.join(names)}.")


def shown(value: object, limit: int = 60) -> str:
    """`repr(value)` on one line of at most `limit` characters, for use inside a message.

    Values read from a file may be of any size and kind, so they are never put into a message
    as they are.
    """
    if isinstance(value, int) and value.bit_length() > 4 * limit:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # digits of nested huge integers, or nesting itself
        return f"a {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
