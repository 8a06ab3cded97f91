# SPDX-License-Identifier: Apache-2.0
"""Models from GGUF files: what reaches the device, and what is told about it."""

import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from typer.testing import CliRunner

from tests.host.gguf_files import blocks, gguf_tensors, write_gguf
from weft import LLM, SamplingParams
from weft.cli.app import app
from weft.compiler import CompiledModel, compile_model
from weft.errors import ModelError
from weft.float_model import FloatModel
from weft.model import LoadedModel, load_model
from weft.model.checkpoint import as_floats, as_quantized
from weft.model.gguf import load_gguf
from weft.quantize import WeightFormat, quantize
from weft.weight_plan import WeightPlan, dequantized
from weft_arch import layouts
from weft_arch.config import preset

GREEDY = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)
PROMPTS = ["One day, Tom", "Lily and her friend"]


def all_of(kind: Type) -> Callable[[str, np.ndarray], Type]:
    return lambda name, array: kind


def matrices_of(kind: Type) -> Callable[[str, np.ndarray], Type]:
    """The embedding, which the device keeps as float16, is float16 in the file."""
    return lambda name, array: Type.F16 if name == "token_embd.weight" else kind


@pytest.fixture(scope="module")
def stories() -> LoadedModel:
    return load_model("weft-stories")


def compiled(loaded: LoadedModel, form: WeightFormat) -> CompiledModel:
    return compile_model(loaded.checkpoint, preset("default"), form, max_context=64)


def tokens(model: str | Path, weights: str = "w8") -> list[list[int]]:
    with LLM(model, device="reference", weights=weights, max_model_len=64) as llm:
        return [output.token_ids for output in llm.generate(PROMPTS, GREEDY)]


@pytest.mark.parametrize("kind", [Type.F32, Type.F16])
def test_float_files_are_the_model_itself(stories: LoadedModel, tmp_path: Path, kind: Type):
    loaded = load_model(write_gguf(tmp_path / "m.gguf", stories, all_of(kind)))
    assert loaded.checkpoint.config == stories.checkpoint.config
    assert loaded.checkpoint.n_parameters == stories.checkpoint.n_parameters
    for name, tensor in gguf_tensors(stories.checkpoint).items():
        np.testing.assert_array_equal(gguf_tensors(loaded.checkpoint)[name], tensor)
    for form in (WeightFormat.W8, WeightFormat.W4, WeightFormat.IQ4_NL):
        ours, original = compiled(loaded, form), compiled(stories, form)
        np.testing.assert_array_equal(ours.image, original.image)
        assert ours.program == original.program


def test_a_q8_0_file_is_the_model_that_weft_quantises(stories: LoadedModel, tmp_path: Path):
    path = write_gguf(tmp_path / "m.gguf", stories, matrices_of(Type.Q8_0))
    np.testing.assert_array_equal(
        compiled(load_model(path), WeightFormat.W8).image,
        compiled(stories, WeightFormat.W8).image,
    )
    assert tokens(path) == tokens("weft-stories")


def test_a_tied_table_in_q8_0_is_the_head_unchanged(stories: LoadedModel, tmp_path: Path):
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(Type.Q8_0))
    with LLM(path, device="reference", max_model_len=64) as llm:
        (output,) = llm.generate(PROMPTS[0], GREEDY)
        sentence = llm.loaded.repacked.sentence("w8")
        head = as_quantized(llm.loaded.checkpoint.matrix("lm_head"), WeightFormat.W8)
        where = llm.compiled.memory.regions["embedding"]
        embedding = llm.compiled.image[where.base - llm.compiled.base :][: where.size]
    assert len(output.token_ids) == 24
    assert sentence == "all 29 matrices are in w8 exactly as the file has them."
    table = gguf_tensors(stories.checkpoint)["token_embd.weight"]
    raw = gguf.quants.quantize(table, Type.Q8_0).reshape(768, 4, 34)
    np.testing.assert_array_equal(head.codes.view(np.uint8), raw[:, :, 2:])
    np.testing.assert_array_equal(head.scales[..., np.newaxis].view(np.uint8), raw[:, :, :2])
    rows = embedding.reshape(768, -1)
    np.testing.assert_array_equal(rows[:, :8], raw[:, :, :2].reshape(768, 8))
    np.testing.assert_array_equal(rows[:, 8:], raw[:, :, 2:].reshape(768, 128))


