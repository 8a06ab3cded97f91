# SPDX-License-Identifier: Apache-2.0
"""The plan gives every hard multiplier of the array a site of its own that it may have."""

from __future__ import annotations

import re

import pytest

from weft_arch.config import BLOCK
from weft_rtl.bitstream.floorplan import array_places
from weft_rtl.bitstream.parts import PARTS

HARD = 4 * BLOCK


def cells_by_block() -> dict[tuple[int, int], list[tuple[int, int]]]:
    blocks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for cell, bel in array_places(PARTS["LFE5U-85F"], HARD).items():
        place = re.fullmatch(r"X(\d+)/Y(\d+)/MULT18_([0145])", bel)
        name = re.fullmatch(r"multiplier_(\d+)_(\d)\.multiplier", cell)
        assert place is not None
        assert name is not None
        x, y, site = map(int, place.groups())
        blocks.setdefault((x - site, y), []).append((int(name[1]), int(name[2])))
    return blocks


def test_every_cell_has_a_site_of_its_own_on_the_part() -> None:
    part = PARTS["LFE5U-85F"]
    places = array_places(part, HARD)
    assert len(places) == len(set(places.values())) == HARD
    blocks = cells_by_block()
    assert {(row, column) for cells in blocks.values() for row, column in cells} == {
        (row, column) for row in range(BLOCK) for column in range(4)
    }
    assert {x for x, _ in blocks} <= set(part.multiplier_columns)
    assert {y for _, y in blocks} == set(part.multiplier_rows)


def test_a_block_has_at_most_four_clock_enables() -> None:
    for cells in cells_by_block().values():
        # Weights are enabled by row + column; all else is always enabled.
        assert len(cells) == 4
        assert len({row + column for row, column in cells}) + 1 <= 4


def test_a_column_goes_on_in_the_same_block_or_the_next_one() -> None:
    where = {cell: block for block, cells in cells_by_block().items() for cell in cells}
    columns = PARTS["LFE5U-85F"].multiplier_columns
    for row in range(BLOCK - 1):
        for column in range(4):
            (x0, y0), (x1, y1) = where[row, column], where[row + 1, column]
            steps = abs(columns.index(x0) - columns.index(x1))
            assert steps <= (1 if y0 == y1 != 10 else 2)


@pytest.mark.parametrize(("part", "hard"), [("LFE5U-45F", HARD), ("LFE5U-85F", 100)])
def test_what_the_plan_does_not_fit_is_left_to_the_placer(part: str, hard: int) -> None:
    assert array_places(PARTS[part], hard) == {}
