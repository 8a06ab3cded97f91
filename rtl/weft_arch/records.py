# SPDX-License-Identifier: Apache-2.0
"""Records in memory, as dataclasses whose fields are little-endian numbers one behind the other."""

import dataclasses
import struct
from typing import Any, Self

__all__ = ["Place", "Record32", "long", "word"]


def word(doc: str, **more: Any) -> Any:
    """A field of 32 bits; ``more`` goes to `dataclasses.field`."""
    return dataclasses.field(**more, metadata={"code": "I", "doc": doc})


def long(doc: str, **more: Any) -> Any:
    """A field of 64 bits: the low word, then the high one."""
    return dataclasses.field(**more, metadata={"code": "Q", "doc": doc})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a field lies in its record."""

    name: str
    offset: int
    bytes: int
    doc: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record32:
    """A record of words; subclasses are frozen dataclasses whose fields `word` and `long` make."""

    @classmethod
    def places(cls) -> list[Place]:
        """Its fields."""
        found: list[Place] = []
        at = 0
        for field in dataclasses.fields(cls):
            size = struct.calcsize("<" + field.metadata["code"])
            found.append(Place(name=field.name, offset=at, bytes=size, doc=field.metadata["doc"]))
            at += size
        return found

    @classmethod
    def size(cls) -> int:
        """Bytes of all fields."""
        return cls._struct().size

    @classmethod
    def offset(cls, name: str) -> int:
        """Byte offset of a field."""
        return next(place.offset for place in cls.places() if place.name == name)

    def pack(self) -> bytes:
        """The bytes of the fields."""
        return self._struct().pack(*(getattr(self, f.name) for f in dataclasses.fields(self)))

    @classmethod
    def unpack(cls, raw: bytes) -> Self:
        """From the bytes of the fields; what follows them is passed over."""
        names = (field.name for field in dataclasses.fields(cls))
        return cls(**dict(zip(names, cls._struct().unpack_from(raw), strict=True)))

    @classmethod
    def _struct(cls) -> struct.Struct:
        return struct.Struct("<" + "".join(f.metadata["code"] for f in dataclasses.fields(cls)))
