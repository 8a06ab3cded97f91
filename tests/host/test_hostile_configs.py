# SPDX-License-Identifier: Apache-2.0
"""Every field of every architecture's `config.json` with any value: a model or a sentence."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.model.architectures import ARCHITECTURES
from weft.model.huggingface_config import parse_config

VALUES = st.sampled_from(
    [-1, 0, 1, 3, 10**9, 1 << 4000, 0.0, -0.5, 1e-300, 1e300, 1e999, float("nan"), True, False]
) | st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
PLAIN = {
    "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "vocab_size": 320, "head_dim": 16,
    "n_embd": 48, "n_layer": 3, "n_head": 4, "n_inner": 96, "n_positions": 64,
    "sliding_window": 5, "use_sliding_window": True, "max_window_layers": 1,
    "sliding_window_pattern": 2, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-6, "layer_norm_eps": 1e-6,
    "rope_theta": 1e4, "rope_local_base_freq": 1e3, "partial_rotary_factor": 1.0,
    "original_max_position_embeddings": 32, "type_vocab_size": 2, "layer_types": None,
    "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True,
    "hidden_act": "silu", "hidden_activation": "gelu", "activation_function": "gelu",
    "image_size": 32, "patch_size": 8, "num_channels": 3, "qkv_bias": True,
    "use_bidirectional_attention": False, "is_decoder": False, "rope_parameters": None,
}  # fmt: skip
ROPE = {
    "rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 32.0,
    "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "attention_factor": 1.0,
    "truncate": True, "partial_rotary_factor": 1.0, "short_factor": [1.0] * 8,
    "long_factor": [1.0] * 8,
}  # fmt: skip
KINDS = ["default", "linear", "dynamic", "llama3", "yarn", "longrope", "su"]


@pytest.mark.parametrize("index", range(len(ARCHITECTURES)))
def test_any_value_of_a_field(index: int, refusal: Callable[..., str]):
    name = ARCHITECTURES[index].huggingface.classes[0]

    @settings(max_examples=300, deadline=None)
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        fields: dict[str, Any] = PLAIN | {"architectures": [name]}
        changed = st.sampled_from(sorted(PLAIN))
        fields |= data.draw(st.dictionaries(changed, VALUES, max_size=3))
        if data.draw(st.booleans()):
            rope = ROPE | {"rope_type": data.draw(st.sampled_from(KINDS))}
            rope |= data.draw(st.dictionaries(st.sampled_from(sorted(ROPE)), VALUES, max_size=2))
            fields["rope_scaling"] = rope
        sentence = refusal(lambda: parse_config(fields))
        assert "\n" not in sentence
        assert len(sentence) < 400

    run()
