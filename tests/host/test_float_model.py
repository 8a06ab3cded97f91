# SPDX-License-Identifier: Apache-2.0
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft.errors import PromptError
from weft.float_model import FloatKVCache, FloatModel
from weft.model import load_model
from weft.model.huggingface import load_huggingface
from weft.weight_plan import WeightPlan, dequantized

IDS = [0, 17, 250, 3, 99, 300, 17, 8, 41]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_greedy_outputs_of_llama2c_are_met_exactly(stories260k: Path, dtype: Any):
    model = FloatModel(load_model(stories260k / "stories260K.bin").checkpoint, dtype)
    for run in json.loads((stories260k / "llama2c-greedy.json").read_text())["runs"]:
        logits = model.logits(run["token_ids"][:-1])
        assert logits.dtype == dtype
        assert logits.argmax(axis=-1).tolist() == run["argmax_ids"]
        highest = np.sort(logits, axis=-1)[:, -2:]
        np.testing.assert_allclose(highest[:, 1] - highest[:, 0], run["top1_top2_gap"], atol=1e-4)


def test_greedy_generation_writes_the_text_of_llama2c(stories260k: Path):
    loaded = load_model(stories260k / "stories260K.bin")
    model = FloatModel(loaded.checkpoint, np.float32)
    run = json.loads((stories260k / "llama2c-greedy.json").read_text())["runs"][2]
    prompt = loaded.tokenizer.encode(run["prompt"])
    output = model.greedy(prompt, 257 - len(prompt), loaded.tokenizer.eos_ids)
    assert [*prompt, *output] == run["token_ids"]


def test_quantised_weights_cost_what_was_measured(stories260k: Path):
    """The bounds are a little above 0.0004 and 0.12 nats, known from an independent prototype."""
    checkpoint = load_model(stories260k / "stories260K.bin").checkpoint
    run = json.loads((stories260k / "llama2c-greedy.json").read_text())["runs"][2]
    judge = log_softmax(FloatModel(checkpoint).logits(run["token_ids"]))
    for weights, bound in (("w8", 0.001), ("w4", 0.2)):
        rounded = dequantized(checkpoint, WeightPlan.named(weights))
        logits = log_softmax(FloatModel(rounded).logits(run["token_ids"]))
        divergence = (np.exp(judge) * (judge - logits)).sum(axis=-1).mean()
        assert 0 < divergence < bound


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"tie_word_embeddings": False, "num_key_value_heads": 4},
        {"hidden_act": "gelu", "rope_theta": 500.0, "num_key_value_heads": 1},
        {"hidden_act": "gelu_pytorch_tanh", "head_dim": 12, "rms_norm_eps": 1e-3},
    ],
)
def test_logits_are_those_of_transformers(make_folder: Callable[..., Path], config: dict[str, Any]):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = make_folder(config)
    judge = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        expected = judge(torch.tensor([IDS])).logits[0].numpy()
    for dtype in (np.float32, np.float64):
        logits = FloatModel(load_huggingface(folder), dtype).logits(IDS)
        assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("cut", range(1, len(IDS)))
def test_chunks_give_the_logits_of_the_whole(make_folder: Callable[..., Path], cut: int):
    model = FloatModel(load_huggingface(make_folder()))
    cache = FloatKVCache()
    parts = [model.logits(IDS[:cut], cache), model.logits(IDS[cut:], cache)]
    assert cache.position == len(IDS)
    np.testing.assert_allclose(np.concatenate(parts), model.logits(IDS), atol=1e-12)


def test_a_token_does_not_see_those_behind_it(make_folder: Callable[..., Path]):
    model = FloatModel(load_huggingface(make_folder()))
    changed = model.logits([*IDS[:5], 1, 2, 3])
    np.testing.assert_allclose(model.logits(IDS)[:5], changed[:5], atol=1e-12)


def test_rotation_turns_interleaved_pairs_by_position(make_folder: Callable[..., Path]):
    """With one query and key of one pair each, scores depend on the distance alone."""
    model = FloatModel(load_huggingface(make_folder()))
    cache = FloatKVCache()
    model.logits([5, 5, 5], cache)
    keys = cache.keys[0][:, 0, :]  # the same token three times: only the rotation differs
    for i in range(8):
        angle = 10000.0 ** (-2 * i / 16)
        pairs = keys[:, 2 * i] + 1j * keys[:, 2 * i + 1]
        turned = pairs[0] * np.exp(1j * angle * np.arange(3))
        np.testing.assert_allclose(pairs, turned, atol=1e-12)


def test_greedy_stops_at_eos_and_at_the_end_of_the_context(make_folder: Callable[..., Path]):
    model = FloatModel(load_huggingface(make_folder()))
    output = model.greedy([0, 1], 1000)
    assert len(output) == 64 - 2 + 1  # the last token's logits need no further position
    stop = output[3]
    first = output.index(stop)
    assert model.greedy([0, 1], 1000, [stop]) == output[: first + 1]
    assert model.greedy([0, 1], 2) == output[:2]


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        ([], "there are no tokens"),
        ([-1], "token id -1 is not between 0 and 319"),
        ([320], "token id 320 is not between"),
        ([0] * 65, "the sequence is 65 tokens long, but the model's context is 64"),
    ],
)
def test_unfit_tokens_are_refused(make_folder: Callable[..., Path], ids: list[int], sentence: str):
    model = FloatModel(load_huggingface(make_folder()))
    with pytest.raises(PromptError, match=sentence):
        model.logits(ids)


def log_softmax(logits: Any) -> Any:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    assert not math.isnan(shifted.sum())
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
