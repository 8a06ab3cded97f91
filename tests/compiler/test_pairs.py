# SPDX-License-Identifier: Apache-2.0
"""The program for two chunks by turns: the bits of the ordinary one, no hazards, and only where it
is faster."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from tests.compiler.models import compiled, model_config, random_model, runner, tokens
from weft.benchmarks.random_model import random_adapter
from weft.compiler import CompiledModel
from weft.compiler.adapters import with_adapters
from weft.compiler.compiled import lay_out
from weft.compiler.conventions import chunk_scalars
from weft.compiler.graph import transformer_graph
from weft.compiler.hazards import check_hazards
from weft.compiler.pair_plan import PairPlan, check_pair
from weft.compiler.plan import Region
from weft.errors import CompileError
from weft.forecast import forecast
from weft.model.shapes import KNOWN_SHAPES
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft_arch.config import preset
from weft_arch.device import Device
from weft_arch.isa import Instruction
from weft_sim.reference import ReferenceDevice

SHAPES: dict[str, dict[str, Any]] = {
    "four heads in a slot": {"n_heads": 8, "n_kv_heads": 4, "head_dim": 8},
    "two heads in a slot": {"n_heads": 4, "n_kv_heads": 2},
    "biases": {"n_heads": 4, "n_kv_heads": 4, "head_dim": 8, "biases": frozenset({"wq", "wk"})},
    "one head": {"n_heads": 2, "n_kv_heads": 1, "head_dim": 32, "norm": "layer"},
    "learned positions": {
        "n_heads": 4,
        "n_kv_heads": 4,
        "head_dim": 8,
        "positions": "learned",
        "feed_forward": "plain",
    },
}
TOKENS = 60


def make(name: str, **more: Any) -> CompiledModel:
    return compiled(random_model(model_config(**SHAPES[name])), "tiny", **more)


MODELS = {name: make(name) for name in SHAPES}


def pair_of(model: CompiledModel) -> tuple[PairPlan, tuple[Instruction, ...]]:
    assert model.long is not None
    assert isinstance(model.long.chip, PairPlan)
    return model.long.chip, model.long.program


def check(
    model: CompiledModel, program: tuple[Instruction, ...], rows: int, position: int, head: bool
) -> None:
    check_hazards(
        program,
        model.config,
        scalars=chunk_scalars(rows, position, head=head, logit_rows=int(head)),
        write_base=model.memory.read_only_end,
        write_limit=model.memory.size,
    )


def run(model: CompiledModel, device: Device, chunk: int | None) -> list[np.ndarray]:
    """Logits and cache behind a prompt, and logits of a step behind it."""
    of = ModelRunner(model, device)
    of.prefill(tokens(TOKENS), store_logits=True, chunk=chunk)
    found = [of.logits(), of.kv_cache()]
    of.run_chunk([1], position=TOKENS, store_logits=True)
    return [*found, of.logits()]


def test_what_the_models_have() -> None:
    for model in MODELS.values():
        plan, _ = pair_of(model)
        assert plan.chunk_rows > model.chip.chunk_rows
    plan, _ = pair_of(MODELS["four heads in a slot"])
    assert plan.halves[0].group_rows < plan.halves[0].chunk_rows


@pytest.mark.parametrize(
    ("name", "weights"), [*((name, "w8") for name in SHAPES), ("four heads in a slot", "w4")]
)
def test_the_same_bits_in_chunks_of_any_size(name: str, weights: str) -> None:
    model = MODELS[name] if weights == "w8" else make(name, weights=WeightFormat(weights))
    sizes = (None, model.chip.chunk_rows + 1, model.chip.chunk_rows)
    results = [run(model, runner(model).device, chunk) for chunk in sizes]
    for found in results[1:]:
        for one, other in zip(found, results[0], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", SHAPES)
def test_no_hazards(name: str) -> None:
    model = MODELS[name]
    plan, program = pair_of(model)
    for rows in range(2, plan.chunk_rows + 1):
        check(model, program, rows, 0 if rows % 2 else 80 - rows, head=rows % 3 > 0)


def test_each_lost_signal_or_wait_is_found() -> None:
    model = MODELS["four heads in a slot"]
    plan, program = pair_of(model)
    for at, i in enumerate(program):
        for field in ("wait_a", "wait_b", "signal_a", "signal_b"):
            if getattr(i, field):
                broken = list(program)
                broken[at] = dataclasses.replace(i, **{field: 0})
                with pytest.raises(
                    CompileError, match=r"nobody gives it|leaves the tokens|another"
                ):
                    check(model, tuple(broken), plan.chunk_rows, 3, head=True)


@pytest.mark.parametrize("stall", [0.0, 0.25])
def test_the_same_bits_on_the_rtl(stall: float) -> None:
    from weft.devices import open_device
    from weft_sim.memory_parameters import MemoryParameters

    model = MODELS["four heads in a slot"]
    size = model.memory.size
    memory = MemoryParameters(stall=stall, seed=3) if stall else None
    with open_device("rtl", model.config, memory_bytes=size, memory=memory) as tested:
        found = run(model, tested, None)
    expected = run(model, ReferenceDevice(model.config, memory_bytes=size), None)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kv_format", ["k8v8", "k16v8"])
def test_a_prompt_never_takes_longer(kv_format: str) -> None:
    config, shape = preset("wide"), KNOWN_SHAPES["stories260k"]
    layout = lay_out(shape, config, WeightFormat("w8"), kv_format=kv_format)
    assert (layout.chip.chunk_rows, layout.prompt_rows) == (32, 64)

    def cycles(program: tuple[Instruction, ...], first: int, end: int) -> int:
        return forecast(program, config, chunk_scalars(end - first, first, head=False)).cycles

    for count in (33, 40, 50, 64):
        assert layout.long is not None
        pair = cycles(layout.long.program, 0, count)
        half = count // 2
        apart = cycles(layout.program, 0, half) + cycles(layout.program, half, count)
        assert pair < 0.9 * apart, count


def test_adapters_beside_it_keep_their_register() -> None:
    """The program uses it for something else."""
    shape = model_config(**SHAPES["two heads in a slot"])
    adapters = {"one": random_adapter(shape, {"wq": 8}, seed=1)}
    model = with_adapters(make("two heads in a slot", max_sequences=2), adapters)
    rows = pair_of(model)[0].chunk_rows
    assert rows > model.chip.chunk_rows
    alone, both = runner(model), runner(model)
    for of in (alone, both):
        of.run_chunk([5], position=0, adapter="one")
    both.run_chunk(tokens(rows), position=0, sequence=1)
    for of in (alone, both):
        of.run_chunk([6], position=1, adapter="one", store_logits=True)
    np.testing.assert_array_equal(both.logits(), alone.logits())


def test_models_without_one() -> None:
    """Something that only the ordinary program knows, or no room for more rows."""
    config = preset("tiny")
    for more in (
        {"norm_order": "sandwich"},
        {"qk_norm": True},
        {"n_heads": 4, "n_kv_heads": 4, "head_dim": 16},
        {"head_dim": 48, "n_heads": 2, "n_kv_heads": 1},
    ):
        shape = model_config(**(SHAPES["two heads in a slot"] | more))
        assert lay_out(shape, config, WeightFormat("w8")).long is None, more
    shape = model_config(**SHAPES["two heads in a slot"])
    assert lay_out(shape, preset("default"), WeightFormat("w8")).long is None
    limits: list[dict[str, Any]] = [{"all_logits": True}, {"chunk_rows": 4}, {"max_context": 7}]
    for fields in limits:
        assert lay_out(shape, config, WeightFormat("w8"), **fields).long is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vector": {"x": Region(8, 64)}}, "the first half and the second half overlap."),
        ({"activations": {"hidden": Region(600, 9)}}, "hidden has too few activation blocks."),
        ({"vector": {"rope": Region(4096, 1)}}, "the plan does not fit preset tiny."),
    ],
)
def test_the_check_finds_a_broken_plan(change: Any, sentence: str) -> None:
    model = MODELS["two heads in a slot"]
    plan, _ = pair_of(model)
    graph = transformer_graph(model.model)
    check_pair(plan, graph, model.config)
    half = dataclasses.replace(
        plan.halves[1],
        vector=dict(plan.halves[1].vector),
        activations=dict(plan.halves[1].activations),
    )
    for memory, regions in change.items():
        getattr(half, memory).update(regions)
    broken = PairPlan(halves=(plan.halves[0], half))
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}"):
        check_pair(broken, graph, model.config)
