# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from weft.errors import ModelError, shown
from weft.model import Checkpoint, LayerWeights, ModelConfig
from weft.model.image_shape import ImageShape

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
        ("norm", "batch", r"norm is 'batch', but weft knows rms, layer\."),
        ("norm_order", None, r"norm_order is None, but weft knows pre, post, sandwich\."),
        ("causal", 1, r"causal is 1, but must be true or false\."),
        ("token_types", -1, r"token_types is -1, but must be between 0 and 65536\."),
        ("query_scale", 0.0, r"query_scale is 0\.0, but must be greater than 0 and at most 10000"),
        ("rope_frequencies", (1.0, 0.5), r"rope_frequencies has 2 numbers, but heads have 1 pairs"),
        ("rope_frequencies", (float("nan"),), r"rope_frequencies\[0\] is nan, but must be between"),
        ("rope_frequencies_local", (1.0,), r"_local is given, but there is no sliding_window\."),
        ("sliding_layers", (True,), r"sliding_layers is given, but there is no sliding_window\."),
        ("sliding_window", 0, r"sliding_window is 0, but must be between 1 and 16777216\."),
        ("biases", frozenset({"wx"}), r"biases names 'wx', but the matrices of this model are"),
        ("pooling", "mean", r"pooling is 'mean', but head is 'lm' and not 'none'\."),
        ("causal", False, r"head is 'lm', but a model that is not causal has none\."),
    ],
)
def test_a_bad_field_is_refused_with_a_sentence(field: str, value: Any, sentence: str):
    with pytest.raises(ModelError, match=sentence):
        make_config(**{field: value})


def test_contradictions_are_refused_with_a_sentence():
    with pytest.raises(ModelError, match=r"biases names 'w_gate', but the matrices"):
        make_config(feed_forward="plain", biases=frozenset({"w_gate"}))
    with pytest.raises(ModelError, match=r"qk_norm is true, but norm is 'layer' and not 'rms'\."):
        make_config(norm="layer", qk_norm=True)
    with pytest.raises(ModelError, match=r"tied_embeddings is true, but head is 'none'\."):
        make_config(head="none", tied_embeddings=True)
    with pytest.raises(ModelError, match=r"sliding_layers names 2 layers, but n_layers is 1\."):
        make_config(sliding_window=4, sliding_layers=(True, False))
    with pytest.raises(ModelError, match=r"rope_frequencies is given, but positions is 'learned'"):
        make_config(positions="learned", rope_frequencies=(1.0,))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": 0}, r"image size is 0, but must be an integer between 1 and 4096\."),
        ({"patch": 300}, r"image patch is 300, but must be an integer between 1 and 256\."),
        ({"channels": True}, r"image channels is True, but must be an integer between 1 and 16"),
        ({"size": 10}, r"image size is 10, which is not a multiple of the patch size 4\."),
    ],
)
def test_a_bad_image_shape_is_refused_with_a_sentence(changes: dict[str, Any], sentence: str):
    with pytest.raises(ModelError, match=sentence):
        ImageShape(**({"size": 8, "patch": 4} | changes))


def test_an_image_needs_an_encoder_of_its_size():
    with pytest.raises(ModelError, match=r"image is given, but only encoders with learned posit"):
        make_config(image=ImageShape(size=8, patch=4))
    encoder = {"head": "none", "causal": False, "positions": "learned"}
    with pytest.raises(ModelError, match=r"vocab_size is 10 and max_context 16, but an image of 4"):
        make_config(image=ImageShape(size=8, patch=4), **encoder)


def test_tensors_follow_the_architecture():
    bert = make_config(
        norm="layer",
        norm_order="post",
        feed_forward="plain",
        biases=frozenset({"wq", "w_down"}),
        causal=False,
        positions="learned",
        token_types=2,
        embedding_norm=True,
        head="none",
    )
    assert bert.layer_shapes() == {
        "wq": (8, 8),
        "wk": (4, 8),
        "wv": (4, 8),
        "wo": (8, 8),
        "w_up": (12, 8),
        "w_down": (8, 12),
        "attention_norm": (8,),
        "attention_norm_bias": (8,),
        "ffn_norm": (8,),
        "ffn_norm_bias": (8,),
        "wq_bias": (8,),
        "w_down_bias": (8,),
    }
    assert bert.model_shapes() == {
        "token_embedding": (10, 8),
        "position_embedding": (16, 8),
        "token_type_embedding": (2, 8),
        "embedding_norm": (8,),
        "embedding_norm_bias": (8,),
    }
    gemma = make_config(norm_order="sandwich", qk_norm=True, biases=frozenset({"lm_head"}))
    assert set(gemma.layer_shapes()) - set(make_config().layer_shapes()) == {
        "attention_post_norm",
        "ffn_post_norm",
        "q_norm",
        "k_norm",
    }
    assert gemma.model_shapes()["lm_head_bias"] == (10,)


def test_frequencies_of_layers_with_and_without_a_window():
    config = make_config(
        n_layers=2,
        head_dim=4,
        sliding_window=4,
        sliding_layers=(True, False),
        rope_frequencies_local=(1.0, 0.0),
    )
    assert [config.slides(layer) for layer in (0, 1)] == [True, False]
    assert config.rotation(0).frequencies == (1.0, 0.0)
    assert config.rotation(1).frequencies == (1.0, 10000.0**-0.5)


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


def test_checkpoint_refuses_tensors_that_are_missing_or_too_many():
    with pytest.raises(ModelError, match=r"tensor layers\.0\.w_gate is missing\."):
        make_checkpoint(w_gate=None)
    good = make_checkpoint()
    with pytest.raises(ModelError, match=r"final_norm_bias is given, but .* no place for it\."):
        replace(good, final_norm_bias=np.zeros(8, np.float32))
    with pytest.raises(ModelError, match=r"the model has no tensor q_norm\."):
        good.layers[0].vector("q_norm")


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
