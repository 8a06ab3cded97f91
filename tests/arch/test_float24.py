# SPDX-License-Identifier: Apache-2.0
"""F24 against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from weft_arch import float24

MAX = Fraction(float24.MAX)
SMALLEST = Fraction(1, 1 << 126)


def rounded(exact: Fraction) -> Fraction:
    """Nearest F24, ties to even; flushed to 0 below 2**-126 after rounding; saturated."""
    if exact == 0:
        return exact
    magnitude = abs(exact)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    exponent -= Fraction(2) ** exponent > magnitude
    unit = Fraction(2) ** (exponent - 15)
    result = min(round(magnitude / unit) * unit, MAX)  # round() of a Fraction takes ties to even
    result = result if result >= SMALLEST else Fraction(0)
    return -result if exact < 0 else result


def pattern(sign: int, exponent: int, fraction: int) -> int:
    return sign << 23 | exponent << 15 | fraction


# Few exponents, so that sums and products often meet; fractions at the edges more often.
FRACTIONS = st.one_of(
    st.sampled_from([0, 1, 2, 0x3FFF, 0x4000, 0x7FFE, 0x7FFF]), st.integers(0, 0x7FFF)
)
EXPONENTS = st.one_of(st.integers(120, 134), st.integers(1, 254), st.sampled_from([1, 2, 253, 254]))
NORMAL = st.builds(pattern, st.integers(0, 1), EXPONENTS, FRACTIONS)
PATTERNS = st.one_of(NORMAL, NORMAL, st.just(0))


def value(bits: int) -> float:
    return float(float24.decode(bits))


def check(result: np.ndarray, exact: Fraction) -> None:
    assert Fraction(float(result)) == rounded(exact)
    assert not np.signbit(result) or result != 0, "there is no negative zero"


@given(PATTERNS, PATTERNS)
@example(pattern(0, 127, 0), pattern(0, 111, 0))  # 1 + 2**-16, a tie that goes down
@example(pattern(0, 127, 1), pattern(0, 111, 0))  # a tie that goes up
@example(pattern(0, 127, 0), pattern(1, 110, 1))  # just above the tie below 1
@example(pattern(0, 127, 0), pattern(1, 127, 0))  # +0
@example(pattern(0, 254, 0x7FFF), pattern(0, 238, 0))  # saturates
@example(pattern(0, 1, 1), pattern(1, 1, 0))  # flushed
def test_addition_rounds_once(a: int, b: int) -> None:
    x, y = value(a), value(b)
    check(float24.add(x, y), Fraction(x) + Fraction(y))


@given(PATTERNS, PATTERNS, st.one_of(st.just(0), st.integers(-160, 160)))
@example(pattern(0, 64, 0x7FFF), pattern(0, 63, 0x0001), 0)  # rounds up to 2**-126
@example(pattern(0, 254, 0), pattern(0, 254, 0), 160)
@example(pattern(1, 1, 0), pattern(0, 1, 0), -160)
def test_multiplication_rounds_once(a: int, b: int, exponent: int) -> None:
    x, y = value(a), value(b)
    exact = Fraction(x) * Fraction(y) * Fraction(2) ** exponent
    check(float24.multiply(x, y, exponent), exact)


@given(PATTERNS, st.integers(-300, 300))
def test_scaling_is_exact_but_for_flush_and_saturation(a: int, exponent: int) -> None:
    x = value(a)
    check(float24.scale_exponent(x, exponent), Fraction(x) * Fraction(2) ** exponent)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(2.0**-126 * (1 - 2.0**-17))  # halfway between the flush limit and the value below it
@example(-(2.0**-126) * (1 - 2.0**-16))
@example(-0.0)
@example(float24.MAX * (1 + 2.0**-17))
def test_rounding_of_any_double(x: float) -> None:
    check(float24.round_to_f24(x), Fraction(x))


@given(st.integers(0, 0xFFFF_FFFF))
def test_conversion_from_binary32(bits: int) -> None:
    x = np.uint32(bits).view(np.float32)
    result = float24.from_float32(x)
    if np.isfinite(x):
        check(result, Fraction(float(x)))
    else:
        assert result == (-float24.MAX if bits >> 31 else float24.MAX)


def test_conversion_from_every_binary16() -> None:
    bits = np.arange(1 << 16)
    result = float24.from_float16_bits(bits)
    with np.errstate(invalid="ignore"):
        usual = bits.astype(np.uint16).view(np.float16).astype(np.float32)
    finite = np.isfinite(usual)
    np.testing.assert_array_equal(result[finite], usual[finite])
    # Exponent field 31 is an ordinary exponent: 65536 and up.
    special = bits[~finite]
    sign = np.where(special >> 15, -1, 1)
    np.testing.assert_array_equal(result[~finite], sign * (65536.0 + 64.0 * (special & 1023)))


def test_patterns_round_trip() -> None:
    fractions = np.array([0, 1, 0x4000, 0x7FFF])
    exponents = np.arange(256)
    signs = np.arange(2)
    bits = (signs[:, None, None] << 23 | exponents[:, None] << 15 | fractions).astype(np.uint32)
    values = float24.decode(bits)
    normal = np.broadcast_to(((exponents > 0) & (exponents < 255))[:, None], bits.shape)
    np.testing.assert_array_equal(float24.encode(values)[normal], bits[normal])
    assert (values[:, 0] == 0).all()
    assert not np.signbit(values[:, 0]).any()
    assert (values[0, 255] == float24.MAX).all()
    assert (values[1, 255] == -float24.MAX).all()


def test_shapes_are_kept() -> None:
    assert float24.add(1.0, 2.0).shape == ()
    assert float24.multiply(np.ones((2, 3)), np.ones(3)).shape == (2, 3)
    assert float24.round_to_f24(np.zeros((0, 4))).shape == (0, 4)
