# SPDX-License-Identifier: Apache-2.0
"""Adapters: the model with one is the model whose weights were changed before they were stored."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host.adapter_files import (
    ALPHA,
    RANK,
    changed_tensors,
    write_gguf_adapter,
    write_peft,
)
from weft import LLM, SamplingParams
from weft.errors import FileError, ModelError
from weft.float_model import FloatModel
from weft.model import load_model
from weft.model.checkpoint import as_floats
from weft.model.load import with_merged_adapter
from weft.model.lora_files import read_adapter


@pytest.fixture
def peft(tmp_path: Path) -> Callable[..., Path]:
    """Writes a PEFT folder: `write_peft`."""
    return partial(write_peft, tmp_path / "adapter")


def same_weights(one: Any, other: Any) -> None:
    tensors = dict(other.checkpoint.named_tensors())
    for name, tensor in one.checkpoint.named_tensors():
        np.testing.assert_array_equal(as_floats(tensor), as_floats(tensors[name]), err_msg=name)


@pytest.mark.parametrize(
    ("config", "scale"),
    [({}, ALPHA / RANK), ({"use_rslora": True}, ALPHA / RANK**0.5), ({"lora_alpha": 1}, 0.25)],
)
def test_a_peft_adapter_is_the_merged_model(
    make_folder: Callable[..., Path],
    peft: Callable[..., Path],
    config: dict[str, Any],
    scale: float,
):
    found = with_merged_adapter(load_model(make_folder()), peft(config))
    expected = load_model(make_folder(tensors=changed_tensors(scale)))
    same_weights(found, expected)
    np.testing.assert_array_equal(
        FloatModel(found.checkpoint).logits([1, 2, 3]),
        FloatModel(expected.checkpoint).logits([1, 2, 3]),
    )


@pytest.mark.parametrize(("alpha", "scale"), [(ALPHA, ALPHA / RANK), (0.0, 1.0)])
def test_a_gguf_adapter_is_the_merged_model(
    make_folder: Callable[..., Path], tmp_path: Path, alpha: float, scale: float
):
    path = write_gguf_adapter(tmp_path / "adapter.gguf", alpha=alpha)
    found = with_merged_adapter(load_model(make_folder()), path)
    same_weights(found, load_model(make_folder(tensors=changed_tensors(scale))))


def test_a_device_writes_what_the_merged_model_writes(
    make_folder: Callable[..., Path], peft: Callable[..., Path]
):
    def tokens(folder: Path, lora: Path | None) -> list[int]:
        with LLM(folder, device="reference", preset="tiny", lora_merge=lora) as llm:
            (output,) = llm.generate("Tom ran", SamplingParams(temperature=0, max_tokens=12))
        return output.token_ids

    folder = make_folder()
    plain, adapted = tokens(folder, None), tokens(folder, peft())
    assert adapted == tokens(make_folder(tensors=changed_tensors(ALPHA / RANK)), None)
    assert adapted != plain


def test_a_head_of_its_own_can_be_changed(
    make_folder: Callable[..., Path], peft: Callable[..., Path]
):
    model = load_model(make_folder({"tie_word_embeddings": False}))
    a, b = np.ones((RANK, 48), np.float32), np.full((320, RANK), 0.5, np.float32)
    head = {f"base_model.model.lm_head.lora_{n}.weight": t for n, t in (("A", a), ("B", b))}
    found = with_merged_adapter(model, peft(tensors=head))
    before = as_floats(model.checkpoint.matrix("lm_head"))
    np.testing.assert_array_equal(
        as_floats(found.checkpoint.matrix("lm_head")),
        (before.astype(np.float64) + ALPHA / RANK * 0.5 * RANK).astype(np.float32),
    )


Q = "base_model.model.model.layers.0.self_attn.q_proj.lora_"


@pytest.mark.parametrize(
    ("config", "tensors", "sentence"),
    [
        ({"peft_type": "IA3"}, {}, "peft_type is 'IA3', but weft reads LORA"),
        ({"use_dora": True}, {}, "use_dora is True, which weft does not compute"),
        ({"modules_to_save": ["lm_head"]}, {}, r"modules_to_save is \['lm_head'\], which weft"),
        ({"alpha_pattern": {"q": 3}}, {}, "alpha_pattern is {'q': 3}, which weft does not"),
        ({"bias": "all"}, {}, "bias is 'all', but must be 'none'"),
        ({"r": 0}, {}, "r is 0, but must be between 1 and 65536"),
        ({"r": None}, {}, "r is missing"),
        ({"lora_alpha": "x"}, {}, "lora_alpha is 'x'"),
        ({"r": 5}, {}, r"q_proj.lora_A.weight has shape \[4, 48\], but the model asks for \[5, 48"),
        ({}, {f"{Q}B.weight": None}, "q_proj.lora_B.weight is missing"),
        ({}, {f"{Q}A.weight": np.zeros(48, np.float32)}, r"lora_A.weight has shape \[48\]"),
        ({}, {f"{Q}A.weight": np.full((4, 48), np.nan, np.float32)}, "holds nan at index"),
        (
            {},
            {f"{Q}A.weight": np.full((4, 48), 3e38, np.float32)},
            "adapter adapter makes layers.0.wq infinite",
        ),
        (
            {},
            {"base_model.model.lm_head.lora_A.weight": np.zeros((4, 48), np.float32)},
            "lm_head.lora_A.weight', which is no matrix of this llama model of 2 layers",
        ),
    ],
)
def test_peft_folders_that_cannot_be_used_are_refused(
    make_folder: Callable[..., Path],
    peft: Callable[..., Path],
    config: dict[str, Any],
    tensors: dict[str, Any],
    sentence: str,
):
    model = load_model(make_folder())
    folder = peft(config, tensors)
    with pytest.raises((ModelError, FileError), match=sentence):
        with_merged_adapter(model, folder)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"type": "model"}, "general.type is 'model', but must be 'adapter'"),
        ({"kind": "control_vector"}, "adapter.type is 'control_vector', but must be 'lora'"),
        ({"architecture": "qwen2"}, "general.architecture is 'qwen2', but must be 'llama'"),
        ({"alpha": None}, "adapter.lora.alpha is None, not a number"),
        ({"more": ["token_embd.weight.lora_a"]}, "changes 'token_embd.weight.lora_a', which is no"),
        ({"more": ["blk.0.attn_v.weight.lora_a"]}, "attn_v.weight.lora_b is missing"),
    ],
)
def test_gguf_files_that_cannot_be_used_are_refused(
    make_folder: Callable[..., Path], tmp_path: Path, fields: dict[str, Any], sentence: str
):
    config = load_model(make_folder()).checkpoint.config
    path = write_gguf_adapter(tmp_path / "adapter.gguf", **fields)
    with pytest.raises(ModelError, match=sentence):
        read_adapter(path, config)


def test_what_is_no_adapter_is_refused(make_folder: Callable[..., Path], tmp_path: Path):
    folder = make_folder()
    config = load_model(folder).checkpoint.config
    with pytest.raises(ModelError, match=r"is neither a folder with an adapter_config\.json"):
        read_adapter(tmp_path / "nothing", config)
    with pytest.raises(FileError, match=r"adapter_config\.json does not exist"):
        read_adapter(folder, config)
