# SPDX-License-Identifier: Apache-2.0
import doctest
import enum

import pytest
from amaranth import signed, unsigned
from amaranth.lib import data
from hypothesis import given
from hypothesis import strategies as st

from weft_sim import payloads
from weft_sim.payloads import Packer, pack, pack_lanes, unpack

LAYOUT = data.StructLayout(
    {"codes": data.ArrayLayout(signed(8), 4), "scale": unsigned(5), "last": 1}
)


class Point(data.Struct):
    x: signed(4)  # type: ignore[valid-type]
    y: 4  # type: ignore[valid-type]


class Kind(enum.Enum):
    A = 0
    B = 5


def test_examples() -> None:
    assert doctest.testmod(payloads).failed == 0


@given(
    st.lists(st.integers(-128, 127), min_size=4, max_size=4),
    st.integers(0, 31),
    st.integers(0, 1),
)
def test_structures_pack_as_amaranth_packs_them(codes: list[int], scale: int, last: int) -> None:
    value: dict[int | str, object] = {"codes": codes, "scale": scale, "last": last}
    bits = pack(LAYOUT, value)
    assert bits == LAYOUT.const(value).as_bits()
    assert unpack(LAYOUT, bits) == value


def test_other_shapes() -> None:
    assert pack(Point, {"x": -1, "y": 2}) == 0x2F
    assert unpack(Point, 0x2F) == {"x": -1, "y": 2}
    assert unpack(signed(3), 0b111) == -1
    assert Packer(Kind).width == 3
    assert unpack(Kind, 5) == 5
    assert pack(LAYOUT, {}) == 0
    assert pack(LAYOUT, 1 << 37) == 1 << 37
    assert pack(0, 0) == 0
    assert pack_lanes([-1, 2], 8) == 0x2FF


@pytest.mark.parametrize(
    ("shape", "value", "sentence"),
    [
        (signed(8), 128, "128 does not fit 8 signed bits"),
        (unsigned(8), -1, "-1 does not fit 8 unsigned bits"),
        (LAYOUT, {"scales": 1}, "no field 'scales'; the fields are"),
        (LAYOUT, {"codes": [1]}, "1 values given for an array of 4"),
    ],
)
def test_what_does_not_fit_is_refused(shape: object, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        pack(shape, value)
