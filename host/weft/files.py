# SPDX-License-Identifier: Apache-2.0
"""Reading untrusted files: every failure is one sentence that names the file."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from weft.errors import FileError, WeftError, shown

__all__ = [
    "JsonObject",
    "as_list",
    "as_object",
    "file_size_bytes",
    "in_file",
    "parse_json_object",
    "read_json_object",
    "read_text",
]

JsonObject = dict[str, object]
"""A parsed JSON object; its values are checked where they are used."""


@contextmanager
def in_file(where: Path | str) -> Generator[None]:
    """Put the file, or a place in it, in front of the sentence of any `WeftError` raised inside."""
    try:
        yield
    except WeftError as error:
        raise type(error)(f"{where}: {error}") from error


def file_size_bytes(path: Path) -> int:
    """Size of a regular file; raise `FileError` when it is not there or is no file."""
    try:
        if path.is_file():
            return path.stat().st_size
        problem = "is a folder, not a file" if path.is_dir() else "does not exist"
    except (OSError, ValueError) as error:
        problem = f"cannot be read ({_reason(error)})"
    raise FileError(f"{path} {problem}.")


def read_text(path: Path, *, limit_bytes: int) -> str:
    """Content of a UTF-8 text file of at most `limit_bytes`."""
    size_bytes = file_size_bytes(path)
    if size_bytes > limit_bytes:
        raise FileError(
            f"{path} is {size_bytes} bytes long, but at most {limit_bytes} are expected."
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read ({_reason(error)}).") from error


def read_json_object(path: Path, *, limit_bytes: int = 1 << 24) -> JsonObject:
    """The JSON object that a file holds."""
    text = read_text(path, limit_bytes=limit_bytes)
    with in_file(path):
        return parse_json_object(text)


def parse_json_object(text: str) -> JsonObject:
    """The JSON object that `text` spells; raise `FileError` when it is anything else."""
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise FileError(
            f"not valid JSON, {error.msg} at line {error.lineno} column {error.colno}."
        ) from error
    except ValueError as error:  # more digits in a number than Python converts
        raise FileError("not usable JSON, it holds a number of too many digits.") from error
    except RecursionError as error:
        raise FileError("not usable JSON, it is nested too deeply.") from error
    parsed = as_object(value)
    if parsed is None:
        raise FileError(f"not a JSON object, but {shown(value)}.")
    return parsed


def as_object(value: object) -> JsonObject | None:
    """`value` when it is a JSON object, else None."""
    return cast(JsonObject, value) if isinstance(value, dict) else None


def as_list(value: object) -> list[object] | None:
    """`value` when it is a JSON array, else None."""
    return cast(list[object], value) if isinstance(value, list) else None


def _reason(error: OSError | ValueError) -> str:
    """The operating system's words for `error`, or Python's."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
