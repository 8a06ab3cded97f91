# SPDX-License-Identifier: Apache-2.0
"""Models that `transformers` has made, compiled: the reference against float arithmetic on the same
8-bit weights, and the RTL against the reference."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.compiler.models import compiled, runner, tokens
from tests.host.stock_models import (
    ENCODERS,
    IMAGE_ENCODERS,
    LANGUAGE_MODELS,
    make_stock_model,
)
from weft.compiler.support import longest_context, unsupported
from weft.devices import open_device
from weft.encoder import open_encoder
from weft.errors import PromptError
from weft.evaluate import compare
from weft.float_model import FloatModel
from weft.model import Checkpoint
from weft.model.huggingface import load_huggingface
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft.weight_plan import WeightPlan, dequantized

REFUSED = {"gemma2": "caps attention scores"}


def stock(kind: str, folder: Path) -> Checkpoint:
    make_stock_model(kind, folder)
    return load_huggingface(folder)


@pytest.mark.parametrize("kind", LANGUAGE_MODELS)
def test_logits_are_those_of_float_arithmetic(kind: str, tmp_path: Path) -> None:
    model = stock(kind, tmp_path)
    reason = unsupported(model.config)
    if reason is not None:
        assert REFUSED[kind.split("-")[0]] in reason
        return
    ids = tokens(min(40, longest_context(model.config)), model.config.vocab_size)
    plan = WeightPlan(layers=WeightFormat.W8, lm_head=WeightFormat.W8, token_embedding=None)
    judge = FloatModel(dequantized(model, plan)).logits(ids)
    made = compiled(model, config="tiny", all_logits=True, max_context=len(ids))
    result = compare([(ids, judge, runner(made).score(ids))])
    assert result.mean_kl < 0.02


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "gemma3-linear"])
def test_the_rtl_gives_the_bits_of_the_reference(kind: str, tmp_path: Path) -> None:
    model = stock(kind, tmp_path)
    context = min(20, longest_context(model.config))
    ids = tokens(min(9, context), model.config.vocab_size)
    made = compiled(model, config="tiny", max_context=context)
    logits: list[np.ndarray] = []
    for name in ("reference", "rtl"):
        with open_device(name, made.config, memory_bytes=made.memory.size) as device:
            one = ModelRunner(made, device)
            one.prefill(ids[:-2])
            one.run_chunk(ids[-2:-1], position=len(ids) - 2)
            one.run_chunk(ids[-1:], position=len(ids) - 1, store_logits=True)
            logits.append(one.logits())
    np.testing.assert_array_equal(logits[0], logits[1])


@pytest.mark.parametrize("kind", ENCODERS)
def test_encoders_too(kind: str, tmp_path: Path) -> None:
    model = stock(kind, tmp_path)
    ids = tokens(20, model.config.vocab_size)
    expected = FloatModel(model).hidden_states(ids)
    found = runner(compiled(model, config="tiny", max_context=32)).encode(ids)
    error = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 0.05


@pytest.mark.parametrize("kind", IMAGE_ENCODERS)
def test_encoders_of_images_too(kind: str, tmp_path: Path) -> None:
    model = stock(kind, tmp_path)
    image = model.config.image
    assert image is not None
    rng = np.random.default_rng(5)
    images = rng.normal(size=(2, image.channels, image.size, image.size))
    fields: dict[str, Any] = {"preset": "tiny", "weights": "w8", "kv_format": "auto"}
    fields["max_tokens"] = image.patches + 1
    float_, reference, rtl = (
        open_encoder(model, device=device, **fields) for device in ("float", "reference", "rtl")
    )
    for pixels in images:
        expected, found = float_.run_image(pixels), reference.run_image(pixels)
        error = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
        assert error.max() < 0.05
        np.testing.assert_array_equal(rtl.run_image(pixels), found)
    with pytest.raises(PromptError, match=r"the image has shape \[2, 2\], but the model takes \["):
        reference.run_image(np.zeros((2, 2)))
    with pytest.raises(PromptError, match=r"a patch of the image is beyond 65504"):
        reference.run_image(1e7 * images[0])
    with pytest.raises(PromptError, match=r"the vit model takes images, not tokens\."):
        reference.run([0], [0])
