# SPDX-License-Identifier: Apache-2.0
"""GGUF files for tests, written by the `gguf` package from models that weft has loaded."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from weft.model import Checkpoint, LoadedModel, ModelConfig
from weft.model.architectures.llama import GGUF_TENSORS
from weft.model.checkpoint import as_floats
from weft.model.places import place
from weft.tokenizer import HuggingFaceTokenizer, Llama2cTokenizer

__all__ = ["Types", "blocks", "encoded", "gguf_tensors", "write_gguf"]

Types = Callable[[str, np.ndarray], Type]
"""The type that a matrix of a name is written in."""


def blocks(kind: Type, n_blocks: int, seed: int = 1) -> np.ndarray:
    """Random blocks whose scales are ordinary numbers: uint8 [n_blocks, bytes of a block]."""
    rng = np.random.default_rng(seed)
    _, size = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (n_blocks, size), dtype=np.uint8)
    scale = rng.normal(0, 1e-3, n_blocks).astype("<f2")
    at = {Type.Q6_K: (208,), Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q4_1: (0, 2)}
    at |= {Type.Q5_1: (0, 2), Type.MXFP4: ()}
    for first in at.get(kind, (0,)):
        raw[:, first : first + 2] = scale.view(np.uint8).reshape(-1, 2)
    if kind is Type.MXFP4:
        raw[:, 0] = rng.integers(110, 125, n_blocks)
    return raw


def encoded(matrix: np.ndarray, kind: Type) -> np.ndarray:
    """A matrix in a type, by the package's own quantiser; random blocks where it has none."""
    try:
        return gguf.quants.quantize(matrix, kind)
    except NotImplementedError:
        block, _ = gguf.GGML_QUANT_SIZES[kind]
        return blocks(kind, matrix.size // block).reshape(matrix.shape[0], -1)


def _names(config: ModelConfig, fields: Iterable[str], layer: int) -> list[tuple[str, str]]:
    """Fields and the names of their tensors."""
    return [(field, place(GGUF_TENSORS, config, field, layer=layer).name) for field in fields]


def gguf_tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """Every tensor as float32 under its name in GGUF files."""
    config = checkpoint.config
    found = {
        name: as_floats(checkpoint.matrix(field))
        for field, name in _names(config, config.model_shapes(), 0)
        if field != "lm_head" or not config.tied_embeddings
    }
    for index, layer in enumerate(checkpoint.layers):
        for field, name in _names(config, config.layer_shapes(), index):
            found[name] = as_floats(layer.matrix(field))
    return found


def write_gguf(
    path: Path,
    model: LoadedModel,
    types: Types,
    *,
    metadata: dict[str, Any] | None = None,
    tensors: dict[str, Any] | None = None,
) -> Path:
    """Write a loaded model; entries of `metadata` and `tensors` replace others, None leaves out.

    Vectors are float32. A tensor given as (bytes, type) is written as it is.
    """
    config = model.checkpoint.config
    fields: dict[str, Any] = {
        "llama.context_length": config.max_context,
        "llama.embedding_length": config.dim,
        "llama.block_count": config.n_layers,
        "llama.feed_forward_length": config.hidden_dim,
        "llama.attention.head_count": config.n_heads,
        "llama.attention.head_count_kv": config.n_kv_heads,
        "llama.attention.key_length": config.head_dim,
        "llama.attention.value_length": config.head_dim,
        "llama.rope.dimension_count": config.head_dim,
        "llama.attention.layer_norm_rms_epsilon": float(config.norm_eps),
        "llama.rope.freq_base": float(config.rope_theta),
        **_tokenizer_fields(model),
    }
    architecture = (metadata or {}).get("general.architecture", "llama")
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in (fields | (metadata or {})).items():
        if value is not None and key != "general.architecture":
            _add(writer, key, value)
    arrays: dict[str, Any] = dict(gguf_tensors(model.checkpoint)) | (tensors or {})
    for name, array in arrays.items():
        if array is None:
            continue
        if isinstance(array, tuple):
            writer.add_tensor(name, array[0], raw_dtype=array[1])
        elif array.ndim == 1:
            writer.add_tensor(name, array)
        else:
            kind = types(name, array)
            writer.add_tensor(name, encoded(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def _tokenizer_fields(model: LoadedModel) -> dict[str, Any]:
    prefix = "tokenizer.ggml."
    if isinstance(model.tokenizer, Llama2cTokenizer):
        pieces = [p.decode().replace(" ", "\u2581") for p in model.tokenizer._pieces]
        kinds = [2, 3, 3, *[6] * 256, *[1] * (len(pieces) - 259)]
        return {
            f"{prefix}model": "llama",
            f"{prefix}tokens": pieces,
            f"{prefix}scores": [float(score) for score in model.tokenizer._scores],
            f"{prefix}token_type": kinds,
            f"{prefix}bos_token_id": 1,
            f"{prefix}eos_token_id": 2,
        }
    assert isinstance(model.tokenizer, HuggingFaceTokenizer)
    described = json.loads(model.tokenizer._backend.to_str())["model"]
    tokens = sorted(described["vocab"], key=described["vocab"].get)
    return {
        f"{prefix}model": "gpt2",
        f"{prefix}pre": "gpt-2",
        f"{prefix}tokens": tokens,
        f"{prefix}token_type": [3, *[1] * (len(tokens) - 1)],
        f"{prefix}merges": [" ".join(pair) for pair in described["merges"]],
        f"{prefix}bos_token_id": 0,
        f"{prefix}eos_token_id": 0,
        f"{prefix}add_bos_token": True,
        "tokenizer.chat_template": "{{ messages[0].content }}",
    }
