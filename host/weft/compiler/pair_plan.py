# SPDX-License-Identifier: Apache-2.0
"""Level 2 for two chunks of a prompt that go through the layers by turns: every value twice, side
by side, and the row scalars divided among them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from weft.compiler.graph import Graph
from weft.compiler.heads import Heads
from weft.compiler.plan import (
    ROW_SCALARS,
    OnChipPlan,
    Region,
    check,
    check_disjoint,
    fits,
    plan_chip,
)
from weft.model import ModelConfig
from weft_arch.config import Configuration

__all__ = ["HALVES", "HalfPlan", "PairPlan", "check_pair", "plan_pair"]

HALVES = 2
FEWEST_SUMS = 3
"""An ATTEND waits until the one two before it is done with; where chunks are short, one in between
may be left out."""


@dataclass(kw_only=True)
class HalfPlan(OnChipPlan):
    """The plan of one of the two chunks."""

    half: int
    first_sums: int
    """the row scalar behind those of the norms of both"""
    sums_in_use: int
    """ATTENDs, of both halves, whose sums have row scalars of their own"""

    def sums_of(self, group: int) -> int:
        """The row scalar where the sums of an ATTEND begin. They take turns in the order of the
        ATTENDs: the second half's come one later than the first one's, its last two together."""
        groups = -(-self.chunk_rows // self.group_rows)
        order = (max(2 * group - 1, 0), min(2 * group + 2, 2 * groups - 1))[self.half]
        return self.first_sums + order % self.sums_in_use * self.group_rows * self.heads.rows


@dataclass(frozen=True, kw_only=True)
class PairPlan:
    """Two chunks."""

    halves: tuple[HalfPlan, HalfPlan]

    @property
    def chunk_rows(self) -> int:
        """Most rows of both together."""
        return sum(half.chunk_rows for half in self.halves)


def _serves(model: ModelConfig, heads: Heads) -> bool:
    """Whether a pair of chunks knows all that a model needs."""
    return (
        (model.head, model.norm_order, model.qk_norm) == ("lm", "pre", False)
        and heads.n_slots == 1
        and heads.fill_slots
    )


def plan_pair(graph: Graph, config: Configuration, most_rows: int) -> PairPlan | None:
    """The plan with the most rows that fit, at most ``most_rows`` of both; None where there is
    none."""
    heads = Heads.of(graph.config, config)
    if not _serves(graph.config, heads):
        return None
    for rows in range(most_rows // HALVES, 0, -1):
        one = plan_chip(graph, config, all_logits=False, chunk_rows=rows)
        if one.chunk_rows < rows:
            continue
        first_sums = HALVES * rows
        in_use = (ROW_SCALARS - first_sums) // (one.group_rows * heads.rows)
        words = max(region.end for region in one.vector.values())
        blocks = max(region.end for region in one.activations.values())
        common: dict[str, Any] = {each.name: getattr(one, each.name) for each in fields(one)}
        halves: list[HalfPlan] = []
        for half in range(HALVES):
            places: dict[str, Any] = {
                "vector": _moved(one.vector, half * words),
                "activations": _moved(one.activations, half * blocks),
            }
            sums: dict[str, Any] = {"first_sums": first_sums, "sums_in_use": in_use}
            halves.append(HalfPlan(**common | places | sums, half=half))
        if in_use >= FEWEST_SUMS and all(fits(half, config) for half in halves):
            return PairPlan(halves=(halves[0], halves[1]))
    return None


def check_pair(plan: PairPlan, graph: Graph, config: Configuration) -> None:
    """Raise `CompileError` unless each half is a plan as ever, and shares no words or blocks with
    the other one."""
    first, second = plan.halves
    for half in plan.halves:
        check(graph, half, config)
    for one, other in ((first.vector, second.vector), (first.activations, second.activations)):
        check_disjoint([("the first half", _span(one)), ("the second half", _span(other))])


def _span(regions: Mapping[str, Region]) -> Region:
    """From the first of some regions to their end."""
    base = min(region.base for region in regions.values())
    return Region(base, max(region.end for region in regions.values()) - base)


def _moved(regions: dict[str, Region], by: int) -> dict[str, Region]:
    return {name: replace(region, base=region.base + by) for name, region in regions.items()}
