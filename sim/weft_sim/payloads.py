# SPDX-License-Identifier: Apache-2.0
"""Packs Python values into the integers that appear on ports, and back.

A port of an Amaranth component is one vector however structured its shape is. A `Packer` knows the
shape and converts: structures from and to dictionaries, arrays from and to lists, signed numbers
from and to negative integers, everything else from and to plain integers.

    >>> from amaranth.lib import data
    >>> from amaranth import signed
    >>> packer = Packer(data.StructLayout({"code": signed(8), "last": 1}))
    >>> packer.pack({"code": -2, "last": 1})
    510
    >>> packer.unpack(510)
    {'code': -2, 'last': 1}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data

__all__ = ["Packer", "pack", "unpack"]


class Packer:
    """Converts values of one shape.

    Args:
        shape: anything Amaranth accepts as a shape: a width, ``signed(n)``, an enumeration class,
            a layout of `amaranth.lib.data`, or any other shape-castable object.
    """

    def __init__(self, shape: Any) -> None:
        if isinstance(shape, type) and issubclass(shape, (data.Struct, data.Union)):
            shape = data.Layout.cast(shape)
        flat = Shape.cast(shape)
        self.width = flat.width
        self.signed = flat.signed
        self._fields: dict[Any, tuple[int, Packer]] | None = None
        self._is_array = isinstance(shape, data.ArrayLayout)
        if isinstance(shape, data.ArrayLayout):
            element = Packer(shape.elem_shape)
            self._fields = {i: (i * element.width, element) for i in range(shape.length)}
        elif isinstance(shape, data.Layout):
            self._fields = {name: (field.offset, Packer(field.shape)) for name, field in shape}

    def pack(self, value: Any) -> int:
        """The unsigned integer that stands for `value` on a port.

        Fields that a dictionary leaves out are zero. A number that is already packed (an integer
        given for a structure) is taken as it is.

        Raises:
            ValueError: a number does not fit its field, or a field does not exist.
        """
        if hasattr(value, "as_bits"):
            return value.as_bits()
        fields = self._fields
        if fields is None or isinstance(value, (int, np.integer)):
            return self._pack_number(int(value))
        if isinstance(value, Mapping):
            items = value.items()
        else:
            if len(value) != len(fields):
                raise ValueError(f"{len(value)} values given for an array of {len(fields)}.")
            items = enumerate(value)
        total = 0
        for key, item in items:
            if key not in fields:
                raise ValueError(f"There is no field {key!r}; the fields are {list(fields)}.")
            offset, packer = fields[key]
            total |= packer.pack(item) << offset
        return total

    def unpack(self, bits: int) -> Any:
        """The value that the unsigned integer `bits` stands for: a dict, a list or an int."""
        if self._fields is None:
            bits &= (1 << self.width) - 1
            if self.signed and bits >> (self.width - 1):
                bits -= 1 << self.width
            return bits
        values = {
            key: packer.unpack(bits >> offset) for key, (offset, packer) in self._fields.items()
        }
        return list(values.values()) if self._is_array else values

    def _pack_number(self, value: int) -> int:
        is_signed = self.signed and self._fields is None
        low = -(1 << (self.width - 1)) if is_signed else 0
        high = (1 << (self.width - 1)) if is_signed else (1 << self.width)
        if not low <= value < max(high, 1):
            kind = "signed" if is_signed else "unsigned"
            raise ValueError(f"{value} does not fit {self.width} {kind} bits.")
        return value & ((1 << self.width) - 1)


def pack(shape: Any, value: Any) -> int:
    """`Packer.pack` for a shape that is used once."""
    return Packer(shape).pack(value)


def unpack(shape: Any, bits: int) -> Any:
    """`Packer.unpack` for a shape that is used once."""
    return Packer(shape).unpack(bits)


def pack_lanes(values: Sequence[int] | np.ndarray, width: int) -> int:
    """Pack equally wide numbers (signed ones as two's complement), the first in the low bits."""
    mask = (1 << width) - 1
    total = 0
    for index, value in enumerate(values):
        total |= (int(value) & mask) << (index * width)
    return total