def test_a_q4_0_file_is_the_model_that_weft_quantises(stories: LoadedModel, tmp_path: Path):
    """In blocks that weft made: the package's quantiser rounds a few codes the other way."""
    written: dict[str, tuple[np.ndarray, Type]] = {}
    for name, array in gguf_tensors(stories.checkpoint).items():
        if array.ndim == 2 and name != "token_embd.weight":
            made = quantize(array, WeightFormat.W4)
            codes = layouts.pack_codes4(made.codes.astype(np.uint8))
            raw = np.concatenate([made.scales[..., np.newaxis].view(np.uint8), codes], axis=-1)
            written[name] = (raw.reshape(len(array), -1), Type.Q4_0)
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(Type.F16), tensors=written)
    np.testing.assert_array_equal(
        compiled(load_model(path), WeightFormat.W4).image,
        compiled(stories, WeightFormat.W4).image,
    )
    assert tokens(path, "w4") == tokens("weft-stories", "w4")


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (Type.Q8_0, WeightFormat.W8),
        (Type.Q4_0, WeightFormat.W4),
        (Type.Q4_0, WeightFormat.INT4),
        (Type.IQ4_NL, WeightFormat.IQ4_NL),
    ],
)
def test_blocks_reach_the_device_unchanged(
    stories: LoadedModel, tmp_path: Path, kind: Type, form: WeightFormat
):
    """Random blocks, which no quantiser would make, are found in the memory image."""
    rows, columns = stories.checkpoint.config.hidden_dim, stories.checkpoint.config.dim
    raw = blocks(kind, rows * columns // 32, seed=5)
    written = {"blk.2.ffn_gate.weight": (raw.reshape(rows, -1), kind)}
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(kind), tensors=written)
    made = compiled(load_model(path), form)
    bits = form.bits
    tile_bytes = made.config.tile_bytes(bits)
    k_blocks = columns // 32
    expected_codes = raw[:, 2:] if bits == 8 else np.hstack([raw[:, 2:] & 15, raw[:, 2:] >> 4])
    expected_scales = raw[:, :2].copy().view("<u2").reshape(rows, k_blocks)

    offset = made.memory.regions["weights"].base - made.base + 2 * made.memory.layer_weight_bytes
    found_codes, found_scales = [], []
    for part in made.memory.layer_parts:
        for name, n_tiles in zip(part.names, part.n_tiles, strict=True):
            end = offset + n_tiles * part.k_blocks * tile_bytes
            if name == "w_gate":
                piece = made.image[offset:end]
                codes, scales = layouts.unpack_tiles(made.config, piece, k_blocks, bits)
                found_codes.append(codes)
                found_scales.append(scales)
            offset = end
    np.testing.assert_array_equal(np.concatenate(found_scales), expected_scales)
    np.testing.assert_array_equal(
        np.concatenate(found_codes), expected_codes.reshape(rows, k_blocks, 32)
    )


