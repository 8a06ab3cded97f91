# SPDX-License-Identifier: Apache-2.0
"""A real model, with the greedy outputs of llama2.c's own program as the oracle."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.compiler.models import compiled, runner
from weft.evaluate import compare
from weft.float_model import FloatModel
from weft.model import load_model
from weft.quantize import WeightFormat

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "models" / "stories260K"
pytestmark = pytest.mark.skipif(
    not (FOLDER / "llama2c-greedy.json").is_file(),
    reason="needs ../shared/models/stories260K beside the project",
)


@pytest.fixture(scope="module")
def model():
    return load_model(FOLDER / "stories260K.bin").checkpoint


@pytest.fixture(scope="module")
def runs() -> list[dict]:
    return json.loads((FOLDER / "llama2c-greedy.json").read_text())["runs"]


# Tokens behind the prompt that are those of llama2.c, which computes with float32. Where two
# tokens are nearly equally likely, quantised arithmetic may take the other one.
EQUAL = {"": 114, "Once upon a time": 110, "Lily and Tom went to the park": 141}


@pytest.mark.parametrize("preset", ["default", "tiny"])
def test_greedy_tokens_are_those_of_llama2c(model, runs, preset: str) -> None:
    one = runner(compiled(model, preset))
    for run in runs:
        n_prompt = {"": 1, "Once upon a time": 5, "Lily and Tom went to the park": 12}[
            run["prompt"]
        ]
        ids, equal = run["token_ids"], EQUAL[run["prompt"]]
        one.prefill(ids[:n_prompt])
        chosen = [int(one.top_k().token_ids[0])]
        while len(chosen) <= equal:
            one.run_chunk([chosen[-1]], position=n_prompt + len(chosen) - 1)
            chosen.append(int(one.top_k().token_ids[0]))
        assert chosen[:equal] == ids[n_prompt : n_prompt + equal]
        assert chosen[equal] != ids[n_prompt + equal], "more tokens are equal than recorded"


@pytest.mark.parametrize(
    ("weights", "bound", "agreement"),
    [(WeightFormat.W8, 0.001, 0.98), (WeightFormat.W4, 0.15, 0.8)],
)
def test_distributions_are_close_to_float(
    model, runs, weights: WeightFormat, bound: float, agreement: float
) -> None:
    one = runner(compiled(model, weights=weights, all_logits=True))
    judge = FloatModel(model)
    triples, confident = [], []
    for run in runs:
        ids = run["token_ids"][:-1]
        scores = one.score(ids)
        triples.append((ids, judge.logits(ids), scores))
        sure = np.array(run["top1_top2_gap"]) > 0.5
        confident.append((scores.argmax(axis=1) == np.array(run["argmax_ids"]))[sure])
    result = compare(triples)
    print(f"{weights}: mean KL {result.mean_kl:.5f}, top-1 {result.top1_agreement:.4f}")
    assert result.mean_kl < bound
    assert result.top1_agreement > agreement
    if weights is WeightFormat.W8:
        assert np.concatenate(confident).all(), "differs where llama2.c is sure"
