# SPDX-License-Identifier: Apache-2.0
"""The example of docs/models.md is a description that works."""

import re
from pathlib import Path
from typing import Any

import pytest

from weft.errors import ModelError
from weft.model import ModelConfig
from weft.model.fields import Fields
from weft.model.places import place

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_example_describes_a_model():
    (code,) = re.findall(r"```python\n((?:(?!```).)*FOO = .*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    foo = names["FOO"]
    fields = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 100,
    }
    settings = foo.huggingface.settings(Fields(fields))
    config = ModelConfig(architecture=foo.name, **(foo.fixed | settings))
    assert config.max_context == 4096
    assert "attention_norm_bias" in config.layer_shapes()
    where = place(foo.huggingface.tensors, config, "wv_bias", layer=1)
    assert (where.name, where.shape) == ("model.layers.1.attn.qkv.bias", (128,))
    assert where.rows is not None
    assert where.rows.tolist() == list(range(96, 128))
    with pytest.raises(ModelError, match=r"use_alibi is True, but weft runs models where it is"):
        foo.huggingface.settings(Fields(fields | {"use_alibi": True}))
