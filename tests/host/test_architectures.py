# SPDX-License-Identifier: Apache-2.0
"""Each architecture against `transformers`: the same folder, logits within 1e-4 relative."""

from pathlib import Path

import numpy as np
import pytest

from tests.host.stock_models import (
    ENCODERS,
    IMAGE_ENCODERS,
    LANGUAGE_MODELS,
    VOCABULARY,
    make_stock_model,
)
from weft.errors import PromptError
from weft.float_model import FloatKVCache, FloatModel
from weft.model.huggingface import load_huggingface

IDS = np.random.default_rng(3).integers(0, VOCABULARY, 24).tolist()


@pytest.mark.parametrize("kind", LANGUAGE_MODELS)
def test_logits_are_those_of_transformers(kind: str, tmp_path: Path):
    judge = make_stock_model(kind, tmp_path)
    expected = judge(_tensor([IDS])).logits[0].detach().numpy()
    model = FloatModel(load_huggingface(tmp_path))
    logits = model.logits(IDS)
    assert np.abs(expected).max() > 0.1
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()
    cache = FloatKVCache()
    parts = [model.logits(IDS[:7], cache), model.logits(IDS[7:], cache)]
    np.testing.assert_allclose(np.concatenate(parts), logits, atol=1e-10)


@pytest.mark.parametrize("kind", ENCODERS)
def test_hidden_states_are_those_of_transformers(kind: str, tmp_path: Path):
    judge = make_stock_model(kind, tmp_path)
    config = load_huggingface(tmp_path).config
    types = [index % config.token_types for index in range(len(IDS))]
    expected = judge(_tensor([IDS]), token_type_ids=_tensor([types])).last_hidden_state[0]
    expected = expected.detach().numpy()
    for dtype in (np.float32, np.float64):
        hidden = FloatModel(load_huggingface(tmp_path), dtype).hidden_states(IDS, token_types=types)
        assert hidden.dtype == dtype
        assert np.abs(hidden - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("kind", IMAGE_ENCODERS)
def test_images_become_the_states_of_transformers(kind: str, tmp_path: Path):
    judge = make_stock_model(kind, tmp_path)
    model = FloatModel(load_huggingface(tmp_path))
    image = model.config.image
    assert image is not None
    pixels = np.random.default_rng(5).normal(size=(image.channels, image.size, image.size))
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        result = judge(torch.tensor(pixels[np.newaxis], dtype=torch.float32))
    expected = result.last_hidden_state[0].numpy()
    states = model.image_states(pixels)
    assert states.shape == (image.patches + 1, model.config.dim)
    assert np.abs(states - expected).max() <= 1e-4 * np.abs(expected).max()
    assert model.config.pooling == "cls"
    with pytest.raises(PromptError, match=r"the image has shape \[2, 2\], but the model takes \["):
        model.image_states(np.zeros((2, 2)))
    with pytest.raises(PromptError, match=r"holds a number that is not finite"):
        model.image_states(pixels * np.nan)
    with pytest.raises(PromptError, match=r"the vit model takes images, not tokens\."):
        model.hidden_states([0])


def test_shards_are_the_same_model(tmp_path: Path):
    make_stock_model("gemma2", tmp_path / "whole")
    make_stock_model("gemma2", tmp_path / "shards", max_shard_size="100KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    whole, shards = (load_huggingface(tmp_path / name) for name in ("whole", "shards"))
    for (name, a), (_, b) in zip(whole.named_tensors(), shards.named_tensors(), strict=True):
        np.testing.assert_array_equal(a, b, name)


def _tensor(values: list[list[int]]) -> object:
    return pytest.importorskip("torch").tensor(values)
