# SPDX-License-Identifier: Apache-2.0
"""Forecasts against the RTL, and for models that nobody simulates."""

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.compiler.models import BERT, compiled, model_config, random_model, tokens
from weft.benchmarks.attention import HEAD_DIM, AttentionPlan, attention_program, run_attention
from weft.benchmarks.gemm import product_counters
from weft.benchmarks.random_model import random_checkpoint
from weft.benchmarks.result import measure
from weft.cli.app import app
from weft.compiler import compile_model
from weft.compiler.conventions import chunk_scalars, encoder_scalars
from weft.devices import open_device
from weft.errors import CompileError, WeftError
from weft.forecast import forecast, forecast_model
from weft.model import ModelConfig, load_model
from weft.model.shapes import ENCODER_SHAPES, KNOWN_SHAPES
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft_arch.config import preset
from weft_sim.toolchain import silent

DEFAULT = preset("default")
LLAMA_1B = KNOWN_SHAPES["llama-3.2-1b"]


def within(share: float, predicted: int, measured: int) -> None:
    assert abs(predicted - measured) <= share * measured, f"{predicted} instead of {measured}"


@pytest.mark.parametrize(
    ("shape", "share"),
    [((256, 256, 256), 0.005), ((32, 512, 512), 0.005), ((64, 64, 64), 0.04), ((1, 64, 128), 0.01)],
)
def test_products(shape: tuple[int, int, int], share: float) -> None:
    gemm, counters = product_counters(DEFAULT, shape, silent)
    predicted = forecast(gemm.program, DEFAULT)
    within(share, predicted.cycles, counters["cycles"])
    within(0.002, predicted.bytes_read, counters["bytes_read"])
    assert predicted.bytes_written == counters["bytes_written"]
    assert predicted.mac_cycles == counters["mac_cycles"]


def test_attention() -> None:
    plan = AttentionPlan(DEFAULT, 512)
    program = list(attention_program(plan))
    predicted = forecast(program, DEFAULT)
    with open_device("rtl", DEFAULT, memory_bytes=plan.end) as device:
        counters, _ = run_attention(device, plan, np.zeros((3, 512, HEAD_DIM), np.float16))
    within(0.01, predicted.cycles, counters["cycles"])
    assert predicted.mac_cycles == counters["mac_cycles"]


@pytest.mark.parametrize("form", [WeightFormat.W8, WeightFormat.W4])
def test_a_prompt_and_a_step_of_the_shipped_model(form: WeightFormat) -> None:
    checkpoint = load_model().checkpoint
    compiled = compile_model(checkpoint, DEFAULT, form)
    predicted = forecast_model(checkpoint.config, DEFAULT, form, prompt=40)
    with open_device("rtl", DEFAULT, memory_bytes=compiled.memory.size) as device:
        runner = ModelRunner(compiled, device)
        prefill = measure(device, lambda: runner.prefill(range(40)))
        decode = measure(device, lambda: runner.run_chunk([1], position=40))
    within(0.02, predicted.prefill.cycles, prefill["cycles"])
    within(0.01, predicted.decode.cycles, decode["cycles"])
    assert predicted.decode.mac_cycles == decode["mac_cycles"]
    assert predicted.decode.bytes_written == decode["bytes_written"]
    assert sum(predicted.decode.bytes_by_kind.values()) == (
        predicted.decode.bytes_read + predicted.decode.bytes_written
    )


def test_weights_on_the_chip() -> None:
    """None of them are read, and the array waits for them no longer than it takes to copy them."""
    shape, config = KNOWN_SHAPES["stories260k"], preset("resident")
    kept = forecast_model(shape, config, WeightFormat.W8, context=129).decode
    streamed = forecast_model(shape, preset("wide"), WeightFormat.W8, context=129).decode
    assert kept.bytes_by_kind["weights"] == 0
    assert streamed.bytes_read - kept.bytes_read == 285056
    assert kept.mac_cycles == streamed.mac_cycles
    assert kept.cycles < 0.8 * streamed.cycles
    # The program that brings them is bound by the memory, and fills no buffer.
    layout = forecast_model(shape, config, WeightFormat.W8).layout
    keep = forecast(layout.keep, config)
    assert keep.bytes_by_kind["weights"] == 285056
    within(0.01, keep.cycles, 285056 // config.memory_bytes_per_cycle)


def test_sampled_chunks_are_as_good_as_all(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = KNOWN_SHAPES["stories260k"]
    form = WeightFormat.W8
    sampled = forecast_model(shape, DEFAULT, form, prompt=300).prefill
    monkeypatch.setattr("weft.forecast.model.MOST_CHUNKS", 1000)
    every = forecast_model(shape, DEFAULT, form, prompt=300).prefill
    within(0.01, sampled.cycles, every.cycles)


def test_models_that_nobody_simulates() -> None:
    w8, w4 = (
        forecast_model(LLAMA_1B, DEFAULT, form, context=1024, prompt=8)
        for form in (WeightFormat.W8, WeightFormat.W4)
    )
    # Every weight once per token, 17 bytes for 16, at 8 bytes per cycle.
    weights = 16 * (2048 * (2 * 2048 + 2 * 512) + 3 * 2048 * 8192) + 128256 * 2048
    assert w8.decode.bytes_by_kind["weights"] == weights * 17 // 16
    within(0.02, w8.decode.cycles, w8.decode.bytes_read // 8)
    assert w8.bottleneck(w8.decode) == "memory bandwidth"
    assert 1.8 < w8.decode.cycles / w4.decode.cycles < 1.89
    largest = forecast_model(KNOWN_SHAPES["llama-2-7b"], DEFAULT, WeightFormat.W4, context=256)
    assert largest.layout.chip.chunk_rows == 1
    with pytest.raises(CompileError, match=r"the model needs \d+ bytes; addresses have 32 bits"):
        forecast_model(KNOWN_SHAPES["llama-2-7b"], DEFAULT, WeightFormat.W8)
    with pytest.raises(CompileError, match="one position needs 5248 words of vector memory"):
        forecast_model(KNOWN_SHAPES["llama-2-7b"], preset("tiny"), WeightFormat.W4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"prompt": 0}, "the prompt has 0 tokens; this model takes 1 to 131072."),
        ({"context": 131073}, "the context is 131073 positions; this model takes 1 to 131072."),
    ],
)
def test_lengths_that_do_not_fit(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WeftError) as error:
        forecast_model(LLAMA_1B, DEFAULT, WeightFormat.W8, **arguments)
    assert str(error.value) == sentence


