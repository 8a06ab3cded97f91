# SPDX-License-Identifier: Apache-2.0
"""Quantiser, accumulator and reduction against their docstrings, step by step."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from weft_arch import blocks, float24

FINITE = st.floats(-(2.0**20), 2.0**20, width=32)
TINY_OR_LARGE = st.builds(
    lambda m, e: math.ldexp(m, e), st.floats(-1, 1, width=32), st.integers(-130, 127)
)
VALUES = st.one_of(st.just(0.0), FINITE, TINY_OR_LARGE)


def f24_arrays(shape: int | tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, shape, elements=VALUES).map(float24.round_to_f24)


@given(f24_arrays(32), st.integers(8, 12), st.sampled_from([-128, blocks.KEY_MIN_EXPONENT]))
def test_quantize_is_its_docstring(x: np.ndarray, bits: int, low: int) -> None:
    codes, exponent = blocks.quantize(x, bits, low)
    if x.any():
        largest = max(math.frexp(v)[1] - 1 for v in x if v)
        assert exponent == max(largest - (bits - 2), low)
    else:
        assert exponent == low
    limit = (1 << (bits - 1)) - 1
    for v, code in zip(x, codes, strict=True):
        exact = Fraction(float(v)) / Fraction(2) ** int(exponent)
        assert code == max(-limit, min(limit, round(exact)))


@given(f24_arrays(32))
def test_key_planes_are_their_docstring(x: np.ndarray) -> None:
    high, low, exponent = blocks.key_planes(x)
    largest = max((math.frexp(v)[1] - 1 for v in x if v), default=-200)
    assert exponent == max(largest - 6, blocks.KEY_MIN_EXPONENT + 7)
    for v, *planes in zip(x, high, low, strict=True):
        exact = Fraction(float(v)) / Fraction(2) ** (int(exponent) - 7)
        code = math.trunc(exact)
        assert 128 * planes[0] + planes[1] == code
        assert all(abs(plane) <= 127 and plane * code >= 0 for plane in planes)


@given(f24_arrays(32), st.integers(8, 12))
def test_quantization_error_is_at_most_one_step(x: np.ndarray, bits: int) -> None:
    codes, exponent = blocks.quantize(x, bits)
    step = math.ldexp(1.0, int(exponent))
    error = np.abs(x - codes * step)
    limit = (1 << (bits - 1)) - 1
    assert (error[np.abs(codes) < limit] <= step / 2).all()
    assert (error <= step).all()


@settings(max_examples=20)
@given(f24_arrays((3, 32)))
def test_groups_do_not_see_each_other(x: np.ndarray) -> None:
    codes, exponents = blocks.quantize(x, 10)
    for row in range(3):
        one, exponent = blocks.quantize(x[row], 10)
        np.testing.assert_array_equal(codes[row], one)
        assert exponents[row] == exponent


@given(st.integers(-(2**22), 2**22), VALUES, VALUES, st.integers(-128, 127))
def test_accumulate_is_its_docstring(
    partial: int, scale: float, start: float, exponent: int
) -> None:
    s, a = float24.round_to_f24(scale), float24.round_to_f24(start)
    term = float24.multiply(float24.round_to_f24(float(partial)), s, exponent)
    assert blocks.accumulate(a, partial, s, exponent) == float24.add(a, term)


@settings(max_examples=20)
@given(st.integers(1, 200).flatmap(f24_arrays))
def test_reduce_sum_has_its_documented_order(x: np.ndarray) -> None:
    partial: list[np.ndarray] = [np.zeros((), np.float32)] * 32
    for index, v in enumerate(x):
        partial[index % 32] = float24.add(partial[index % 32], v)
    width = 16
    while width:
        partial = [float24.add(partial[j], partial[j + width]) for j in range(width)]
        width //= 2
    assert blocks.reduce_sum(x) == partial[0]


def test_reduce_sum_of_rows() -> None:
    x = float24.round_to_f24(np.random.default_rng(1).normal(size=(2, 3, 70)))
    sums = blocks.reduce_sum(x)
    assert sums.shape == (2, 3)
    assert sums[1, 2] == blocks.reduce_sum(x[1, 2])
