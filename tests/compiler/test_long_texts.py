# SPDX-License-Identifier: Apache-2.0
"""The program for texts of several chunks: the bits of the ordinary one, no hazards, and only where
it is faster."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from tests.compiler.models import BERT, compiled, model_config, random_model, runner, tokens
from weft.compiler import CompiledModel
from weft.compiler.compiled import lay_out
from weft.compiler.conventions import encoder_scalars
from weft.compiler.hazards import check_hazards
from weft.compiler.long_texts import LongTexts
from weft.compiler.plan import Region
from weft.compiler.text_plan import TextPlan, check_text
from weft.compiler.walk import walk
from weft.errors import CompileError
from weft.forecast import forecast
from weft.model.shapes import ENCODER_SHAPES
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft_arch.config import preset
from weft_arch.device import Device
from weft_arch.isa import Instruction, Matmul, StreamWeights
from weft_sim.reference import ReferenceDevice

HEADS: dict[str, Any] = {"head_dim": 32, "n_heads": 4, "n_kv_heads": 4}
SHAPES: dict[str, dict[str, Any]] = {
    "small": HEADS,
    "no biases": HEADS | {"biases": frozenset()},
    "some biases": HEADS | {"biases": frozenset({"wv", "wo", "w_up"})},
    "query groups, one direction": HEADS | {"n_kv_heads": 2, "causal": True},
    "root mean square": HEADS | {"norm": "rms", "token_types": 0},
    # four pieces of hidden channels; slots that take turns; rows staged in two goes
    "wide": {"head_dim": 32, "n_heads": 10, "n_kv_heads": 10, "dim": 320, "hidden_dim": 1280},
}
CROWDED = dataclasses.replace(preset("tiny"), vector_memory_words=2048, activation_blocks=256)


def make(name: str, **more: Any) -> CompiledModel:
    shape = model_config(**(BERT | SHAPES[name] | {"max_context": 64}))
    return compiled(random_model(shape), CROWDED if name == "wide" else "tiny", **more)


MODELS = {name: make(name) for name in SHAPES}


def long_of(model: CompiledModel) -> LongTexts:
    assert isinstance(model.long, LongTexts)
    return model.long


def check(model: CompiledModel, program: tuple[Instruction, ...], rows: int) -> None:
    check_hazards(
        program,
        model.config,
        scalars=encoder_scalars(rows, long_of(model).chip.chunk_rows, fewest=2),
        write_base=model.memory.read_only_end,
        write_limit=model.memory.size,
    )


def lengths(model: CompiledModel) -> list[int]:
    """Two chunks that are not full, two, three and as many as there can be; the last one short."""
    rows, first = long_of(model).chip.chunk_rows, model.chip.chunk_rows + 1
    return sorted({first, *(n for n in (2 * rows, 2 * rows + 1, 3 * rows) if n >= first), 64})


def test_what_the_models_have() -> None:
    plan = long_of(MODELS["wide"]).chip
    assert plan.chunk_rows > MODELS["wide"].chip.chunk_rows
    assert len(plan.piece_slices) > 2
    assert plan.slots_at_once < plan.heads.n_slots
    assert plan.staged_rows < plan.chunk_rows
    assert long_of(MODELS["query groups, one direction"]).chip.heads.group == 2


@pytest.mark.parametrize(("name", "weights"), [*((name, "w8") for name in SHAPES), ("wide", "w4")])
def test_the_same_bits_as_the_ordinary_program(name: str, weights: str) -> None:
    model = MODELS[name] if weights == "w8" else make(name, weights=WeightFormat(weights))
    ordinary = make(name, weights=WeightFormat(weights), chunk_rows=4)
    assert ordinary.long is None
    one, other = runner(model), runner(ordinary)
    for count in lengths(model):
        types = [k % 2 for k in range(count)] if model.model.token_types else None
        np.testing.assert_array_equal(
            one.encode(tokens(count), types), other.encode(tokens(count), types), f"{count} tokens"
        )


def test_short_texts_take_the_ordinary_program() -> None:
    model = MODELS["small"]
    most = model.chip.chunk_rows
    assert model.chunk_program(most) == ("program", model.program)
    assert model.chunk_program(most + 1) == ("long_program", long_of(model).program)
    assert model.text_scalars(most) == encoder_scalars(most, most)


@pytest.mark.parametrize("name", SHAPES)
def test_no_hazards(name: str) -> None:
    model = MODELS[name]
    for rows in {2, 3, *lengths(model)}:
        check(model, long_of(model).program, rows)


def test_each_lost_signal_or_wait_is_found() -> None:
    model = MODELS["small"]
    program = long_of(model).program
    for at, i in enumerate(program):
        for field in ("wait_a", "wait_b", "signal_a", "signal_b"):
            if getattr(i, field):
                broken = list(program)
                broken[at] = dataclasses.replace(i, **{field: 0})
                with pytest.raises(
                    CompileError, match=r"nobody gives it|leaves the tokens|another"
                ):
                    check(model, tuple(broken), 64)


@pytest.mark.parametrize("stall", [0.0, 0.25])
def test_the_same_bits_on_the_rtl(stall: float) -> None:
    from weft.devices import open_device
    from weft_sim.memory_parameters import MemoryParameters

    model, count = MODELS["small"], MODELS["small"].chip.chunk_rows + 3
    size = model.memory.size
    memory = MemoryParameters(stall=stall, seed=3) if stall else None

    def hidden(device: Device) -> np.ndarray:
        return ModelRunner(model, device).encode(tokens(count))

    with open_device("rtl", model.config, memory_bytes=size, memory=memory) as tested:
        found = hidden(tested)
    expected = hidden(ReferenceDevice(model.config, memory_bytes=size))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("weights", ["w8", "w4"])
def test_a_long_text_never_takes_longer(weights: str) -> None:
    shape = dataclasses.replace(ENCODER_SHAPES["minilm-l6"], n_layers=2, max_context=512)
    config = preset("default")
    layout = lay_out(shape, config, WeightFormat(weights))
    assert isinstance(layout.long, LongTexts)
    assert (layout.chip.chunk_rows, layout.long.chip.chunk_rows) == (34, 43)
    assert len(layout.long.program) <= config.instruction_words
    for count in (35, 43, 44, 69, 87, 128, 130, 300, 512):
        _, program = layout.chunk_program(count)
        long = forecast(program, config, layout.text_scalars(count)).cycles
        ordinary = forecast(layout.program, config, encoder_scalars(count, 34)).cycles
        assert long <= ordinary, count


def test_a_product_has_its_runs_in_the_queue() -> None:
    """Never more STREAM_WEIGHTS before a MATMUL than an instruction queue holds."""
    shape = dataclasses.replace(ENCODER_SHAPES["minilm-l6"], n_layers=2, max_context=128)
    layout = lay_out(shape, preset("default"), WeightFormat("w8"))
    waiting = most = 0
    for step in walk(layout.chunk_program(128)[1], layout.text_scalars(128)):
        if isinstance(step.instruction, StreamWeights):
            waiting += 1
        elif isinstance(step.instruction, Matmul):
            most, waiting = max(most, waiting), 0
    assert most == 24


def test_models_without_one() -> None:
    """Something that only the ordinary program knows; or texts of one chunk."""
    config = preset("tiny")
    for more in (
        {"norm_order": "pre"},
        {"embedding_norm": False},
        {"feed_forward": "gated", "biases": frozenset()},
        {"qk_norm": True, "norm": "rms"},
        {"head_dim": 16},
        {"n_heads": 1, "n_kv_heads": 1},
    ):
        shape = model_config(**(BERT | HEADS | more))
        assert lay_out(shape, config, WeightFormat("w8")).long is None, more
    shape = model_config(**(BERT | HEADS))
    limits: list[dict[str, Any]] = [{"chunk_rows": 4}, {"max_context": 7}]
    for fields in limits:
        assert lay_out(shape, config, WeightFormat("w8"), **fields).long is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vector": {"staged": Region(0, 64)}}, "x and staged overlap."),
        ({"vector": {"slices": Region(4000, 99)}}, "the plan for texts does not fit preset tiny."),
        ({"activations": {"hidden": Region(3, 20)}}, "normed and hidden overlap."),
        ({"activations": {"queries": Region(70, 20)}}, "next_kv and queries overlap."),
    ],
)
def test_the_check_finds_a_broken_plan(change: Any, sentence: str) -> None:
    found: TextPlan = long_of(MODELS["small"]).chip
    plan = dataclasses.replace(
        found, vector=dict(found.vector), activations=dict(found.activations)
    )
    check_text(plan, MODELS["small"].config)
    for memory, regions in change.items():
        getattr(plan, memory).update(regions)
    with pytest.raises(CompileError, match=f"^{re.escape(sentence)}"):
        check_text(plan, MODELS["small"].config)
