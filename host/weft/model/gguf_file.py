# SPDX-License-Identifier: Apache-2.0
"""Opens GGUF files, memory-mapped, trusting nothing in them.

The format: the magic `GGUF`, a version (2 or 3; 1 had other widths), the number of tensors and of
metadata keys, the metadata, a description of every tensor (name, dimensions with the length of a
row first, type, offset), and from the next multiple of `general.alignment` on the data that the
offsets count into. Integers are little-endian.

The `gguf` package is not used because it trusts what it reads: counts of 64 bits are loops without
an end, offsets wrap around, nested arrays recurse, and each string of a vocabulary becomes several
arrays. Tests compare with it.

Source: docs/gguf.md of https://github.com/ggml-org/ggml.
"""

import math
import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from weft.errors import FileError, ModelError, shown
from weft.files import file_size_bytes, in_file
from weft.gguf_metadata import METADATA_LIMIT_BYTES, Cursor, Metadata, read_metadata
from weft.model.gguf_blocks import Raw
from weft.model.gguf_types import OTHER_TYPES, TENSOR_TYPES, TensorType

__all__ = ["GGUFFile", "TensorEntry", "is_gguf"]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
HEADER_BYTES = 24
TENSOR_LIMIT = 1 << 16
NAME_LIMIT_BYTES = 64
DIMENSION_LIMIT = 4
ALIGNMENT = 32
ALIGNMENT_LIMIT = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """One tensor: its type, its shape with the length of a row last, and where it lies."""

    name: str
    type: TensorType
    shape: tuple[int, ...]
    offset_bytes: int

    @property
    def row_bytes(self) -> int:
        """What a row takes; rows are whole blocks."""
        return self.shape[-1] // self.type.block * self.type.block_bytes

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return math.prod(self.shape[:-1])

    @property
    def end_bytes(self) -> int:
        """The first byte behind it."""
        return self.offset_bytes + self.rows * self.row_bytes


class GGUFFile:
    """Metadata and tensors of one file.

    Everything in front of the tensors' data is checked on construction: every tensor lies inside
    the file, is as long as its shape and type say, and overlaps no other. `ModelError` names the
    file, the key or tensor, and the value at fault. The data itself stays in the file, which must
    not be cut while it is in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file_size_bytes(path)
        with in_file(path):
            self._map = _map(path)
            cursor = Cursor(self._map, min(len(self._map), METADATA_LIMIT_BYTES))
            n_tensors, n_keys = _read_header(cursor)
            self.metadata: Metadata = read_metadata(cursor, n_keys)
            self.tensors: dict[str, TensorEntry] = _read_tensors(cursor, n_tensors, self.metadata)
            _check_places(self.tensors.values(), len(self._map))

    def rows(self, entry: TensorEntry, first: int, end: int) -> Raw:
        """The blocks of some rows, uint8 [blocks, bytes of a block]: a view into the file."""
        n_bytes = (end - first) * entry.row_bytes
        start = entry.offset_bytes + first * entry.row_bytes
        raw = np.frombuffer(self._map, np.uint8, n_bytes, start)
        return raw.reshape(-1, entry.type.block_bytes)


def is_gguf(path: Path) -> bool:
    """Whether a file begins as a GGUF file does."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _map(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes < HEADER_BYTES:
                raise ModelError(
                    f"cut off after {size_bytes} bytes, inside a header of {HEADER_BYTES}."
                )
            return mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot be read ({error}).") from error


def _read_header(cursor: Cursor) -> tuple[int, int]:
    """Number of tensors and of metadata keys."""
    magic = cursor.data[: len(MAGIC)]
    if magic != MAGIC:
        raise ModelError(f"no GGUF file, it begins with {shown(magic)}.")
    cursor.skip(len(MAGIC), "the magic")
    version = cursor.u32("the version")
    if version not in VERSIONS:
        if version & 0xFFFF == 0:
            raise ModelError(f"version {version:#x} is big-endian, but weft reads little-endian.")
        raise ModelError(f"GGUF version {version}, but weft reads versions 2 and 3.")
    return cursor.u64("the number of tensors"), cursor.u64("the number of metadata keys")


def _read_tensors(cursor: Cursor, count: int, metadata: Metadata) -> dict[str, TensorEntry]:
    if count > TENSOR_LIMIT:
        raise ModelError(f"the file has {count} tensors, but at most {TENSOR_LIMIT} are read.")
    alignment = metadata.integer("general.alignment", ALIGNMENT) or 0
    if not 1 <= alignment <= ALIGNMENT_LIMIT or alignment & (alignment - 1):
        raise ModelError(
            f"general.alignment is {alignment}, but must be a power of two of at most "
            f"{ALIGNMENT_LIMIT}."
        )
    found: dict[str, tuple[TensorType, tuple[int, ...], int]] = {}
    for index in range(count):
        name = cursor.name(f"the name of tensor {index}", NAME_LIMIT_BYTES)
        where = f"tensor {shown(name)}"
        if name in found:
            raise ModelError(f"{where} is there twice.")
        n_dimensions = cursor.u32(f"the dimensions of {where}")
        if not 1 <= n_dimensions <= DIMENSION_LIMIT:
            raise ModelError(
                f"{where} has {n_dimensions} dimensions, but must have 1 to {DIMENSION_LIMIT}."
            )
        dimensions = tuple(cursor.u64(f"the shape of {where}") for _ in range(n_dimensions))
        kind = _check_type(where, cursor.u32(f"the type of {where}"), dimensions)
        offset = cursor.u64(f"the offset of {where}")
        if offset % alignment:
            raise ModelError(
                f"{where} is said to begin at {offset}, which is no multiple of "
                f"general.alignment {alignment}."
            )
        found[name] = (kind, tuple(reversed(dimensions)), offset)
    start = -(-cursor.offset // alignment) * alignment
    return {
        name: TensorEntry(name=name, type=kind, shape=shape, offset_bytes=start + offset)
        for name, (kind, shape, offset) in found.items()
    }


def _check_type(where: str, number: int, dimensions: tuple[int, ...]) -> TensorType:
    """The type of that number, of which rows must be whole blocks."""
    kind = TENSOR_TYPES.get(number)
    if kind is None:
        known = ", ".join(known.name for known in TENSOR_TYPES.values())
        name = OTHER_TYPES.get(number, f"of number {number}")
        raise ModelError(f"{where} is of type {name}, but weft reads {known}.")
    if 0 in dimensions:
        raise ModelError(f"{where} has shape {shown(list(reversed(dimensions)))}, which is empty.")
    if dimensions[0] % kind.block:
        raise ModelError(
            f"{where} has rows of {dimensions[0]} values, but type {kind.name} stores "
            f"{kind.block} at a time."
        )
    return kind


def _check_places(entries: Iterable[TensorEntry], size_bytes: int) -> None:
    """Every tensor lies inside the file, and none inside another."""
    ordered = sorted(entries, key=lambda entry: entry.offset_bytes)
    for entry in ordered:
        if entry.end_bytes > size_bytes:
            raise ModelError(
                f"tensor {shown(entry.name)} of type {entry.type.name} and shape "
                f"{shown(list(entry.shape))} lies at bytes {entry.offset_bytes} to "
                f"{shown(entry.end_bytes)}, but the file ends at {size_bytes}."
            )
    for one, other in pairwise(ordered):
        if other.offset_bytes < one.end_bytes:
            raise ModelError(
                f"tensors {shown(one.name)} and {shown(other.name)} overlap at byte "
                f"{other.offset_bytes}."
            )
