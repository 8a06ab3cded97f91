# SPDX-License-Identifier: Apache-2.0
"""Level 2 for long prompts: what is on the chip while x waits in memory during attention.

A chunk's rows share what its weights cost, so a long prompt wants many of them. So attention takes
the words of x::

    norm, output, feed-forward   | x                                      | panels   |
    attention                    | rotations |          | inner     | outer           |

Keys, values, the queries and the results of a slot take turns in the inner and the outer buffer; a
norm's scratch, the hidden channels and the logits are made in panels.
"""

from dataclasses import dataclass

from weft.compiler.graph import Graph
from weft.compiler.heads import Heads
from weft.compiler.plan import (
    ROW_SCALARS,
    OnChipPlan,
    Region,
    check_disjoint,
    fits,
    group_rows,
    hidden_slices,
    parameters_of,
    rope_words,
)
from weft.compiler.weight_parts import blocks_of
from weft.errors import CompileError
from weft.model import ModelConfig
from weft_arch.config import BLOCK, Configuration

__all__ = ["LongPlan", "check_long", "plan_long"]

MORE_GROUPS = 2
"""Groups of rows that a plan has more than attention alone needs, where that gives more rows."""
SPARE_PANELS = 2
"""Panels beside those that hold the gates of a slice: the array fills one while the vector unit
works on the other."""
TURNING_SLOTS, SUMS_IN_USE = 3, 4
"""With so many slots, so many ATTENDs have row scalars of their own: when one begins, the one four
before it is done with, or a later one."""


@dataclass(kw_only=True)
class LongPlan(OnChipPlan):
    """The plan of a chunk of a long prompt.

    ``vector`` has parameters_a and parameters_b (the same words), x, rope, inner, outer, panels and
    logits (the same words); ``activations`` has normed and attended (the same blocks), queries,
    probabilities and hidden.
    """

    panel_words: int
    """words of a row in which a panel of hidden channels is made"""
    panels: int
    """how many of them there are"""
    piece_slices: int
    """slices of hidden channels that one product with w_down takes; the codes of two such pieces
    are on the chip"""
    front_rows: int
    """rows of x that share no words with attention's buffers"""

    def sums_of(self, slot: int, group: int) -> int:
        """The row scalar where the sums of an ATTEND begin."""
        if self.heads.n_slots < TURNING_SLOTS:
            rows = slot * self.chunk_rows + group * self.group_rows
        else:
            rows = (group * self.heads.n_slots + slot) % SUMS_IN_USE * self.group_rows
        return rows * self.heads.rows


def serves(model: ModelConfig, heads: Heads) -> bool:
    """Whether the program for long prompts knows all that a model needs."""
    return (
        model.head == "lm"
        and (model.norm, model.norm_order, model.embedding_norm) == ("rms", "pre", False)
        and (model.positions, model.feed_forward, model.qk_norm) == ("rotary", "gated", False)
        and not model.biases
        and heads.are_slots
        and model.dim % BLOCK == 0
        and model.hidden_dim % BLOCK == 0
    )


def plan_long(
    graph: Graph, config: Configuration, most_rows: int, most_panels: int
) -> LongPlan | None:
    """The plan with the most rows that fit, at most ``most_rows``, and with at most ``most_panels``
    in a slice of hidden channels; None where there is none."""
    heads = Heads.of(graph.config, config)
    at_once = group_rows(heads, config)
    if not serves(graph.config, heads) or not at_once:
        return None
    for rows in range(min(config.max_rows, most_rows), 0, -1):
        fewest = -(-rows // at_once)
        for groups in range(fewest, fewest + MORE_GROUPS + 1):
            plan = _lay_out(graph, config, heads, rows, -(-rows // groups), most_panels)
            if plan is not None:
                return plan
    return None


def _lay_out(
    graph: Graph, config: Configuration, heads: Heads, rows: int, at_once: int, most_panels: int
) -> LongPlan | None:
    """The plan for so many rows, with the largest panels and pieces; None where there is none."""
    model, per_block = graph.config, config.words_per_block
    dim, rope = model.dim // config.lanes, rope_words(model, config)
    buffer = max(model.kv_dim // config.lanes, heads.rows * heads.slot_words)
    parameters = max(parameters_of(graph, config).buffer_words)
    slices = hidden_slices(model, config)
    slice_blocks = -(-slices[0] // per_block)
    room = (config.vector_memory_words - parameters) // rows - dim

    panels = [
        (blocks * per_block, -(-slice_blocks // blocks) + SPARE_PANELS)
        for blocks in range(slice_blocks, -(-slice_blocks // most_panels) - 1, -1)
    ]
    panels = [(words, count) for words, count in panels if words * count <= room]
    normed = rows * max(blocks_of(model.dim), blocks_of(model.q_dim))
    queries = heads.n_slots * rows * heads.rows * heads.k_blocks
    probabilities = 2 * at_once * heads.rows
    left = config.activation_blocks - normed
    pieces = min(left // (2 * rows * slice_blocks), len(slices))
    turning = heads.n_slots >= TURNING_SLOTS
    sums = (SUMS_IN_USE * at_once if turning else heads.n_slots * rows) * heads.rows
    attention_fits = rope + 2 * buffer <= dim + room and queries + probabilities <= left
    if not (panels and pieces and attention_fits) or sums > ROW_SCALARS:
        return None
    words, count = panels[0]
    width = max(dim + words * count, rope + 2 * buffer)
    start = parameters + rows * (width - 2 * buffer)
    plan = LongPlan(
        chunk_rows=rows,
        heads=heads,
        group_rows=at_once,
        logit_rows=1,
        queries_apart=False,
        slots_at_once=min(2, heads.n_slots),
        panel_words=words,
        panels=count,
        piece_slices=pieces,
        front_rows=min((start - parameters) // dim, rows),
    )
    plan.vector.update(
        parameters_a=Region(0, parameters),
        parameters_b=Region(0, parameters),
        x=Region(parameters, rows * dim),
        panels=Region(parameters + rows * dim, rows * words * count),
        logits=Region(parameters + rows * dim, rows * words * count),
        rope=Region(parameters, rows * rope),
        inner=Region(start, rows * buffer),
        outer=Region(start + rows * buffer, rows * buffer),
    )
    plan.activations.update(
        normed=Region(0, normed),
        attended=Region(0, normed),
        queries=Region(normed, queries),
        probabilities=Region(normed + queries, probabilities),
        hidden=Region(normed, 2 * rows * pieces * slice_blocks),
    )
    return plan


def check_long(plan: LongPlan, config: Configuration) -> None:
    """Raise `CompileError` unless values that live at the same time have their own words."""
    for dead in (
        {"rope", "inner", "outer", "logits", "parameters_b"},
        {"rope", "inner", "outer", "panels", "parameters_b"},
        {"x", "panels", "logits", "parameters_b"},
    ):
        check_disjoint([(n, region) for n, region in plan.vector.items() if n not in dead])
    for dead in (
        {"attended", "hidden"},
        {"normed", "hidden"},
        {"attended", "queries", "probabilities"},
    ):
        check_disjoint([(n, region) for n, region in plan.activations.items() if n not in dead])
    if not fits(plan, config):
        raise CompileError(f"the plan for long prompts does not fit preset {config.name}.")
