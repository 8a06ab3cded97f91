# SPDX-License-Identifier: Apache-2.0
"""The reference's fast arithmetic equals the definitions of `weft_arch` bit for bit."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from weft_arch import blocks, float24
from weft_sim.reference import arithmetic

DOUBLES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(math.ldexp, st.floats(-2, 2), st.integers(-160, 130)),
    st.sampled_from([0.0, -0.0, 2.0**-126, -(2.0**-127), float24.MAX, -2 * float24.MAX]),
)
# Exponents in a narrow range, in a wide one, and at both ends of F24's.
RANGES = [(-3, 3), (-60, 60), (-128, -100), (110, 127), (-130, 127)]
VALUES = st.sampled_from(RANGES).flatmap(
    lambda r: st.one_of(st.just(0.0), st.builds(math.ldexp, st.floats(-1, 1), st.integers(*r)))
)


def f24_arrays(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    elements = arrays(np.float64, shape, elements=VALUES)
    return elements.map(lambda x: float24.round_to_f24(x).astype(np.float64))


def same(fast: np.ndarray, definition: np.ndarray) -> None:
    np.testing.assert_array_equal(fast, definition.astype(np.float64))
    assert not np.signbit(fast[fast == 0]).any()


@given(arrays(np.float64, 8, elements=DOUBLES))
def test_rounding(x: np.ndarray) -> None:
    same(arithmetic.rounded(x.copy()), float24.round_to_f24(x))


@given(f24_arrays((8,)), arrays(np.int64, 8, elements=st.integers(-300, 300)))
def test_scaling(x: np.ndarray, exponents: np.ndarray) -> None:
    same(arithmetic.scaled(x, exponents), float24.scale_exponent(x, exponents))


@settings(max_examples=50)
@given(
    arrays(np.int32, (3, 2, 4), elements=st.integers(-(2**22), 2**22)),
    f24_arrays((3, 1, 4)),
    arrays(np.int32, (3, 2, 1), elements=st.integers(-128, 127)),
    f24_arrays((2, 4)),
)
@example(
    np.full((3, 2, 4), 2**22, np.int32),
    np.full((3, 1, 4), float24.MAX),
    np.full((3, 2, 1), 127, np.int32),
    np.full((2, 4), -float24.MAX),
)
def test_scaled_accumulation(
    partial: np.ndarray, scales: np.ndarray, exponents: np.ndarray, initial: np.ndarray
) -> None:
    terms = arithmetic.terms(partial.astype(np.float32), scales, exponents)
    expected = initial.astype(np.float32)
    for k in range(3):
        expected = blocks.accumulate(expected, partial[k], scales[k], exponents[k])
    same(arithmetic.accumulate_terms(initial, terms), expected)


@settings(max_examples=50)
@given(st.integers(1, 6).flatmap(lambda k: f24_arrays((k, 5))), f24_arrays((5,)))
@example(np.array([[2.0**-126] * 5, [-(2.0**-126)] * 5]), np.full(5, 2.0**-120))
def test_sums_in_order(terms: np.ndarray, initial: np.ndarray) -> None:
    expected = initial.astype(np.float32)
    for term in terms:
        expected = float24.add(expected, term)
    same(arithmetic.accumulate_terms(initial, terms), expected)


def test_cancellation_below_the_smallest_number_is_flushed() -> None:
    """The range checks may not be left out when differences of small numbers can vanish."""
    small = 2.0**-126
    terms = np.array([[-small * 1.25]])
    same(arithmetic.accumulate_terms(np.array([small * 1.5]), terms), np.zeros(1))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 200])
@settings(max_examples=10)
@given(st.data())
def test_reductions(n: int, data: st.DataObject) -> None:
    x = data.draw(f24_arrays((2, n)))
    same(arithmetic.reduce_sum(x), blocks.reduce_sum(x))


def test_empty_arrays() -> None:
    assert arithmetic.rounded(np.zeros((0, 3))).shape == (0, 3)
    assert arithmetic.accumulate_terms(np.zeros((0, 4)), np.zeros((2, 0, 4))).shape == (0, 4)