@pytest.mark.parametrize("kind", [Type.Q4_0, Type.Q5_0, Type.IQ4_NL, Type.MXFP4])
def test_small_codes_are_exact_in_w8(stories: LoadedModel, tmp_path: Path, kind: Type):
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(kind))
    model = load_gguf(path)
    matrix = model.checkpoint.layers[1].w_down
    np.testing.assert_array_equal(
        as_quantized(matrix, WeightFormat.W8).dequantize(), as_floats(matrix)
    )
    assert model.repacked.sentence(WeightFormat.W8) == (
        "all 1 matrices are in w8 exactly as the file has them."
    )


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (Type.Q4_0, WeightFormat.W4),
        (Type.Q4_0, WeightFormat.INT4),
        (Type.IQ4_NL, WeightFormat.IQ4_NL),
        (Type.MXFP4, WeightFormat.FP4),
    ],
)
def test_four_bit_files_are_exact_in_the_format_of_their_codebook(
    stories: LoadedModel, tmp_path: Path, kind: Type, form: WeightFormat
):
    model = load_gguf(write_gguf(tmp_path / "m.gguf", stories, all_of(kind)))
    matrix = model.checkpoint.layers[1].w_down
    np.testing.assert_array_equal(as_quantized(matrix, form).dequantize(), as_floats(matrix))
    as_quantized(matrix, WeightFormat.NF4)
    assert [t.relative_rms_error for t in model.repacked.tensors(form)] == [0.0]
    assert [t.relative_rms_error > 0 for t in model.repacked.tensors(WeightFormat.NF4)] == [True]


def test_a_scale_beyond_float16_is_repacked(stories: LoadedModel, tmp_path: Path):
    raw = blocks(Type.MXFP4, 128 * 256 // 32)
    raw[:, 0] = 90  # 2^-38 of scale
    written = {"blk.0.ffn_down.weight": (raw.reshape(128, -1), Type.MXFP4)}
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(Type.F16), tensors=written)
    model = load_gguf(path)
    assert not as_quantized(model.checkpoint.layers[0].w_down, WeightFormat.W8).scales.any()
    (entry,) = model.repacked.tensors(WeightFormat.W8)
    assert entry.relative_rms_error == 1.0


@pytest.mark.parametrize("kind", [Type.Q4_1, Type.Q5_1, Type.Q4_K, Type.Q5_K, Type.Q6_K, Type.BF16])
@pytest.mark.parametrize("form", [WeightFormat.W8, WeightFormat.W4, WeightFormat.NF4])
def test_other_types_are_repacked_and_the_loss_is_told(
    stories: LoadedModel, tmp_path: Path, kind: Type, form: WeightFormat
):
    raw = blocks(kind, 128 * 256 // gguf.GGML_QUANT_SIZES[kind][0], seed=3).reshape(128, -1)
    if kind is Type.BF16:
        raw = gguf.quants.quantize(np.random.default_rng(1).normal(size=(128, 256)), kind)
    written = {"blk.0.ffn_down.weight": (raw, kind)}
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(Type.F16), tensors=written)
    model = load_gguf(path)
    exact = gguf.quants.dequantize(raw, kind).reshape(128, 256)
    found = as_quantized(model.checkpoint.layers[0].w_down, form)
    expected = quantize(exact, form)
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.scales, expected.scales)
    (entry,) = model.repacked.tensors(form)
    assert (entry.tensor, entry.stored) == ("blk.0.ffn_down.weight", kind.name)
    error = np.square(expected.dequantize().astype(float) - exact).sum()
    assert entry.relative_rms_error == pytest.approx(
        np.sqrt(error / np.square(exact.astype(float)).sum()), rel=1e-4
    )


def test_mixed_files_run_and_say_what_they_lost(stories: LoadedModel, tmp_path: Path):
    def mixed(name: str, array: np.ndarray) -> Type:
        if name == "token_embd.weight":
            return Type.F16
        return Type.Q5_1 if "ffn_up" in name else Type.Q8_0

    path = write_gguf(tmp_path / "m.gguf", stories, mixed)
    with LLM(path, device="reference", max_model_len=64) as llm:
        (output,) = llm.generate(PROMPTS[0], GREEDY)
        sentence = llm.loaded.repacked.sentence("w8")
        rounded = FloatModel(dequantized(llm.loaded.checkpoint, WeightPlan.named("w8")))
    assert len(output.token_ids) == 24
    assert rounded.config.n_layers == stories.checkpoint.config.n_layers
    assert sentence is not None
    assert re.fullmatch(
        r"5 of 29 matrices \(F16, Q5_1\) were repacked to w8: relative RMS error 0\.\d+ % over "
        r"them, at most 0\.\d+ % \([\w.]+, (F16|Q5_1)\)\.",
        sentence,
    )


