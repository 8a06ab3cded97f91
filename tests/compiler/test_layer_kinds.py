# SPDX-License-Identifier: Apache-2.0
"""Layers that rotate by angles of their own, and heads of 256 channels, as Gemma 3 has them: the
reference against float arithmetic, and the RTL against the reference."""

import numpy as np
import pytest

from tests.compiler.models import compiled, model_config, random_model, runner, tokens
from weft.devices import open_device
from weft.errors import CompileError
from weft.evaluate import compare
from weft.float_model import FloatModel
from weft.kv_format import KVFormat
from weft.model import ModelConfig
from weft.model.rope import base_frequencies
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft.weight_plan import WeightPlan, dequantized

WINDOW = 24
PLAN = WeightPlan(layers=WeightFormat.W8, lm_head=WeightFormat.W8, token_embedding=None)


def gemma3(pattern: str, head_dim: int) -> ModelConfig:
    """A layer per letter: L with a window and frequencies of its own, G without."""
    return model_config(
        n_layers=len(pattern),
        n_heads=2,
        n_kv_heads=1,
        head_dim=head_dim,
        architecture="gemma3",
        activation="gelu_tanh",
        norm_order="sandwich",
        qk_norm=True,
        rope_theta=1e6,
        rope_frequencies_local=base_frequencies(1e4, head_dim),
        sliding_window=WINDOW,
        sliding_layers=tuple(kind == "L" for kind in pattern),
    )


@pytest.mark.parametrize("pattern", ["LLGLLGL", "GL", "GLLGLL", "LGLGL"])
def test_layers_have_their_own_angles(pattern: str) -> None:
    model = random_model(gemma3(pattern, 32))
    ids = tokens(WINDOW)
    judge = FloatModel(dequantized(model, PLAN)).logits(ids)
    made = compiled(model, config="tiny", all_logits=True, max_context=WINDOW)
    assert compare([(ids, judge, runner(made).score(ids))]).mean_kl < 0.02


def test_the_rtl_gives_the_bits_of_the_reference() -> None:
    made = compiled(random_model(gemma3("LGLG", 256)), max_context=WINDOW, kv_format=KVFormat.K16V8)
    ids = tokens(20)
    logits: list[np.ndarray] = []
    for name in ("reference", "rtl"):
        with open_device(name, made.config, memory_bytes=made.memory.size) as device:
            one = ModelRunner(made, device)
            one.prefill(ids[:-1])
            one.run_chunk(ids[-1:], position=len(ids) - 1, store_logits=True)
            logits.append(one.logits())
    np.testing.assert_array_equal(logits[0], logits[1])


def test_a_narrow_array_says_what_it_takes() -> None:
    with pytest.raises(CompileError, match="head_dim is 256; attention of preset tiny takes at "):
        compiled(random_model(gemma3("LG", 256)), config="tiny", max_context=WINDOW)
