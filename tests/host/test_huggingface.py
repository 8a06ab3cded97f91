# SPDX-License-Identifier: Apache-2.0
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from weft.errors import FileError, ModelError, WeftError
from weft.model.checkpoint import StoredMatrix, as_floats, as_quantized
from weft.model.huggingface import load_huggingface
from weft.model.places import interleaved_rows
from weft.quantize import WeightFormat, quantize

Q0 = "model.layers.0.self_attn.q_proj.weight"


def test_tensors_arrive_under_their_names(make_folder: Callable[..., Path]):
    folder = make_folder()
    tensors = load_file(folder / "model.safetensors")
    checkpoint = load_huggingface(folder)
    layer = checkpoint.layers[1]
    np.testing.assert_array_equal(layer.w_gate, tensors["model.layers.1.mlp.gate_proj.weight"])
    np.testing.assert_array_equal(layer.wv, tensors["model.layers.1.self_attn.v_proj.weight"])
    np.testing.assert_array_equal(
        layer.ffn_norm, tensors["model.layers.1.post_attention_layernorm.weight"]
    )
    assert checkpoint.lm_head is checkpoint.token_embedding
    assert checkpoint.config.max_context == 64


def test_rotary_rows_become_interleaved(make_folder: Callable[..., Path]):
    folder = make_folder()
    q_proj = load_file(folder / "model.safetensors")[Q0]
    wq = as_floats(load_huggingface(folder).layers[0].wq)
    for head in range(4):
        for i in range(8):
            np.testing.assert_array_equal(wq[head * 16 + 2 * i], q_proj[head * 16 + i])
            np.testing.assert_array_equal(wq[head * 16 + 2 * i + 1], q_proj[head * 16 + 8 + i])


def test_interleaving_keeps_every_row_once():
    assert interleaved_rows(24, 6, 6)[:6].tolist() == [0, 3, 1, 4, 2, 5]
    assert sorted(interleaved_rows(24, 6, 6).tolist()) == list(range(24))
    assert interleaved_rows(16, 8, 4)[8:].tolist() == [8, 10, 9, 11, 12, 13, 14, 15]


def test_an_untied_head_is_read(make_folder: Callable[..., Path]):
    folder = make_folder({"tie_word_embeddings": False})
    checkpoint = load_huggingface(folder)
    head = load_file(folder / "model.safetensors")["lm_head.weight"]
    np.testing.assert_array_equal(checkpoint.lm_head, head)


def test_shards_are_found_by_the_index(make_folder: Callable[..., Path]):
    folder = make_folder()
    whole = load_huggingface(folder)
    expected = [as_floats(tensor) for _, tensor in whole.named_tensors()]
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2])):
        save_file({name: tensors[name] for name in part}, folder / f"part-{number}.safetensors")
        weight_map |= dict.fromkeys(part, f"part-{number}.safetensors")
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    sharded = load_huggingface(folder)
    for a, (_, b) in zip(expected, sharded.named_tensors(), strict=True):
        np.testing.assert_array_equal(a, as_floats(b))

    for target, sentence in [
        ("../part-0.safetensors", "which is no file name in the folder"),
        (3, "sends .* to 3, which is no file name"),
        ("absent.safetensors", r"absent\.safetensors does not exist"),
        ("part-1.safetensors", r"is not in 'part-1\.safetensors'"),
    ]:
        index.write_text(json.dumps({"weight_map": weight_map | {names[0]: target}}))
        with pytest.raises(FileError, match=sentence):
            load_huggingface(folder)
    index.write_text("{}")
    with pytest.raises(FileError, match="weight_map is None, which maps no tensor"):
        load_huggingface(folder)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"architectures": ["OPTForCausalLM"]}, r"architectures is \['OPTForCausalLM'\], but weft"),
        (
            {"architectures": None, "model_type": "opt"},
            r"is None, but weft runs LlamaForCausalLM, ",
        ),
        ({"architectures": ["LlamaForCausalLM"] * 2}, r"architectures is \['LlamaFor.* but weft"),
        ({"mlp_bias": 1}, "mlp_bias is 1, but must be true or false"),
        ({"rope_scaling": {"rope_type": "llama3"}}, r"factor is missing\."),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, r"factor is 0\.0, but must be greater"),
        (
            {"rope_scaling": {"type": "mrope"}},
            r"scaling is of type 'mrope', but weft knows default,",
        ),
        ({"rope_scaling": {"type": 1}}, r"type is 1, but must be a string\."),
        ({"rope_scaling": {"type": "su"}}, r"short_factor has 0 numbers, but must have 8\."),
        (
            {"rope_scaling": {"type": "su", "short_factor": [1, 1, 1, 1, 1, 1, 0, 1]}},
            r"short_factor\[6\] is 0, but must be greater than 0\.",
        ),
        (
            {"rope_scaling": {"type": "linear", "factor": 1e-300}},
            r"rope_frequencies\[0\] is 9\.99\d*e\+299, but must be between 0 and 1000\.",
        ),
        ({"rope_scaling": {"type": "yarn"}, "rope_theta": 1.0}, r"but YaRN needs one above 1\."),
        ({"rope_scaling": 2.0}, r"rope_scaling is 2\.0, but must be an object or null"),
        ({"rope_parameters": {"rope_type": ["yarn"]}}, r"rope_type is \['yarn'\], but must be"),
        ({"partial_rotary_factor": 1.5}, r"partial_rotary_factor is 1\.5, but must be at most 1"),
        ({"partial_rotary_factor": 0.2}, r"rotates 3 of 16 channels of a head, but they must be"),
        ({"quantization_config": {}}, "the checkpoint is quantised"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', but weft computes silu"),
        ({"hidden_act": ["silu"]}, r"hidden_act is \['silu'\]"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": "64"}, "hidden_size is '64', but must be an integer"),
        ({"head_dim": None, "hidden_size": 50}, "50 is not a multiple of num_attention_heads 4"),
        ({"head_dim": None, "num_attention_heads": 0}, "num_attention_heads 0"),
        ({"num_hidden_layers": 10**9}, "n_layers is 1000000000, but must be between 1 and 1024"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps is 'small', but must be a number"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps is an integer of 1329 bits"),
        ({"rope_theta": float("nan")}, "rope_theta is nan, which is no usable number"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no'"),
    ],
)
def test_an_unsupported_config_is_refused_with_a_sentence(
    make_folder: Callable[..., Path], config: dict[str, Any], sentence: str
):
    folder = make_folder()
    fields = json.loads((folder / "config.json").read_text()) | config
    fields = {name: value for name, value in fields.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(fields))
    with pytest.raises(ModelError, match=rf"config\.json: .*{sentence}"):
        load_huggingface(folder)


def test_harmless_fields_are_accepted(make_folder: Callable[..., Path]):
    config = {
        "rope_scaling": {"rope_type": "default"},
        "rope_theta": None,
        "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"},
        "hidden_act": "gelu_pytorch_tanh",
        "architectures": None,
    }
    checkpoint = load_huggingface(make_folder(config))
    assert checkpoint.config.rope_theta == 500.0
    assert checkpoint.config.activation == "gelu_tanh"


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({Q0: None}, f"tiny holds no tensor {Q0}"),
        ({Q0: np.zeros((48, 64), np.float32)}, rf"{Q0} has shape \[48, 64\].* asks for \[64, 48\]"),
        ({Q0: np.zeros((64, 48), np.int8)}, "is of type I8, but weights must be one of"),
        ({Q0.replace("weight", "bias"): np.zeros(64, np.float32)}, "which a LlamaForCausalLM of 2"),
        ({Q0.replace(".0.", ".2."): np.zeros(64, np.float32)}, "of 2 layers does not have"),
        (
            {Q0: np.full((64, 48), np.float32("nan"))},
            rf"model\.safetensors: tensor {Q0} holds nan at index \[0, 0\]",
        ),
        ({"model.norm.weight": np.full(48, np.float64(1e300))}, "model.norm.weight holds inf"),
    ],
)
def test_unfit_tensors_are_refused_with_a_sentence(
    make_folder: Callable[..., Path], tensors: dict[str, Any], sentence: str
):
    with pytest.raises(WeftError, match=sentence):
        load_huggingface(make_folder(None, tensors))


