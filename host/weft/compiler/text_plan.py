# SPDX-License-Identifier: Apache-2.0
"""Level 2 for texts of several chunks through an encoder: more rows at once, because nothing but x
has words of its own for longer than a slice takes.

What is made (queries, keys, values, hidden channels) is made in slices of a few tiles, in two
buffers by turns; the results of attention, and x of the chunk to come on its way to codes, have the
same words::

    x | parameters | one slice          | the next slice       |
                   | results of attention                      |
                   | rows of x of the next chunk               |
                   |           positions|            positions |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from weft.compiler.conventions import even_chunks
from weft.compiler.graph import Graph
from weft.compiler.heads import Heads
from weft.compiler.parameters import ParameterPlan
from weft.compiler.plan import (
    ROW_SCALARS,
    OnChipPlan,
    Region,
    check_disjoint,
    fits,
    group_rows,
    parameters_of,
)
from weft.compiler.weight_parts import blocks_of
from weft.errors import CompileError
from weft.model import ModelConfig
from weft_arch.config import BLOCK, Configuration

__all__ = ["TextPlan", "check_text", "plan_text"]


@dataclass(kw_only=True)
class TextPlan(OnChipPlan):
    """The plan of a chunk of a text.

    ``vector`` has x, parameters_a (the norm behind attention, or the embedding's), out_bias,
    kv_biases, query_bias, parameters_b, slices, and in its words attention, staged, positions_0 and
    positions_1; ``activations`` has normed and attended (the same blocks), next_kv, queries,
    probabilities, and in the words of these three hidden.
    """

    slice_words: int
    """words of a row in each of the two buffers"""
    head_slices: tuple[range, ...]
    """the slots of each slice of queries, keys or values; an even number of slices"""
    hidden_slices: tuple[tuple[int, int], ...]
    """first tile and end of each slice of hidden channels; an even number of slices"""
    piece_slices: tuple[range, ...]
    """the slices of each piece of the hidden channels that one product with w_down takes; the codes
    of two such pieces are on the chip"""
    position_words: int
    """words of a row of learned positions that are loaded at once"""
    staged_rows: int
    """rows of x of the next chunk that are quantised at once"""


def _serves(model: ModelConfig, heads: Heads) -> bool:
    """Whether the program for texts knows all that a model needs."""
    return (
        model.head == "none"
        and (model.norm_order, model.embedding_norm) == ("post", True)
        and (model.feed_forward, model.qk_norm) == ("plain", False)
        and model.embedding_scale == 1
        and heads.are_slots
        and model.dim % BLOCK == 0
        and model.hidden_dim % BLOCK == 0
    )


def plan_text(graph: Graph, config: Configuration, rows: int) -> TextPlan | None:
    """The plan for chunks of ``rows`` rows, with the largest slices; None where there is none."""
    heads = Heads.of(graph.config, config)
    if not _serves(graph.config, heads) or rows > min(config.max_rows, group_rows(heads, config)):
        return None
    model, per_block = graph.config, config.words_per_block
    words = {"dim": model.dim // config.lanes, "hidden": blocks_of(model.hidden_dim)}
    parameters = _parameters(parameters_of(graph, config), words["dim"])
    fixed = rows * words["dim"] + sum(parameters.values())
    scratch = config.vector_memory_words - fixed
    slice_words = scratch // (2 * rows * per_block) * per_block
    head_words = heads.rows * heads.slot_words
    slots = _evenly(heads.n_slots, (slice_words - 1) // head_words)
    hidden = _evenly(words["hidden"], slice_words // per_block)
    if not slots or not hidden:
        return None
    normed = rows * max(words["dim"] // per_block, blocks_of(model.q_dim))
    codes = {
        "next_kv": rows * words["dim"] // per_block,
        "queries": heads.n_slots * rows * heads.rows * heads.k_blocks,
        "probabilities": 2 * rows * heads.rows,
    }
    pieces = _pieces(hidden, (config.activation_blocks - normed) // (2 * rows))
    at_once = min(heads.n_slots, ROW_SCALARS // (rows * heads.rows), scratch // (rows * head_words))
    if not pieces or not at_once:
        return None
    most = max(end - first for first, end in hidden)
    used = head_words * max(end - first for first, end in slots)
    slice_words = max(most * per_block, used + 1)
    plan = TextPlan(
        chunk_rows=rows,
        heads=heads,
        group_rows=rows,
        logit_rows=1,
        queries_apart=False,
        slots_at_once=at_once,
        slice_words=slice_words,
        head_slices=tuple(range(*edges) for edges in slots),
        hidden_slices=tuple((first * per_block, end * per_block) for first, end in hidden),
        piece_slices=pieces,
        position_words=slice_words - used,
        staged_rows=min(scratch // words["dim"], rows),
    )
    place = 0
    for name, size in {"x": rows * words["dim"], **parameters, "slices": scratch}.items():
        plan.vector[name] = Region(place, size)
        place += size
    start = plan.vector["slices"].base
    plan.vector["attention"] = Region(start, at_once * rows * head_words)
    plan.vector["staged"] = Region(start, plan.staged_rows * words["dim"])
    for number in (0, 1):
        first = start + rows * (number * slice_words + used)
        plan.vector[f"positions_{number}"] = Region(first, rows * plan.position_words)
    plan.activations.update(normed=Region(0, normed), attended=Region(0, normed))
    place = normed
    for name, size in codes.items():
        plan.activations[name] = Region(place, size)
        place += size
    piece = max(_piece_blocks(hidden, slices) for slices in pieces)
    plan.activations["hidden"] = Region(normed, 2 * rows * piece)
    return plan if fits(plan, config) else None


def _parameters(plan: ParameterPlan, dim: int) -> dict[str, int]:
    """Words of the gains and biases that have words of their own."""
    sizes = {tuple(p.part.names): p.words for p in plan.attention.parameters if p.part}
    norm = sum(p.words for p in plan.attention.parameters if p.part is None)
    return {
        "parameters_a": max(plan.embedding.words, norm),
        "out_bias": sizes.get(("wo",), 0),
        "kv_biases": sizes.get(("wk",), 0) + sizes.get(("wv",), 0),
        "query_bias": sizes.get(("wq",), 0),
        "parameters_b": plan.feed_forward.words,
    }


def _evenly(count: int, most: int) -> list[tuple[int, int]]:
    """``count`` things as an even number of slices of at most ``most``; none where that cannot be.

    An even number, so that every chunk begins with the same buffer.
    """
    if most < 1 or count < 2:
        return []
    slices = 2 * -(-count // (2 * most))
    edges = [count * k // slices for k in range(slices + 1)]
    return list(pairwise(edges)) if slices <= count else []


def _pieces(hidden: Sequence[tuple[int, int]], most: int) -> tuple[range, ...]:
    """The slices of the fewest pieces of at most ``most`` blocks; none where there is no room."""
    for count in range(1, len(hidden) + 1):
        pieces = tuple(
            range(*edges) for edges in even_chunks(len(hidden), -(-len(hidden) // count))
        )
        if max(_piece_blocks(hidden, slices) for slices in pieces) <= most:
            return pieces
    return ()


def _piece_blocks(hidden: Sequence[tuple[int, int]], slices: range) -> int:
    return hidden[slices[-1]][1] - hidden[slices[0]][0]


def check_text(plan: TextPlan, config: Configuration) -> None:
    """Raise `CompileError` unless values that live at the same time have their own words."""
    shared = {"slices", "attention", "staged", "positions_0", "positions_1"}
    for alive in ({"slices"}, {"attention"}, {"staged"}, {"positions_0", "positions_1"}):
        dead = shared - alive
        check_disjoint([(n, region) for n, region in plan.vector.items() if n not in dead])
    of_attention = {"next_kv", "queries", "probabilities"}
    for dead in ({"attended", "hidden"}, {"normed", "hidden"}, {"attended", *of_attention}):
        check_disjoint([(n, region) for n, region in plan.activations.items() if n not in dead])
    if not fits(plan, config):
        raise CompileError(f"the plan for texts does not fit preset {config.name}.")
