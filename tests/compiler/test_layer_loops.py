# SPDX-License-Identifier: Apache-2.0
"""Loops over layers: every layer once, in order, and the shortest period found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.compiler.layer_loops import Run, layer_loops


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([0] * 30, [(1, [(0, 30)])]),
        ([0], [(1, [(0, 1)])]),
        (([0] * 5 + [1]) * 4 + [0] * 2, [(4, [(0, 5), (1, 1)]), (1, [(0, 2)])]),
        ([0, 1] * 3, [(3, [(0, 1), (1, 1)])]),
        ([0, 0, 1], [(1, [(0, 2), (1, 1)])]),
    ],
)
def test_periods(kinds: list[int], expected: list[tuple[int, list[Run]]]) -> None:
    assert layer_loops(kinds) == expected


@given(st.lists(st.integers(0, 2), min_size=1, max_size=40))
def test_every_layer_comes_once_in_order(kinds: list[int]) -> None:
    unrolled = [
        kind
        for times, runs in layer_loops(kinds)
        for _ in range(times)
        for kind, count in runs
        for _ in range(count)
    ]
    assert unrolled == kinds
