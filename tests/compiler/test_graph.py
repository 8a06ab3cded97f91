# SPDX-License-Identifier: Apache-2.0
"""The specification of level 1: what a graph may not be."""

import dataclasses
import re

import pytest

from tests.compiler.models import model_config
from weft.compiler import graph
from weft.compiler.graph import (
    Activate,
    Attention,
    Embed,
    Graph,
    Head,
    Kind,
    Linear,
    Norm,
    StoreKV,
    Value,
    transformer_graph,
)
from weft.errors import CompileError

CONFIG = model_config()
GOOD = transformer_graph(CONFIG)


def floats(name: str, width: int) -> Value:
    return Value(name=name, width=width, kind=Kind.FLOAT)


def codes(name: str, width: int) -> Value:
    return Value(name=name, width=width, kind=Kind.CODES)


X, NORMED = floats("x", 64), codes("normed", 64)


def refused(*layer: graph.Op) -> str:
    """The sentence about a graph that embeds, runs ``layer`` and ends."""
    bad = Graph(config=CONFIG, prologue=(Embed(out=X),), layer=layer, epilogue=())
    with pytest.raises(CompileError) as error:
        graph.check(bad)
    return str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_heads": 8, "head_dim": 8, "n_kv_heads": 4},
        {"hidden_dim": 100, "vocab_size": 7},
        {"tied_embeddings": False, "activation": "gelu_erf"},
    ],
)
def test_transformer_graphs_keep_the_rules(changes) -> None:
    graph.check(transformer_graph(model_config(**changes)))


def test_a_value_is_made_before_it_is_used() -> None:
    linear = Linear(source=NORMED, weights=("wq",), out=floats("queries", 64))
    assert refused(linear) == "Linear uses normed before it is made."
    wrong = floats("x", 32)
    norm = Norm(source=wrong, gain="ffn_norm", out=NORMED)
    assert refused(norm) == "Norm uses x before it is made."


def test_a_residual_needs_its_destination() -> None:
    layer = GOOD.layer[:5]
    linear = Linear(
        source=codes("attended", 64), weights=("wo",), out=floats("y", 64), residual=True
    )
    assert refused(*layer, linear) == "Linear uses y before it is made."


def test_the_array_takes_codes_and_the_vector_unit_floats() -> None:
    linear = Linear(source=X, weights=("wq",), out=floats("queries", 64))
    assert refused(linear) == "Linear needs x as codes, but it is float."
    norm = Norm(source=X, gain="ffn_norm", out=NORMED)
    again = Norm(source=NORMED, gain="ffn_norm", out=codes("twice", 64))
    assert refused(norm, again) == "Norm needs normed as float, but it is codes."


NORM = Norm(source=X, gain="attention_norm", out=NORMED)
GATE_UP = Linear(source=NORMED, weights=("w_gate", "w_up"), out=floats("gate_up", 192))


@pytest.mark.parametrize(
    ("ops", "sentence"),
    [
        (
            [Norm(source=X, gain="attention_norm", out=codes("n", 32))],
            "Norm: output is 32 wide instead of 64.",
        ),
        (
            [NORM, Linear(source=NORMED, weights=("wq",), out=floats("queries", 32))],
            "Linear: output is 32 wide instead of 64.",
        ),
        (
            [NORM, Linear(source=NORMED, weights=("w_down",), out=floats("y", 64))],
            "Linear: w_down is 96 wide instead of 64.",
        ),
        (
            [NORM, Linear(source=NORMED, weights=("wq",), out=floats("kv", 64)),
             StoreKV(keys_values=floats("kv", 64)),
             Attention(queries=floats("kv", 64), out=codes("attended", 32))],
            "Attention: output is 32 wide instead of 64.",
        ),
        (
            [NORM, Linear(source=NORMED, weights=("wk",), out=floats("kv", 32)),
             StoreKV(keys_values=floats("kv", 32))],
            "StoreKV: keys and values is 32 wide instead of 64.",
        ),
        (
            [NORM, GATE_UP,
             Activate(source=floats("gate_up", 192), activation="silu", out=codes("h", 64))],
            "Activate: output is 128 wide instead of 192.",
        ),
        (
            [NORM, GATE_UP,
             Activate(source=floats("gate_up", 192), activation="silu", out=codes("h", 96)),
             Head(source=codes("h", 96), weights="lm_head", vocab_size=100)],
            "Head: lm_head is 64 wide instead of 96.",
        ),
    ],
)  # fmt: skip
def test_widths_fit(ops: list[graph.Op], sentence: str) -> None:
    assert refused(*ops) == sentence


def test_an_embedding_of_another_width_is_refused() -> None:
    bad = dataclasses.replace(GOOD, prologue=(Embed(out=floats("x", 32)),))
    with pytest.raises(CompileError, match=re.escape("Embed: output is 32 wide instead of 64.")):
        graph.check(bad)
