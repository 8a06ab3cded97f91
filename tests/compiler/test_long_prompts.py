# SPDX-License-Identifier: Apache-2.0
"""The program for long prompts: the bits of the ordinary one, no hazards, and only where it is
faster."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from tests.compiler.models import compiled, model_config, random_model, runner, tokens
from weft.compiler import CompiledModel, compile_model
from weft.compiler.compiled import lay_out
from weft.compiler.conventions import chunk_scalars, even_chunks
from weft.compiler.hazards import check_hazards
from weft.compiler.long_plan import LongPlan, check_long
from weft.compiler.plan import Region
from weft.compiler.walk import walk
from weft.errors import CompileError
from weft.forecast import forecast
from weft.model.shapes import KNOWN_SHAPES
from weft.quantize import WeightFormat
from weft.runtime import BatchRow, ModelRunner
from weft_arch.config import Configuration, preset
from weft_arch.device import Device
from weft_arch.isa import Instruction, Matmul, StreamWeights
from weft_sim.reference import ReferenceDevice

TOKENS = 34
BASE: dict[str, Any] = {"dim": 128, "head_dim": 32, "hidden_dim": 352, "n_layers": 2}


def small(blocks: int, words: int = 1024) -> Configuration:
    return dataclasses.replace(preset("tiny"), vector_memory_words=words, activation_blocks=blocks)


# Three slots that take turns, in several groups of rows; two; four; one, and rows of x that share
# words with attention's buffers.
SHAPES: dict[str, tuple[Configuration, dict[str, Any]]] = {
    "turns": (small(128), {"n_heads": 6, "n_kv_heads": 3}),
    "two": (small(128), {"n_heads": 2, "n_kv_heads": 2}),
    "four": (small(128), {"n_heads": 4, "n_kv_heads": 4}),
    "one": (small(128), {"n_heads": 2, "n_kv_heads": 1}),
    "back": (small(128), {"n_heads": 2, "n_kv_heads": 1, "dim": 256}),
}


def make(name: str, weights: str = "w8") -> CompiledModel:
    config, changes = SHAPES[name]
    model = random_model(model_config(**BASE | changes))
    return compile_model(model, config, WeightFormat(weights))


MODELS = {name: make(name) for name in SHAPES}


def long_plan(model: CompiledModel) -> LongPlan:
    assert model.long is not None
    assert isinstance(model.long.chip, LongPlan)
    return model.long.chip


def long_program(model: CompiledModel) -> tuple[Instruction, ...]:
    assert model.long is not None
    return model.long.program


def check(
    model: CompiledModel,
    program: tuple[Instruction, ...],
    rows: int,
    position: int,
    heads: tuple[bool, ...] = (True,),
) -> None:
    for head in heads:
        check_hazards(
            program,
            model.config,
            scalars=chunk_scalars(rows, position, head=head, logit_rows=int(head)),
            write_base=model.memory.read_only_end,
            write_limit=model.memory.size,
        )


def run(model: CompiledModel, device: Device, chunk: int | None) -> tuple[np.ndarray, np.ndarray]:
    of = ModelRunner(model, device)
    of.prefill(tokens(TOKENS), store_logits=True, chunk=chunk)
    return of.logits(), of.kv_cache()


def test_what_the_models_have() -> None:
    plans = {name: long_plan(model) for name, model in MODELS.items()}
    for name, plan in plans.items():
        assert plan.chunk_rows > MODELS[name].chip.chunk_rows
    assert plans["turns"].chunk_rows > plans["turns"].group_rows
    pieces = len(MODELS["turns"].memory.parts("w_up")) / plans["turns"].piece_slices
    assert pieces > 2
    assert plans["back"].front_rows < plans["back"].chunk_rows


@pytest.mark.parametrize(("name", "weights"), [*((name, "w8") for name in SHAPES), ("turns", "w4")])
def test_the_same_bits_in_chunks_of_any_size(name: str, weights: str) -> None:
    model = MODELS[name] if weights == "w8" else make(name, weights)
    sizes = (None, model.prompt_rows - 1, model.chip.chunk_rows, 1)
    results = [run(model, runner(model).device, chunk) for chunk in sizes]
    for logits, cache in results[1:]:
        np.testing.assert_array_equal(logits, results[0][0])
        np.testing.assert_array_equal(cache, results[0][1])


@pytest.mark.parametrize("name", SHAPES)
def test_batches_beside_it_have_the_bits_of_one(name: str) -> None:
    config, changes = SHAPES[name]
    checkpoint = random_model(model_config(**BASE | changes))
    model = compile_model(checkpoint, config, WeightFormat.W8, max_sequences=2)
    assert model.long
    assert model.batch
    ids, alone, both = tokens(TOKENS), runner(MODELS[name]), runner(model)
    alone.prefill(ids)
    alone.run_chunk([1], position=TOKENS, store_logits=True)
    for sequence, n in ((0, 3), (1, TOKENS)):
        both.prefill(ids[:n], sequence=sequence)
    rows = [BatchRow(sequence=s, position=n, token_id=1) for s, n in ((1, TOKENS), (0, 3))]
    both.run_batch(rows)
    np.testing.assert_array_equal(both.logits(2)[0], alone.logits()[0])
    np.testing.assert_array_equal(both.kv_cache(1), alone.kv_cache())


@pytest.mark.parametrize("name", SHAPES)
def test_no_hazards(name: str) -> None:
    model = MODELS[name]
    most = model.prompt_rows
    for rows in {1, model.chip.chunk_rows + 1, most - 1, most}:
        for position in (0, 80 - rows):
            check(model, long_program(model), rows, position, heads=(True, False))


@pytest.mark.parametrize("name", ["turns", "back"])
def test_each_lost_signal_or_wait_is_found(name: str) -> None:
    model = MODELS[name]
    program = long_program(model)
    for at, i in enumerate(program):
        for field in ("wait_a", "wait_b", "signal_a", "signal_b"):
            if getattr(i, field):
                broken = list(program)
                broken[at] = dataclasses.replace(i, **{field: 0})
                with pytest.raises(
                    CompileError, match=r"nobody gives it|leaves the tokens|another"
                ):
                    check(model, tuple(broken), model.prompt_rows, 3)


@pytest.mark.parametrize("stall", [0.0, 0.25])
def test_the_same_bits_on_the_rtl(stall: float) -> None:
    """Chunks of the long program, the last one with its head, and the ordinary one's steps."""
    from weft.devices import open_device
    from weft_sim.memory_parameters import MemoryParameters

    shape = {"n_heads": 4, "n_kv_heads": 4, "head_dim": 32, "dim": 256, "hidden_dim": 1024}
    model = compiled(random_model(model_config(**shape, n_layers=2)), "tiny")
    plan = long_plan(model)
    assert plan.front_rows < plan.chunk_rows
    size = model.memory.size
    memory = MemoryParameters(stall=stall, seed=3) if stall else None
    rows = model.prompt_rows
    results: list[tuple[np.ndarray, np.ndarray]] = []
    with open_device("rtl", model.config, memory_bytes=size, memory=memory) as tested:
        for device in (tested, ReferenceDevice(model.config, memory_bytes=size)):
            of = ModelRunner(model, device)
            of.prefill(tokens(rows + rows - 2), store_logits=True)
            of.run_chunk([1], position=2 * rows - 2, store_logits=True)
            results.append((of.logits(), of.kv_cache()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("weights", ["w8", "w4"])
def test_a_long_prompt_never_takes_longer(weights: str) -> None:
    shape = dataclasses.replace(
        KNOWN_SHAPES["smollm2-135m"], n_layers=2, vocab_size=256, max_context=256
    )
    config = preset("default")
    layout = lay_out(shape, config, WeightFormat(weights))
    assert (layout.chip.chunk_rows, layout.prompt_rows) == (22, 43)

    def cycles(count: int, most: int) -> int:
        total = 0
        for first, end in even_chunks(count, most):
            _, program = layout.chunk_program(end - first)
            scalars = chunk_scalars(end - first, first, head=False)
            total += forecast(program, config, scalars).cycles
        return total

    for count in (23, 43, 44, 66, 100, 256):
        assert cycles(count, 43) <= 1.01 * cycles(count, 22), count


def test_models_without_one() -> None:
    """No more rows than the ordinary program has; or something that only that one knows."""
    assert compiled().long is None
    config, changes = SHAPES["two"]
    for more in (
        {"norm_order": "sandwich"},
        {"norm": "layer"},
        {"positions": "learned"},
        {"feed_forward": "plain"},
        {"biases": frozenset({"wq"})},
        {"qk_norm": True},
        {"head_dim": 16},
    ):
        shape = model_config(**BASE | changes | more)
        assert lay_out(shape, config, WeightFormat("w8")).long is None
    shape = model_config(**BASE | changes)
    limits: list[dict[str, Any]] = [{"all_logits": True}, {"chunk_rows": 4}, {"max_context": 7}]
    for fields in limits:
        assert lay_out(shape, config, WeightFormat("w8"), **fields).long is None


def test_a_program_that_is_too_long_gets_larger_panels() -> None:
    """With the smallest ones it would have 552 instructions."""
    config = preset("default")
    layout = lay_out(KNOWN_SHAPES["smollm2-360m"], config, WeightFormat("w8"), max_context=256)
    assert layout.long is not None
    assert len(layout.long.program) <= config.instruction_words
    assert (layout.chip.chunk_rows, layout.prompt_rows) == (14, 24)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vector": {"inner": Region(600, 200)}}, "inner and outer overlap."),
        ({"vector": {"x": Region(32, 900)}}, "x and panels overlap."),
        ({"activations": {"hidden": Region(10, 20)}}, "normed and hidden overlap."),
        ({"activations": {"hidden": Region(100, 99)}}, "the plan for long prompts does not fit"),
    ],
)
def test_the_check_finds_a_broken_plan(change: Any, sentence: str) -> None:
    found = long_plan(MODELS["two"])
    plan = dataclasses.replace(
        found, vector=dict(found.vector), activations=dict(found.activations)
    )
    check_long(plan, MODELS["two"].config)
    for memory, regions in change.items():
        getattr(plan, memory).update(regions)
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}"):
        check_long(plan, MODELS["two"].config)


def test_a_product_has_its_runs_in_the_queue() -> None:
    """Never more STREAM_WEIGHTS before a MATMUL than an instruction queue holds: it would not be
    handed out, and they would not end."""
    shape = dataclasses.replace(KNOWN_SHAPES["smollm2-135m"], n_layers=1, max_context=256)
    long = lay_out(shape, preset("default"), WeightFormat("w8")).long
    assert long is not None
    waiting = most = 0
    for step in walk(long.program, chunk_scalars(43, 0, head=False)):
        if isinstance(step.instruction, StreamWeights):
            waiting += 1
        elif isinstance(step.instruction, Matmul):
            most, waiting = max(most, waiting), 0
    assert most == 24
