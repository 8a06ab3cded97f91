# SPDX-License-Identifier: Apache-2.0
"""Logits of sequences that begin alike are those of each alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from weft.compiler import compile_model
from weft.devices import find_preset, open_device
from weft.float_model import FloatModel
from weft.model import load_model
from weft.prefix_scoring import PrefixScorer, device_scorer, float_scorer
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner

SEQUENCES = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 9], [1, 2, 3], [7, 2, 3], [7, 2, 3, 4], [7, 2, 3, 4]]


def test_only_what_is_new_is_computed():
    seen: list[tuple[list[int], int]] = []

    def extend(token_ids: Sequence[int], position: int) -> np.ndarray:
        seen.append((list(token_ids), position))
        return np.array([[position + i, token] for i, token in enumerate(token_ids)], float)

    scorer = PrefixScorer(extend)
    for ids in SEQUENCES:
        np.testing.assert_array_equal(scorer(ids), [[i, token] for i, token in enumerate(ids)])
    assert seen == [([1, 2, 3, 4, 5, 6], 0), ([9], 3), ([7, 2, 3], 0), ([4], 3)]


def test_a_device_gives_the_same_bits(make_folder: Callable[..., Path]):
    config = find_preset("tiny")
    compiled = compile_model(
        load_model(make_folder()).checkpoint, config, WeightFormat.W8, all_logits=True
    )
    with open_device("reference", config, memory_bytes=compiled.memory.size + 4096) as device:
        runner = ModelRunner(compiled, device)
        alone = [runner.score(ids) for ids in SEQUENCES]
        scorer = device_scorer(runner)
        for ids, expected in zip(SEQUENCES, alone, strict=True):
            np.testing.assert_array_equal(scorer(ids), expected)


def test_the_float_model_gives_the_same(make_folder: Callable[..., Path]):
    model = FloatModel(load_model(make_folder()).checkpoint)
    scorer = float_scorer(model)
    for ids in SEQUENCES:
        np.testing.assert_allclose(scorer(ids), model.logits(ids), rtol=1e-9, atol=1e-12)
