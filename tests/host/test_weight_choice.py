# SPDX-License-Identifier: Apache-2.0
"""`w4s`: the codebook that suits a model's weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from weft.codebooks import Codebook
from weft.errors import ModelError
from weft.model import Checkpoint, load_model
from weft.model.checkpoint import LayerWeights, as_floats
from weft.quantize import WeightFormat
from weft.weight_choice import CANDIDATES, choose_format, relative_errors, shape_format

NAMES = "w8, w4, w4s, int4, fp4, nf4, iq4_nl"


@pytest.fixture
def checkpoint(make_folder: Callable[..., Path]) -> Checkpoint:
    return load_model(make_folder()).checkpoint


def made_of(checkpoint: Checkpoint, codebook: Codebook) -> Checkpoint:
    """The same shapes, every block a scale times entries of a codebook."""
    rng = np.random.default_rng(2)

    def matrix(like: np.ndarray) -> np.ndarray:
        rows, columns = like.shape
        codes = rng.integers(0, 16, (rows, columns))
        codes[:, ::32] = np.abs(codebook.astype(int)).argmax()
        return (codebook[codes] * np.float32(0.125)).astype(np.float32)

    def layer(of: LayerWeights) -> LayerWeights:
        names = checkpoint.config.matrices
        return replace(of, **{name: matrix(as_floats(of.matrix(name))) for name in names})

    table = matrix(as_floats(checkpoint.token_embedding))
    layers = tuple(layer(one) for one in checkpoint.layers)
    return replace(checkpoint, layers=layers, token_embedding=table, lm_head=table)


@pytest.mark.parametrize("form", CANDIDATES)
def test_weights_of_a_codebook_get_that_codebook(checkpoint: Checkpoint, form: WeightFormat):
    assert form.codebook is not None
    model = made_of(checkpoint, form.codebook)
    assert relative_errors(model)[form] == 0
    assert choose_format("w4s", model) is form


def test_normal_weights_get_the_least_error(checkpoint: Checkpoint):
    errors = relative_errors(checkpoint)
    assert choose_format("w4s", checkpoint) == min(errors, key=errors.__getitem__)
    assert sorted(CANDIDATES, key=errors.__getitem__) == ["iq4_nl", "nf4", "int4", "fp4"]


def test_other_names_stand_for_themselves(checkpoint: Checkpoint):
    for form in WeightFormat:
        assert choose_format(str(form), checkpoint) is form
        assert shape_format(str(form)) is form
    assert shape_format("w4s").bits == 4


def test_unknown_names_are_refused(checkpoint: Checkpoint):
    for refuse in (lambda: choose_format("q4", checkpoint), lambda: shape_format("q4")):
        with pytest.raises(ModelError, match=rf"^weights are 'q4', but must be one of {NAMES}\.$"):
            refuse()
