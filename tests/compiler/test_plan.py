# SPDX-License-Identifier: Apache-2.0
"""The specification of level 2: what fits, and the sentences about what does not."""

import dataclasses
import re
from itertools import pairwise

import pytest

from tests.compiler.models import compiled, model_config, random_model
from weft.compiler import plan
from weft.compiler.graph import transformer_graph
from weft.compiler.plan import Region
from weft.errors import CompileError
from weft_arch.config import Configuration, preset

TINY, DEFAULT = preset("tiny"), preset("default")
WIDE = dataclasses.replace(DEFAULT, array_cols=16)
GRAPH = transformer_graph(model_config())


def refusal(config: Configuration = DEFAULT, **changes) -> str:
    with pytest.raises(CompileError) as error:
        plan.plan_chip(transformer_graph(model_config(**changes)), config, all_logits=False)
    return str(error.value)


@pytest.mark.parametrize("config", [TINY, DEFAULT, WIDE], ids=lambda c: str(c.array_cols))
@pytest.mark.parametrize("all_logits", [False, True])
def test_a_plan_keeps_its_own_rules(config: Configuration, all_logits: bool) -> None:
    chip = plan.plan_chip(GRAPH, config, all_logits=all_logits)
    plan.check(GRAPH, chip, config)
    assert chip.logit_rows == (chip.chunk_rows if all_logits else 1)
    assert 1 <= chip.chunk_rows <= config.max_rows
    assert 1 <= chip.group_rows * chip.heads.rows <= config.max_rows


def test_the_plan_takes_as_many_rows_as_fit() -> None:
    rows = plan.plan_chip(GRAPH, DEFAULT, all_logits=False).chunk_rows
    half = dataclasses.replace(DEFAULT, vector_memory_words=1024)
    assert 1 <= plan.plan_chip(GRAPH, half, all_logits=False).chunk_rows <= rows
    assert plan.plan_chip(GRAPH, DEFAULT, all_logits=False, chunk_rows=3).chunk_rows == 3
    assert plan.plan_chip(GRAPH, DEFAULT, all_logits=False, chunk_rows=999).chunk_rows == rows


def test_small_heads_share_a_slot() -> None:
    heads = plan.Heads.of(model_config(n_heads=8, n_kv_heads=4, head_dim=8), DEFAULT)
    assert (heads.per_slot, heads.n_slots, heads.k_blocks, heads.rows) == (4, 1, 1, 8)
    heads = plan.Heads.of(model_config(n_heads=4, n_kv_heads=2, head_dim=64), DEFAULT)
    assert (heads.per_slot, heads.n_slots, heads.k_blocks, heads.rows) == (1, 2, 2, 2)
    heads = plan.Heads.of(model_config(n_heads=6, n_kv_heads=6, head_dim=48), DEFAULT)
    assert (heads.per_slot, heads.n_slots, heads.k_blocks, heads.rows) == (2, 3, 3, 2)
    # (first word of the head, words, block of the slot, first word in that block)
    assert heads.pieces(0) == [(0, 4, 0, 0), (4, 2, 1, 0)]
    assert heads.pieces(1) == [(0, 2, 1, 2), (2, 4, 2, 0)]
    assert [heads.empty_blocks(place) for place in (0, 1)] == [[2], [0]]


def test_heads_that_leave_channels_empty() -> None:
    for head_dim, k_blocks in ((24, 1), (40, 2), (48, 2), (120, 4)):
        heads = plan.Heads.of(model_config(n_heads=6, n_kv_heads=3, head_dim=head_dim), DEFAULT)
        assert (heads.per_slot, heads.n_slots, heads.k_blocks, heads.rows) == (1, 3, k_blocks, 2)
        assert not heads.fill_slots


def test_head_sizes_that_have_no_layout() -> None:
    takes = "preset default takes multiples of 8."
    assert refusal(head_dim=20) == f"head_dim is 20; {takes}"
    assert refusal(head_dim=4, n_heads=16, n_kv_heads=8) == f"head_dim is 4; {takes}"
    sizes = "attention of preset default takes at most 256."
    assert refusal(head_dim=288) == f"head_dim is 288; {sizes}"
    assert refusal(WIDE, head_dim=8, n_kv_heads=4) == (
        "head_dim is 8; preset default takes multiples of 16."
    )


def test_a_width_that_is_no_multiple_of_the_lanes() -> None:
    assert refusal(dim=60) == "dim is 60; preset default needs a multiple of 8."
    plan.plan_chip(transformer_graph(model_config(dim=60)), TINY, all_logits=False)


def test_a_model_that_does_not_fit_says_what_it_needs() -> None:
    assert refusal(dim=16384) == (
        "one position needs 8200 words of vector memory, 526 activation blocks and 4 attention "
        "rows; preset default has 4096, 2048 and 64."
    )
    assert "and 40 attention rows; preset tiny has 4096, 512 and 16." in refusal(
        TINY, n_heads=40, n_kv_heads=2
    )


def test_memory_regions_are_disjoint_aligned_and_writable_last() -> None:
    model = compiled(random_model(model_config()), max_sequences=2, base=0x10000)
    regions = sorted(model.memory.regions.values(), key=lambda r: r.base)
    assert regions[0].base == 0x10000
    for a, b in pairwise(regions):
        assert a.end <= b.base
    assert all(r.base % 64 == 0 for r in regions)
    names = list(model.memory.regions)
    written = {n for n in names if model.memory.regions[n].base >= model.memory.read_only_end}
    assert written == {"top_k", "logits", "hidden_states", "kv", "residual"}
    assert model.image.size == model.memory.read_only_end - 0x10000


def test_addresses_have_32_bits() -> None:
    with pytest.raises(
        CompileError, match=r"^the model needs \d+ bytes; addresses have 32 bits\.$"
    ):
        compiled(base=0xFFFF_0000)


def test_context_bounds() -> None:
    for context in (0, 81):
        sentence = f"max_context is {context}; this model takes 1 to 80."
        with pytest.raises(CompileError, match=f"^{re.escape(sentence)}$"):
            compiled(max_context=context)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vector": {"x": Region(0, 9), "scratch": Region(8, 9)}}, "x and scratch overlap."),
        ({"vector": {"gate_up": Region(4000, 200)}}, "the plan does not fit preset default."),
        ({"activations": {"queries": Region(0, 9)}}, "normed and queries overlap."),
        ({"activations": {"hidden": Region(900, 1)}}, "hidden has too few activation blocks."),
    ],
)
def test_the_check_finds_a_broken_plan(change, sentence: str) -> None:
    chip = plan.plan_chip(GRAPH, DEFAULT, all_logits=False)
    for memory, regions in change.items():
        getattr(chip, memory).update(regions)
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}$"):
        plan.check(GRAPH, chip, DEFAULT)


def test_hidden_channels_are_cut_into_whole_blocks() -> None:
    def slices(hidden_dim: int) -> list[int]:
        return plan.hidden_slices(model_config(hidden_dim=hidden_dim), DEFAULT)

    # Attention takes 16 words per row: slices of 4, if that does not make them too many.
    assert slices(256) == 8 * [4]
    assert slices(768) == 12 * [8]
    assert slices(100) == [4, 4, 4, 1]
    assert slices(172) == [4, 4, 4, 4, 4, 2]
    assert slices(24) == [3]