def test_a_plan_counts_rows_as_they_are_in_the_file(stories: LoadedModel, tmp_path: Path):
    def memory_bytes(form: Type, *options: str) -> int:
        path = write_gguf(tmp_path / f"{form.name}.gguf", stories, all_of(form))
        result = CliRunner().invoke(app, ["plan", "-m", str(path), "--json", *options])
        assert result.exit_code == 0, result.output
        return json.loads(result.output)["memory_bytes"]

    assert memory_bytes(Type.Q8_0) == memory_bytes(Type.F16, "--embedding", "q8")
    assert memory_bytes(Type.Q8_0, "--embedding", "f16") == memory_bytes(Type.F16)
    assert memory_bytes(Type.Q8_0) < memory_bytes(Type.F16)


def test_an_untied_head_is_read(stories: LoadedModel, tmp_path: Path):
    head = np.random.default_rng(4).normal(size=(768, 128)).astype(np.float32)
    written = {"output.weight": head}
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(Type.F32), tensors=written)
    checkpoint = load_gguf(path).checkpoint
    assert not checkpoint.config.tied_embeddings
    np.testing.assert_array_equal(as_floats(checkpoint.matrix("lm_head")), head)


def test_loading_needs_little_more_memory_than_a_piece(stories: LoadedModel, tmp_path: Path):
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(Type.F16))
    tracemalloc.start()
    try:
        loaded = load_model(path)
        as_quantized(loaded.checkpoint.token_embedding, WeightFormat.W8)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The file is 1.4 MB; the embedding has 98,304 numbers, and quantising takes some 40 bytes each.
    assert peak < 98_304 * 60


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
@pytest.mark.parametrize("kind", [Type.F32, Type.F16])
def test_weights_that_are_not_finite_are_found_when_used(
    stories: LoadedModel, tmp_path: Path, value: float, shown: str, kind: Type
):
    matrix = np.zeros((128, 256), np.float32)
    matrix[77, 5] = value
    written = {"blk.3.ffn_down.weight": matrix}
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(kind), tensors=written)
    loaded = load_model(path)
    sentence = rf"m\.gguf: tensor blk\.3\.ffn_down\.weight holds {shown} at index \[77, 5\]\.$"
    with pytest.raises(ModelError, match=sentence):
        compiled(loaded, WeightFormat.W8)
    with pytest.raises(ModelError, match=sentence):
        FloatModel(loaded.checkpoint)


def test_scales_that_are_not_finite_are_found(stories: LoadedModel, tmp_path: Path):
    raw = blocks(Type.Q8_0, 128 * 256 // 32).reshape(128, -1)
    raw[5, 34:36] = np.array([np.inf], "<f2").view(np.uint8)
    written = {"blk.0.ffn_down.weight": (raw, Type.Q8_0)}
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(Type.Q8_0), tensors=written)
    with pytest.raises(ModelError, match=r"ffn_down\.weight has the scale inf at index \[5, 32\]"):
        compiled(load_model(path), WeightFormat.W8)


def test_a_number_too_large_for_the_device_is_refused(stories: LoadedModel, tmp_path: Path):
    matrix = np.full((128, 256), 1e30, np.float32)
    written = {"blk.0.ffn_down.weight": matrix}
    path = write_gguf(tmp_path / "m.gguf", stories, all_of(Type.F32), tensors=written)
    with pytest.raises(ModelError, match=r"m\.gguf: tensor blk\.0\.ffn_down\.weight: a weight of"):
        compiled(load_model(path), WeightFormat.W8)
