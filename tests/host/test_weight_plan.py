# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from weft.errors import ModelError
from weft.model.checkpoint import as_floats, as_quantized
from weft.model.huggingface import load_huggingface
from weft.quantize import WeightFormat, quantize
from weft.weight_plan import LAYER_MATRICES, WeightPlan, dequantized


def test_each_kind_of_weight_takes_its_format(make_folder: Callable[..., Path]):
    checkpoint = load_huggingface(make_folder())
    plan = WeightPlan(layers=WeightFormat.W4, lm_head=WeightFormat.W8, token_embedding=None)
    rounded = dequantized(checkpoint, plan)
    for before, after in zip(checkpoint.layers, rounded.layers, strict=True):
        for name in LAYER_MATRICES:
            expected = quantize(as_floats(getattr(before, name)), WeightFormat.W4).dequantize()
            np.testing.assert_array_equal(getattr(after, name), expected)
        assert after.attention_norm is before.attention_norm
    expected = as_quantized(checkpoint.matrix("lm_head"), WeightFormat.W8).dequantize()
    np.testing.assert_array_equal(rounded.lm_head, expected)
    assert rounded.token_embedding is checkpoint.token_embedding


def test_plans_have_the_names_that_users_type():
    w4 = WeightPlan.named("w4")
    assert w4.layers is w4.lm_head is w4.token_embedding is WeightFormat.W4
    assert WeightPlan.named("w8").layers is WeightFormat.W8
    assert WeightPlan.named("float").layers is None
    with pytest.raises(
        ModelError,
        match=r"weights are 'w5', but must be one of float, w8, w4, int4, fp4, nf4, iq4_nl\.",
    ):
        WeightPlan.named("w5")