def test_a_random_model_has_the_shape_that_is_asked_for() -> None:
    shape: ModelConfig = KNOWN_SHAPES["stories260k"]
    assert random_checkpoint(shape).config == shape


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["plan", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_command_line() -> None:
    text = run("--prompt", "20")
    for word in ("prefill of 20", "decode at 21", "memory bandwidth", "w_gate, w_up", "tokens/s"):
        assert word in text
    found = json.loads(run("-m", "qwen2.5-0.5b", "--weights", "w4", "--json"))
    assert found["decode"]["bytes"]["weights"] == 277853184
    changed = json.loads(
        run("-m", "llama-2-7b", "--weights", "w4", "--set", "vector_memory_words=8192", "--json")
    )
    assert changed["tokens_per_second"] < 1
    assert "resident memory" in run("-m", "stories260k", "--preset", "resident")
    assert "resident memory" not in run("-m", "stories260k", "--preset", "wide")
    fits = run("--fits")
    assert "does not fit" in fits
    assert all(name in fits for name in KNOWN_SHAPES)


def test_a_text_through_an_encoder() -> None:
    """Fences and chunks: small work, of which the starts are a part."""
    model = random_model(model_config(**BERT))
    made = compiled(model, config="tiny", chunk_rows=8, max_context=30)
    with open_device("rtl", made.config, memory_bytes=made.memory.size) as device:
        runner = ModelRunner(made, device)
        before = runner.counters()
        runner.encode(tokens(30))
        cycles = (runner.counters() - before).cycles
    predicted = forecast(made.program, made.config, encoder_scalars(30, 8)).cycles
    within(0.03, predicted, cycles)


def test_a_long_text_through_an_encoder() -> None:
    """Norms beside products: on a small array the vector unit is hardly ever idle, and what it
    loses at the vector memory is known less well."""
    heads = {"head_dim": 32, "n_heads": 4, "n_kv_heads": 4}
    made = compiled(random_model(model_config(**(BERT | heads | {"max_context": 64}))), "tiny")
    region, program = made.chunk_program(64)
    assert region == "long_program"
    with open_device("rtl", made.config, memory_bytes=made.memory.size) as device:
        runner = ModelRunner(made, device)
        cycles = measure(device, lambda: runner.encode(tokens(64)))["cycles"]
    within(0.06, forecast(program, made.config, made.text_scalars(64)).cycles, cycles)


def test_two_chunks_by_turns() -> None:
    made = compiled(random_model(model_config(n_heads=8, n_kv_heads=4, head_dim=8)), "tiny")
    region, program = made.chunk_program(32)
    assert region == "long_program"
    with open_device("rtl", made.config, memory_bytes=made.memory.size) as device:
        runner = ModelRunner(made, device)
        cycles = measure(device, lambda: runner.run_chunk(tokens(32), position=0))["cycles"]
    within(0.02, forecast(program, made.config, chunk_scalars(32, 0)).cycles, cycles)


def test_a_plan_of_an_encoder() -> None:
    found = forecast_model(ENCODER_SHAPES["minilm-l6"], DEFAULT, WeightFormat.W8, prompt=128)
    assert found.is_encoder
    assert found.prefill.mac_cycles > 0.7 * found.prefill.cycles
    with pytest.raises(WeftError, match=r"^the text has 513 tokens; this model takes 1 to 512\.$"):
        forecast_model(ENCODER_SHAPES["minilm-l6"], DEFAULT, WeightFormat.W8, prompt=513)
