# SPDX-License-Identifier: Apache-2.0
"""The metadata of a GGUF file: parsed with every length checked, looked up with every type checked.

A key has a type of its own in the file, so one key may be an integer in one file and a string in
the next. Arrays stay in the file until they are asked for, so that a large one costs nothing but
its place.
"""

import math
import struct
from dataclasses import dataclass
from mmap import mmap
from typing import cast

import numpy as np
import numpy.typing as npt

from weft.errors import ModelError, shown

__all__ = ["Cursor", "Metadata", "read_metadata"]

METADATA_LIMIT_BYTES = 1 << 27
"""All in front of the tensors' data; the largest vocabularies that exist take some 20 MB."""
KEY_LIMIT = 1 << 16
KEY_LIMIT_BYTES = (1 << 16) - 1
STRING_LIMIT = 1 << 21
"""Strings in all arrays of a file together: each costs time, however short it is."""

U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")
SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<B"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
FLOAT32, BOOL, STRING, ARRAY = 6, 7, 8, 9

Scalar = int | float | bool | bytes


@dataclass(frozen=True, kw_only=True)
class Array:
    """Where `count` items of one type lie in the file."""

    kind: int
    count: int
    offset_bytes: int


class Cursor:
    """Walks forward through a mapped file and never beyond `end`.

    Each step names what it reads, for the `ModelError` when there is not enough left.
    """

    def __init__(self, data: mmap, end: int) -> None:
        self.data = data
        self.offset = 0
        self._end = end

    @property
    def left(self) -> int:
        """Bytes up to the end."""
        return self._end - self.offset

    def skip(self, n_bytes: int, what: str) -> int:
        """Go over `n_bytes`; the offset of the first."""
        if n_bytes > self.left:
            raise ModelError(
                f"{what} takes {n_bytes} bytes from byte {self.offset} on, but at most "
                f"{self.left} are possible."
            )
        start = self.offset
        self.offset += n_bytes
        return start

    def u32(self, what: str) -> int:
        """An unsigned 32-bit integer."""
        return U32.unpack_from(self.data, self.skip(4, what))[0]

    def u64(self, what: str) -> int:
        """An unsigned 64-bit integer."""
        return U64.unpack_from(self.data, self.skip(8, what))[0]

    def string(self, what: str) -> bytes:
        """A length and so many bytes."""
        n_bytes = self.u64(f"the length of {what}")
        start = self.skip(n_bytes, what)
        return self.data[start : start + n_bytes]

    def skip_strings(self, count: int, what: str) -> None:
        """Go over `count` strings; a loop of its own because vocabularies are long."""
        data, offset, last = self.data, self.offset, self._end - 8
        for index in range(count):
            if offset > last:
                raise ModelError(
                    f"string {index} of {what} begins at byte {shown(offset)}, behind the end."
                )
            offset += 8 + U64.unpack_from(data, offset)[0]
        self.skip(offset - self.offset, what)

    def name(self, what: str, limit_bytes: int) -> str:
        """A string that names something, of at most `limit_bytes`."""
        raw = self.string(what)
        if len(raw) > limit_bytes:
            raise ModelError(
                f"{what} is {len(raw)} bytes long, but at most {limit_bytes} are allowed."
            )
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise ModelError(f"{what} is {shown(raw)}, which is not UTF-8 text.") from None


