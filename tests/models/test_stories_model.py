# SPDX-License-Identifier: Apache-2.0
"""The shipped folder: its files agree with each other and keep their size."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from models.weft_stories_recipe.export import ModelShape
from models.weft_stories_recipe.story import END_OF_TEXT, make_story

FOLDER = Path(__file__).resolve().parents[2] / "models" / "weft-stories"


@pytest.fixture(scope="module")
def config():
    return json.loads((FOLDER / "config.json").read_text())


@pytest.fixture(scope="module")
def tensors():
    return load_file(FOLDER / "model.safetensors")


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_file(str(FOLDER / "tokenizer.json"))


def test_folder_is_complete_and_small():
    names = {path.name for path in FOLDER.iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000
    assert (FOLDER / "model.safetensors").stat().st_size < 1_600_000
    assert (FOLDER / "tokenizer.json").stat().st_size < 100_000


def test_config_is_what_the_recipe_says(config):
    assert ModelShape().config_fields().items() <= config.items()
    assert config["architectures"] == ["LlamaForCausalLM"]


def test_tensor_shapes(config, tensors):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    expected: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config["vocab_size"], hidden)
    }
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        expected |= {
            f"{layer}.self_attn.q_proj.weight": (queries, hidden),
            f"{layer}.self_attn.k_proj.weight": (keys, hidden),
            f"{layer}.self_attn.v_proj.weight": (keys, hidden),
            f"{layer}.self_attn.o_proj.weight": (hidden, queries),
            f"{layer}.mlp.gate_proj.weight": (inner, hidden),
            f"{layer}.mlp.up_proj.weight": (inner, hidden),
            f"{layer}.mlp.down_proj.weight": (hidden, inner),
            f"{layer}.input_layernorm.weight": (hidden,),
            f"{layer}.post_attention_layernorm.weight": (hidden,),
        }
    expected["model.norm.weight"] = (hidden,)
    assert {name: tensor.shape for name, tensor in tensors.items()} == expected
    count = sum(tensor.size for tensor in tensors.values())
    assert 300_000 <= count <= 800_000


def test_weights_are_sound(tensors):
    for name, tensor in tensors.items():
        assert tensor.dtype == np.float16, name
        assert np.isfinite(tensor).all(), name
        assert np.any(tensor != 0), name


def test_matrices_are_multiples_of_32(tensors):
    for name, tensor in tensors.items():
        assert all(size % 32 == 0 for size in tensor.shape), name


def test_refuses_a_width_that_is_no_multiple_of_32():
    with pytest.raises(ValueError, match="hidden is 100, it must be a multiple of 32"):
        ModelShape(hidden=100)


def test_tokenizer_agrees_with_the_config(config, tokenizer):
    assert tokenizer.get_vocab_size() == config["vocab_size"]
    end = tokenizer.token_to_id(END_OF_TEXT)
    assert config["bos_token_id"] == config["eos_token_id"] == end == 0
    generation = json.loads((FOLDER / "generation_config.json").read_text())
    assert generation["eos_token_id"] == end
    settings = json.loads((FOLDER / "tokenizer_config.json").read_text())
    assert settings["bos_token"] == settings["eos_token"] == END_OF_TEXT


@pytest.mark.parametrize(
    "text",
    [
        "Once upon a time there was a little girl named Mia.",
        "".join(chr(code) for code in range(32, 127)),
        "tabs\tand\nnewlines\r\n  and   spaces ",
        "na\u00efve caf\u00e9 \u2014 \u4f60\u597d \u0000 \u202e",
        "\U0001f9f6 and \U0001f469\U0001f3fd\u200d\U0001f9b0",
        "",
    ],
)
def test_tokenizer_spells_any_text(tokenizer, text):
    encoded = tokenizer.encode(text)
    assert encoded.ids[0] == 0
    assert tokenizer.decode(encoded.ids) == text


def test_tokenizer_is_economical(tokenizer):
    text = "".join(make_story(seed).text for seed in range(50))
    assert len(text) / len(tokenizer.encode(text).ids) > 3.5
