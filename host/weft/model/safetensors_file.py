# SPDX-License-Identifier: Apache-2.0
"""Reads `.safetensors` files into float32, trusting nothing in them.

The format: a little-endian unsigned 64-bit length, that many bytes of JSON which map a tensor's
name to `{"dtype", "shape", "data_offsets": [begin, end]}`, then the data that the offsets count
into. The library of that name is not used because its NumPy side does not read bfloat16, which is
what most published checkpoints are stored in.

Source: https://huggingface.co/docs/safetensors, section "Format".
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.errors import FileError, shown
from weft.files import JsonObject, as_list, as_object, file_size_bytes, in_file, parse_json_object
from weft.model.checkpoint import FloatTensor

__all__ = ["SafetensorsFile", "TensorEntry"]

HEADER_LIMIT_BYTES = 100_000_000
"""The format's own limit on the length of its header."""

ELEMENT_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Element types that hold weights; a tensor of any other type is refused when it is read."""


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """Where one tensor lies: its element type, shape, and first byte counted in the file."""

    dtype: str
    shape: tuple[int, ...]
    offset_bytes: int
    size_bytes: int


class SafetensorsFile:
    """The tensors of one file, read one at a time.

    The header is checked on construction: every tensor lies inside the file and is as long as
    its shape and type say. `FileError` names the file, the tensor and the value at fault.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        size_bytes = file_size_bytes(path)
        with in_file(path):
            header, data_offset_bytes = _read_header(path, size_bytes)
            self.entries = {
                name: _check_entry(name, value, data_offset_bytes, size_bytes)
                for name, value in header.items()
                if name != "__metadata__"
            }

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the named tensor; `KeyError` when there is none of that name."""
        return self.entries[name].shape

    def read(self, name: str) -> FloatTensor:
        """The named tensor as float32, a float64 one rounded to nearest even.

        Raises `KeyError` when there is none of that name, and `FileError` when it is empty or
        its element type is no floating-point type.
        """
        entry = self.entries[name]
        return self._read(name, 0, entry.size_bytes).reshape(entry.shape)

    def read_rows(self, name: str, first: int, end: int) -> FloatTensor:
        """Rows `first` to `end` of a tensor of two dimensions, as `read` gives them."""
        entry = self.entries[name]
        rows, columns = entry.shape
        row_bytes = entry.size_bytes // max(1, rows)
        found = self._read(name, first * row_bytes, (end - first) * row_bytes)
        return found.reshape(end - first, columns)

    def _read(self, name: str, begin: int, size_bytes: int) -> FloatTensor:
        """Numbers of the named tensor, from its byte `begin` on."""
        entry = self.entries[name]
        with in_file(self.path):
            if entry.dtype not in ELEMENT_BYTES:
                raise FileError(
                    f"tensor {shown(name)} is of type {entry.dtype}, but weights must be one of "
                    f"{', '.join(ELEMENT_BYTES)}."
                )
            if entry.size_bytes == 0:
                raise FileError(f"tensor {shown(name)} is empty.")
            try:
                with self.path.open("rb") as file:
                    file.seek(entry.offset_bytes + begin)
                    data = file.read(size_bytes)
            except OSError as error:
                raise FileError(f"cannot be read ({error.strerror}).") from error
            if len(data) != size_bytes:
                raise FileError(f"tensor {shown(name)} is cut off.")
            return _to_float32(data, entry.dtype)


def _read_header(path: Path, size_bytes: int) -> tuple[JsonObject, int]:
    """The header, and where the data begins."""
    if size_bytes < 8:
        raise FileError(f"cut off after {size_bytes} bytes, before the length of its header.")
    try:
        with path.open("rb") as file:
            (header_bytes,) = struct.unpack("<Q", file.read(8))
            available = min(size_bytes - 8, HEADER_LIMIT_BYTES)
            if header_bytes > available:
                raise FileError(
                    f"the header is said to be {header_bytes} bytes long, but at most {available} "
                    f"are possible."
                )
            raw = file.read(header_bytes)
    except (OSError, struct.error) as error:
        raise FileError(f"cannot be read ({error}).") from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"the header is not UTF-8 text (byte {error.start}).") from error
    return parse_json_object(text), 8 + header_bytes


def _check_entry(name: str, value: object, data_offset_bytes: int, size_bytes: int) -> TensorEntry:
    """The entry that `value` describes, inside a file of `size_bytes`."""
    where = f"tensor {shown(name)}"
    fields = as_object(value)
    if fields is None:
        raise FileError(f"{where} is described by {shown(value)}, not by an object.")
    dtype = fields.get("dtype")
    if not isinstance(dtype, str) or len(dtype) > 16:
        raise FileError(f"{where} has dtype {shown(dtype)}, which is not the name of a type.")
    shape = _naturals(fields.get("shape"))
    offsets = _naturals(fields.get("data_offsets"))
    if shape is None or len(shape) > 8:
        raise FileError(f"{where} has shape {shown(fields.get('shape'))}, which is no shape.")
    if offsets is None or len(offsets) != 2:
        raise FileError(
            f"{where} has data_offsets {shown(fields.get('data_offsets'))}, which is not a pair."
        )
    begin, end = offsets
    data_bytes = size_bytes - data_offset_bytes
    if not begin <= end <= data_bytes:
        raise FileError(
            f"{where} lies at bytes {shown(begin)} to {shown(end)}, but the file holds "
            f"{data_bytes} bytes of data."
        )
    if dtype in ELEMENT_BYTES and math.prod(shape) * ELEMENT_BYTES[dtype] != end - begin:
        raise FileError(
            f"{where} of type {dtype} and shape {shown(list(shape))} is said to take "
            f"{end - begin} bytes."
        )
    return TensorEntry(
        dtype=dtype, shape=shape, offset_bytes=data_offset_bytes + begin, size_bytes=end - begin
    )


def _naturals(value: object) -> tuple[int, ...] | None:
    """`value` as a tuple of integers that are not negative, or None when it is anything else."""
    values = as_list(value)
    if values is None:
        return None
    items: list[int] = []
    for item in values:
        if isinstance(item, bool) or not isinstance(item, int) or item < 0:
            return None
        items.append(item)
    return tuple(items)


def _to_float32(data: bytes, dtype: str) -> FloatTensor:
    """Little-endian `data` of type `dtype` as float32."""
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    array = np.frombuffer(data, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype])
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for what is not finite
        return array.astype(np.float32)
