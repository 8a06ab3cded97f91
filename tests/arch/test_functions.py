# SPDX-License-Identifier: Apache-2.0
"""The tables: accuracy as documented, monotonic, and what lies outside their range."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_arch import float24, functions
from weft_arch.functions import ONE, PiecewiseTable, gate, reciprocal, rsqrt, to_fixed

ERF = np.vectorize(math.erf)
Gate = tuple[PiecewiseTable, Callable[[np.ndarray], np.ndarray], float]
GATES: dict[str, Gate] = {  # with the accuracy that the module's docstring states
    "sigmoid": (functions.SIGMOID, lambda x: 1 / (1 + np.exp(-x)), 3.2e-5),
    "gelu_tanh": (
        functions.GELU_TANH,
        lambda x: 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        5.1e-5,
    ),
    "gelu_erf": (functions.GELU_ERF, lambda x: 0.5 * (1 + ERF(x / math.sqrt(2))), 5.1e-5),
}
TABLES = [functions.EXP2, *(g[0] for g in GATES.values()), functions.RECIPROCAL, functions.RSQRT]


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_tables_have_the_documented_form(table: PiecewiseTable) -> None:
    assert len(table.base) == len(table.slope) == 1 << table.index_bits
    assert all(0 <= base <= ONE for base in table.base)
    arguments = np.arange(1 << (table.index_bits + table.fraction_bits))
    assert (table.evaluate(arguments) >= 0).all()
    assert (table.evaluate(arguments) <= ONE).all()


def test_evaluation_is_base_plus_floor_of_slope_times_fraction() -> None:
    table = functions.EXP2
    for argument in (0, 1, 63, 64, 65, 2047, 4095):
        index, fraction = argument >> table.fraction_bits, argument & 63
        expected = table.base[index] + math.floor(Fraction(table.slope[index] * fraction, 64))
        assert table.evaluate(argument) == expected


def test_exp2_is_accurate_and_falls() -> None:
    arguments = np.arange(1 << 12)
    y = functions.EXP2.evaluate(arguments)
    assert np.abs(y / ONE - 2.0 ** (-arguments / 4096)).max() < 2.0e-5
    assert (np.diff(y) <= 0).all()
    assert y[0] == ONE
    assert y[-1] > ONE // 2


@pytest.mark.parametrize("name", GATES)
def test_gates_are_accurate_and_rise(name: str) -> None:
    table, exact, accuracy = GATES[name]
    arguments = np.arange(1 << 16)
    y = table.evaluate(arguments)
    assert np.abs(y / ONE - exact(arguments / 4096)).max() < accuracy
    assert (np.diff(y) >= 0).all()


@pytest.mark.parametrize("name", GATES)
def test_gated_values(name: str) -> None:
    table, exact, accuracy = GATES[name]
    x = float24.round_to_f24(np.linspace(-20, 20, 20001))
    result = gate(table, x)
    # The table's error, the argument's rounding, and the rounding of the product.
    assert np.abs(result - x * exact(x.astype(np.float64))).max() < 20 * accuracy + 20 * 2.0**-13
    # g(-x) = 1 - g(x), so x * g(x) + (-x) * g(-x) * (-1) is x, up to rounding.
    np.testing.assert_allclose(gate(table, x) - gate(table, -x), x, rtol=2.0**-14, atol=1e-6)
    assert gate(table, 0.0) == 0
    assert gate(table, float24.MAX) == float24.MAX * table.evaluate((1 << 16) - 1) / ONE
    saturated = float24.round_to_f24(-1000.0)
    remainder = ONE - int(table.evaluate((1 << 16) - 1))
    assert gate(table, saturated) == float24.multiply(-1000.0, remainder, -16)


def all_significands(exponent: int) -> np.ndarray:
    return np.ldexp(1 + np.arange(1 << 15) / (1 << 15), exponent).astype(np.float32)


def test_tables_of_significands_are_accurate() -> None:
    m = 1 + np.arange(1 << 15) / (1 << 15)
    y = functions.RECIPROCAL.evaluate(np.arange(1 << 15)) / ONE
    assert np.abs(y - 1 / m).max() < 2.3e-5
    y = functions.RSQRT.evaluate(np.arange(1 << 16)) / ONE
    assert np.abs(y - 1 / np.sqrt(np.concatenate([m, 2 * m]))).max() < 2.3e-5


@pytest.mark.parametrize("exponent", [-126, -1, 0, 1, 2, 100])
def test_reciprocal_is_accurate_and_falls(exponent: int) -> None:
    x = all_significands(exponent)
    y = reciprocal(x).astype(np.float64)
    relative = np.abs(y * x.astype(np.float64) - 1)
    # 2.3e-5 of the table where it is 1/2, and the result's rounding to 16 bits.
    assert relative.max() < 2 * 2.3e-5 + 2.0**-16
    assert (np.diff(y) <= 0).all()


@pytest.mark.parametrize("exponent", [-126, -3, -2, -1, 0, 1, 2, 3, 127])
def test_rsqrt_is_accurate_and_falls(exponent: int) -> None:
    x = all_significands(exponent)
    y = rsqrt(x).astype(np.float64)
    relative = np.abs(y * np.sqrt(x.astype(np.float64)) - 1)
    assert relative.max() < 2 * 2.3e-5 + 2.0**-16
    assert (np.diff(y) <= 0).all()


@pytest.mark.parametrize("function", [reciprocal, rsqrt])
def test_functions_of_what_is_not_positive_are_zero(function: Callable[..., np.ndarray]) -> None:
    np.testing.assert_array_equal(function(np.array([0.0, -1.0, -float24.MAX])), [0, 0, 0])


def test_reciprocal_of_large_numbers_is_flushed() -> None:
    # 1 / MAX is about 2**-128, below the smallest F24.
    assert reciprocal(float24.MAX) == 0
    assert reciprocal(2.0**126) == 2.0**-126


@given(st.floats(-600, 600, width=32), st.integers(0, 16), st.integers(8, 24))
def test_fixed_point_rounds_to_even_and_saturates(x: float, fraction: int, width: int) -> None:
    f24 = float(float24.round_to_f24(x))
    limit = (1 << (width - 1)) - 1
    expected = max(-limit, min(limit, round(Fraction(f24) * (1 << fraction))))
    assert to_fixed(f24, fraction, width) == expected
