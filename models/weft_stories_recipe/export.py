# SPDX-License-Identifier: Apache-2.0
"""The shape of the model and its Hugging Face folder."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from .story import END_OF_TEXT
from .tokenizer import save_tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The dimensions of the model; widths are multiples of 32, the block of the accelerator."""

    vocabulary: int = 768
    hidden: int = 128
    intermediate: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 32
    positions: int = 512

    def __post_init__(self):
        for name in ("vocabulary", "hidden", "intermediate", "head_width"):
            value = getattr(self, name)
            if value % 32:
                raise ValueError(f"{name} is {value}, it must be a multiple of 32")

    def config_fields(self) -> dict[str, Any]:
        """The fields of config.json that follow from the shape."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_width,
            "hidden_act": "silu",
            "max_position_embeddings": self.positions,
            "initializer_range": 0.02,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": True,
            "bos_token_id": 0,
            "eos_token_id": 0,
        }


def export_model(model, tokenizer: Tokenizer, shape: ModelShape, folder: Path) -> None:
    """Writes the folder. `model` is a torch module; its weights are stored as float16.

    The tied output matrix is not stored. Files are replaced one by one, each atomically.
    """
    if tokenizer.token_to_id(END_OF_TEXT) != 0:
        raise ValueError(f"{END_OF_TEXT} must be token 0")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().float().numpy().astype(np.float16)
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **shape.config_fields(),
        "dtype": "float16",
        "torch_dtype": "float16",
    }
    generation = {"bos_token_id": 0, "eos_token_id": 0, "do_sample": False, "max_length": 512}
    partial = folder / "model.safetensors.partial"
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.chmod(0o644)  # safetensors creates the file for its owner alone
    partial.replace(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    save_tokenizer(tokenizer, folder, shape.positions)