def test_tables_that_follow_from_the_config_are_ignored(make_folder: Callable[..., Path]):
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    load_huggingface(make_folder(None, {name: np.zeros(8, np.float32)}))


def test_missing_and_truncated_files(make_folder: Callable[..., Path], tmp_path: Path):
    folder = make_folder()
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1])
    with pytest.raises(FileError, match=r"model\.safetensors: tensor .* but the file holds"):
        load_huggingface(folder)
    weights.unlink()
    with pytest.raises(FileError, match=r"model\.safetensors does not exist\.$"):
        load_huggingface(folder)
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(FileError, match=r"does not exist; weft reads safetensors files"):
        load_huggingface(folder)
    (folder / "config.json").write_text("{]")
    with pytest.raises(FileError, match=r"config\.json: not valid JSON, .* at line 1 column 2"):
        load_huggingface(folder)
    (folder / "config.json").write_bytes(b"\xff")
    with pytest.raises(FileError, match=r"config\.json is not UTF-8 text"):
        load_huggingface(folder)
    with pytest.raises(FileError, match=r"config\.json does not exist\.$"):
        load_huggingface(tmp_path)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_config_is_loaded_or_refused(
    make_folder: Callable[..., Path], refusal: Callable[..., str], data: st.DataObject
):
    folder = make_folder()
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    names = [*fields, "rope_scaling", "rope_parameters", "attention_bias", "partial_rotary_factor"]
    for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)):
        fields[name] = data.draw(JSON_VALUES)
    path.write_text(json.dumps(fields))
    assert "\n" not in refusal(lambda: load_huggingface(folder))


def test_matrices_stay_in_their_file(make_folder: Callable[..., Path]) -> None:
    folder = make_folder({"hidden_size": 1024, "intermediate_size": 4096, "vocab_size": 320})
    size = (folder / "model.safetensors").stat().st_size
    tracemalloc.start()
    try:
        checkpoint = load_huggingface(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    largest = 4 * 1024 * 4096  # bytes of a matrix in float32
    assert size > 6 * largest
    assert peak < largest
    matrix = checkpoint.layers[1].w_up
    whole = as_floats(matrix)
    assert isinstance(matrix, StoredMatrix)
    np.testing.assert_array_equal(np.asarray(matrix), whole)
    for form in (WeightFormat.W8, WeightFormat.W4):
        found, expected = as_quantized(matrix, form), quantize(whole, form)
        np.testing.assert_array_equal(found.codes, expected.codes)
        np.testing.assert_array_equal(found.scales, expected.scales)
