# SPDX-License-Identifier: Apache-2.0
"""Encoders on the reference: hidden states that do not depend on the chunks, and the float model as
the judge."""

from typing import Any

import numpy as np
import pytest

from tests.compiler.models import BERT, compiled, model_config, random_model, runner, tokens
from weft.errors import WeftError
from weft.float_model import FloatModel
from weft.model import Checkpoint
from weft.quantize import WeightFormat
from weft.weight_plan import WeightPlan, dequantized

SHAPES: dict[str, dict[str, Any]] = {
    "like BERT": {},
    "heads that fill a slot": {"head_dim": 32},
    "heads of two blocks": {"head_dim": 64, "n_heads": 2, "n_kv_heads": 2},
    "query groups": {"n_kv_heads": 2},
    "norms before": {"norm_order": "pre", "embedding_norm": False, "token_types": 0},
    "no biases": {"biases": frozenset()},
    "one direction": {"causal": True},
}
TYPES = [0] * 30 + [1] * 40


def encoder(name: str = "like BERT") -> Checkpoint:
    return random_model(model_config(**(BERT | SHAPES[name])))


@pytest.mark.parametrize("name", SHAPES)
def test_hidden_states_are_computed_right(name: str) -> None:
    """Against float arithmetic on the same 8-bit weights."""
    model = encoder(name)
    ids = tokens(70)
    types = TYPES if model.config.token_types else None
    plan = WeightPlan(layers=WeightFormat.W8, lm_head=None, token_embedding=None)
    expected = FloatModel(dequantized(model, plan)).hidden_states(ids, token_types=types)
    found = runner(compiled(model)).encode(ids, types)
    error = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 0.03


@pytest.mark.parametrize("name", ["like BERT", "heads that fill a slot", "norms before"])
def test_chunks_and_presets_change_no_bit(name: str) -> None:
    model = encoder(name)
    ids = tokens(33)
    made = [
        compiled(model),
        compiled(model, chunk_rows=1),
        compiled(model, chunk_rows=7, max_context=40),
        compiled(model, config="tiny"),
    ]
    hidden = [runner(one).encode(ids) for one in made]
    for other in hidden[1:]:
        np.testing.assert_array_equal(other, hidden[0])


def test_texts_do_not_depend_on_those_before() -> None:
    model = compiled(encoder())
    one = runner(model)
    first = one.encode(tokens(50))
    one.encode(tokens(9, seed=3))
    np.testing.assert_array_equal(one.encode(tokens(50)), first)


def test_sentences() -> None:
    one = runner(compiled(encoder()))
    for ids, types, sentence in (
        ([], None, r"^the text has 0 tokens; it must have 1 to 80\.$"),
        ([0] * 81, None, r"^the text has 81 tokens; it must have 1 to 80\.$"),
        ([0, 100], None, r"^token id 100 is outside the vocabulary of 100\.$"),
        ([0, 1], [0], r"^a text of 2 tokens needs 2 token types of 0 to 1\.$"),
        ([0, 1], [0, 2], r"^a text of 2 tokens needs 2 token types of 0 to 1\.$"),
    ):
        with pytest.raises(WeftError, match=sentence):
            one.encode(ids, types)
    with pytest.raises(WeftError, match=r"^the bert model has no logits\.$"):
        one.run_chunk([0], position=0)
    with pytest.raises(WeftError, match=r"^the llama model has no program for hidden states\.$"):
        runner(compiled()).encode([0])
