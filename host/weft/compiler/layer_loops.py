# SPDX-License-Identifier: Apache-2.0
"""Hardware loops over layers of more than one kind."""

from collections.abc import Sequence
from itertools import groupby

__all__ = ["Run", "layer_loops"]

Run = tuple[int, int]
"""A kind of layer, and how many of them follow each other."""


def layer_loops(kinds: Sequence[int]) -> list[tuple[int, list[Run]]]:
    """The layers' kinds as loops around runs: (how often, runs) one after the other.

    The first loop is over the shortest period; what is left of it comes once. Five of kind 0 and
    one of kind 1, over 26 layers, are ``[(4, [(0, 5), (1, 1)]), (1, [(0, 2)])]``; layers of one
    kind are one run.
    """
    size = next(p for p in range(1, len(kinds) + 1) if kinds[p:] == kinds[: len(kinds) - p])
    times, left = divmod(len(kinds), size)
    if size == 1:
        return [(1, _runs(kinds))]
    loops = [(times, _runs(kinds[:size]))]
    if left:
        loops.append((1, _runs(kinds[:left])))
    return loops


def _runs(kinds: Sequence[int]) -> list[Run]:
    return [(kind, len(list(same))) for kind, same in groupby(kinds)]
