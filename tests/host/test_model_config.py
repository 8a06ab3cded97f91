# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from weft.errors import ModelError, shown
from weft.model import Checkpoint, LayerWeights, ModelConfig

SIZES: dict[str, Any] = {
    "n_layers": 1,
    "dim": 8,
    "hidden_dim": 12,
    "n_heads": 4,
    "n_kv_heads": 2,
    "head_dim": 2,
    "vocab_size": 10,
    "max_context": 16,
}


def make_config(**changes: Any) -> ModelConfig:
    return ModelConfig(**{**SIZES, **changes})


def make_checkpoint(**changes: Any) -> Checkpoint:
    config = make_config()
    layer = {name: np.zeros(shape, np.float32) for name, shape in config.layer_shapes().items()}
    model = {name: np.zeros(shape, np.float32) for name, shape in config.model_shapes().items()}
    layer |= {name: value for name, value in changes.items() if name in layer}
    model |= {name: value for name, value in changes.items() if name in model}
    return Checkpoint(config=config, layers=(LayerWeights(**layer),), **model)


def test_shapes_follow_from_sizes():
    config = make_config(head_dim=6)
    assert (config.q_dim, config.kv_dim, config.heads_per_kv_head) == (24, 12, 2)
    assert config.layer_shapes()["wo"] == (8, 24)
    assert config.layer_shapes()["w_down"] == (8, 12)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("dim", 0, r"dim is 0, but must be between 1 and 65536\."),
        ("n_layers", -3, r"n_layers is -3, but must be between 1 and 1024\."),
        ("vocab_size", 1 << 40, r"vocab_size is 1099511627776, but must be between 1 and 1048576"),
        ("vocab_size", 1 << 4000, r"vocab_size is an integer of 4001 bits, but"),
        ("dim", 8.0, r"dim is 8\.0, but must be an integer\."),
        ("dim", True, r"dim is True, but must be an integer\."),
        ("n_kv_heads", 3, r"n_heads is 4, which is not a multiple of n_kv_heads 3\."),
        ("head_dim", 3, r"head_dim is 3, but rotary embedding needs an even number\."),
        ("norm_eps", 0.0, r"norm_eps is 0\.0, but must be greater than 0 and at most 1\."),
        ("norm_eps", float("nan"), r"norm_eps is nan, but must be greater than 0"),
        ("rope_theta", float("inf"), r"rope_theta is inf, but must be greater than 0"),
        ("rope_theta", "1", r"rope_theta is '1', but must be a number\."),
        ("activation", "relu", r"activation is 'relu', but weft knows silu, gelu_tanh, gelu_erf"),
    ],
)
def test_a_bad_field_is_refused_with_a_sentence(field: str, value: Any, sentence: str):
    with pytest.raises(ModelError, match=sentence):
        make_config(**{field: value})


def test_checkpoint_names_every_tensor_once():
    checkpoint = make_checkpoint()
    names = [name for name, _ in checkpoint.named_tensors()]
    assert names[:3] == ["token_embedding", "layers.0.wq", "layers.0.wk"]
    assert names[-2:] == ["final_norm", "lm_head"]
    assert len(set(names)) == len(names) == 12
    assert checkpoint.n_parameters == 2 * 80 + 8 + 64 + 32 + 32 + 64 + 3 * 96 + 16


def test_checkpoint_refuses_other_shapes_and_types():
    with pytest.raises(ModelError, match=r"layers\.0\.wk has shape \[3\].*asks for \[4, 8\]"):
        make_checkpoint(wk=np.zeros(3, np.float32))
    with pytest.raises(ModelError, match=r"final_norm is float64, but must be float32"):
        make_checkpoint(final_norm=np.zeros(8))


def test_checkpoint_refuses_a_missing_layer_and_an_untied_tie():
    good = make_checkpoint()
    parts = {
        "token_embedding": good.token_embedding,
        "final_norm": good.final_norm,
        "lm_head": good.lm_head,
    }
    with pytest.raises(ModelError, match=r"holds 0 layers, but .* n_layers 1"):
        Checkpoint(config=good.config, layers=(), **parts)
    with pytest.raises(ModelError, match="tied, but lm_head"):
        Checkpoint(config=make_config(tied_embeddings=True), layers=good.layers, **parts)


def test_foreign_values_are_shown_on_one_short_line():
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 10_000)) == 60
    assert shown(1 << 100_000) == "an integer of 100001 bits"
    assert shown([1 << 100_000]) == "a list"
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert len(shown(nested)) <= 60