class Metadata:
    """What the keys of a file stand for.

    A lookup returns its `default` (None, unless given) when the key is absent and raises
    `ModelError`, naming the key and the value, when its value is of another type.
    """

    def __init__(self, data: mmap, values: dict[str, Scalar | Array]) -> None:
        self._data = data
        self._values = values

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def shown(self, key: str) -> str:
        """The value of a key that is there, for a message."""
        value = self._values[key]
        if isinstance(value, Array):
            return f"an array of {value.count} items"
        return shown(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)

    def integer(self, key: str, default: int | None = None) -> int | None:
        """An integer of any width; also an array of integers that are all the same."""
        value = self._values.get(key)
        if value is None:
            return default
        if isinstance(value, Array):
            items = self.numbers(key)
            if items.dtype.kind not in "iu" or not len(items) or (items != items[0]).any():
                raise ModelError(f"{key} is {self.shown(key)}, but must be one integer for all.")
            return int(items[0])
        if isinstance(value, bool) or not isinstance(value, int):
            raise ModelError(f"{key} is {self.shown(key)}, but must be an integer.")
        return value

    def number(self, key: str, default: float | None = None) -> float | None:
        """A number; a float32 as the shortest decimal that stands for it, such as 1e-05."""
        value = self._values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ModelError(f"{key} is {self.shown(key)}, but must be a number.")
        if not abs(value) < 1e300:
            raise ModelError(f"{key} is {self.shown(key)}, which is no usable number.")
        return float(value)

    def boolean(self, key: str, default: bool | None = None) -> bool | None:
        """True or false."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            raise ModelError(f"{key} is {self.shown(key)}, but must be true or false.")
        return default if value is None else value

    def text(self, key: str, default: str | None = None) -> str | None:
        """UTF-8 text."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bytes):
            raise ModelError(f"{key} is {self.shown(key)}, but must be a string.")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelError(f"{key} is not UTF-8 text (byte {error.start}).") from None

    def strings(self, key: str) -> list[bytes] | None:
        """An array of strings, as bytes."""
        array = self._array(key)
        if array is None:
            return None
        if array.kind != STRING:
            raise ModelError(f"{key} is {self.shown(key)}, but not of strings.")
        found: list[bytes] = []
        offset = array.offset_bytes
        for _ in range(array.count):  # the lengths were checked when the file was opened
            start = offset + 8
            offset = start + U64.unpack_from(self._data, offset)[0]
            found.append(self._data[start:offset])
        return found

    def numbers(self, key: str) -> npt.NDArray[np.generic]:
        """An array of numbers, in the type that it has in the file; empty when absent."""
        array = self._array(key)
        if array is None:
            return np.zeros(0, np.int32)
        if array.kind not in SCALARS or array.kind == BOOL:
            raise ModelError(f"{key} is {self.shown(key)}, but not of numbers.")
        dtype = np.dtype(SCALARS[array.kind].format)
        return np.frombuffer(self._data, dtype, array.count, array.offset_bytes)

    def _array(self, key: str) -> Array | None:
        value = self._values.get(key)
        if value is None or isinstance(value, Array):
            return value
        raise ModelError(f"{key} is {self.shown(key)}, but must be an array.")


def read_metadata(cursor: Cursor, count: int) -> Metadata:
    """The `count` keys and values at the cursor; `ModelError` names the key at fault."""
    if count > KEY_LIMIT:
        raise ModelError(f"the file has {count} metadata keys, but at most {KEY_LIMIT} are read.")
    values: dict[str, Scalar | Array] = {}
    strings_left = STRING_LIMIT
    for index in range(count):
        key = cursor.name(f"metadata key {index}", KEY_LIMIT_BYTES)
        where = shown(key)
        if key in values:
            raise ModelError(f"metadata key {where} is there twice.")
        kind = cursor.u32(f"the type of {where}")
        if kind == ARRAY:
            value = _skip_array(cursor, where, strings_left)
            strings_left -= value.count if value.kind == STRING else 0
        else:
            value = _scalar(cursor, kind, where)
        values[key] = value
    return Metadata(cursor.data, values)


def _scalar(cursor: Cursor, kind: int, where: str) -> Scalar:
    if kind == STRING:
        return cursor.string(where)
    if kind not in SCALARS:
        raise ModelError(f"metadata key {where} has a value of type {kind}, which is no type.")
    form = SCALARS[kind]
    start = cursor.skip(form.size, where)
    (value,) = cast(tuple[int | float], form.unpack_from(cursor.data, start))
    if kind == BOOL:
        if value not in (0, 1):
            raise ModelError(f"metadata key {where} is a boolean of {value}, but must be 0 or 1.")
        return bool(value)
    if kind == FLOAT32 and math.isfinite(value):
        return float(str(np.float32(value)))
    return value


def _skip_array(cursor: Cursor, where: str, strings_left: int) -> Array:
    """Check an array's items and go behind them."""
    kind = cursor.u32(f"the item type of {where}")
    count = cursor.u64(f"the length of {where}")
    array = Array(kind=kind, count=count, offset_bytes=cursor.offset)
    if kind in SCALARS:
        cursor.skip(count * SCALARS[kind].size, where)
        return array
    if kind == ARRAY:
        raise ModelError(f"metadata key {where} is an array of arrays, which weft does not read.")
    if kind != STRING:
        raise ModelError(f"metadata key {where} has items of type {kind}, which is no type.")
    if count > cursor.left // 8:
        raise ModelError(
            f"{where} is said to hold {count} strings, but there is room for at most "
            f"{cursor.left // 8}."
        )
    if count > strings_left:
        raise ModelError(
            f"{where} holds {count} strings, but weft reads at most {STRING_LIMIT} of a file."
        )
    cursor.skip_strings(count, where)
    return array
