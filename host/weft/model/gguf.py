# SPDX-License-Identifier: Apache-2.0
"""Loads a model from a GGUF file. Matrices stay in the file until they are compiled.

Rotary order: llama.cpp's converter permutes the rows of `attn_q` and `attn_k` of the architecture
`llama` from half-split to interleaved pairs, which is weft's order too (`ModelConfig`), so nothing
is permuted here. An architecture whose rows the converter leaves half-split would need
`to_interleaved`, on blocks: rows are whole blocks, so they can change places unchanged.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.errors import ModelError, shown
from weft.files import in_file
from weft.model.checkpoint import Checkpoint, FloatTensor, LayerWeights
from weft.model.config import ModelConfig
from weft.model.gguf_config import parse_gguf_config
from weft.model.gguf_file import GGUFFile, TensorEntry
from weft.model.gguf_matrix import GGUFMatrix, read_floats
from weft.model.repacking import RepackLog

__all__ = ["GGUFModel", "load_gguf", "read_gguf_config"]

LAYER_NAMES = {
    "wq": "attn_q.weight",
    "wk": "attn_k.weight",
    "wv": "attn_v.weight",
    "wo": "attn_output.weight",
    "w_gate": "ffn_gate.weight",
    "w_up": "ffn_up.weight",
    "w_down": "ffn_down.weight",
    "attention_norm": "attn_norm.weight",
    "ffn_norm": "ffn_norm.weight",
}
EMBEDDING = "token_embd.weight"
FINAL_NORM = "output_norm.weight"
HEAD = "output.weight"
ROTARY_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True, kw_only=True)
class GGUFModel:
    """What a file holds: weights, and metadata for the tokenizer.

    `repacked` fills when the checkpoint is compiled.
    """

    file: GGUFFile
    checkpoint: Checkpoint
    repacked: RepackLog


def load_gguf(path: Path) -> GGUFModel:
    """The model in `path`; raises `ModelError` or `FileError` naming file and value.

    Norms are read and checked at once; a number of a matrix that is not finite is found when the
    matrix is used.
    """
    file = GGUFFile(path)
    log = RepackLog()
    with in_file(path):
        config = _config(file)
        _check_names(config, file)
        tables = {
            name: GGUFMatrix(file, _entry(file, name, (config.vocab_size, config.dim)), log)
            for name in (EMBEDDING, HEAD)
            if name in file.tensors
        }
        checkpoint = Checkpoint(
            config=config,
            layers=tuple(_layer(config, file, index, log) for index in range(config.n_layers)),
            token_embedding=tables[EMBEDDING],
            final_norm=_vector(file, FINAL_NORM, config.dim),
            lm_head=tables[EMBEDDING if config.tied_embeddings else HEAD],
        )
    return GGUFModel(file=file, checkpoint=checkpoint, repacked=log)


def read_gguf_config(path: Path) -> ModelConfig:
    """The shape of the model in `path`, from what stands in front of its weights."""
    file = GGUFFile(path)
    with in_file(path):
        return _config(file)


def _config(file: GGUFFile) -> ModelConfig:
    embedding = file.tensors.get(EMBEDDING)
    return parse_gguf_config(
        file.metadata,
        vocab_size=None if embedding is None else embedding.rows,
        tied_embeddings=HEAD not in file.tensors,
    )


def _layer(config: ModelConfig, file: GGUFFile, index: int, log: RepackLog) -> LayerWeights:
    tensors: dict[str, Any] = {}
    for field, shape in config.layer_shapes().items():
        name = f"blk.{index}.{LAYER_NAMES[field]}"
        if len(shape) == 1:
            tensors[field] = _vector(file, name, shape[0])
        else:
            tensors[field] = GGUFMatrix(file, _entry(file, name, shape), log)
    return LayerWeights(**tensors)


def _vector(file: GGUFFile, name: str, length: int) -> FloatTensor:
    return read_floats(file, _entry(file, name, (length,)), 0, 1)[0]


def _entry(file: GGUFFile, name: str, shape: tuple[int, ...]) -> TensorEntry:
    entry = file.tensors.get(name)
    if entry is None:
        raise ModelError(f"the file holds no tensor {name}.")
    if entry.shape != shape:
        raise ModelError(
            f"tensor {name} has shape {shown(list(entry.shape))}, but the metadata asks for "
            f"{list(shape)}."
        )
    return entry


def _check_names(config: ModelConfig, file: GGUFFile) -> None:
    """Refuse tensors that a model of this configuration has no place for.

    A bias or an additional layer that were silently left out would give wrong outputs. Factors of
    the rotary frequencies, which Llama 3.1 introduced, are none when all of them are 1.
    """
    known = {EMBEDDING, FINAL_NORM, HEAD, ROTARY_FACTORS}
    for index in range(config.n_layers):
        known.update(f"blk.{index}.{name}" for name in LAYER_NAMES.values())
    for name in file.tensors:
        if name not in known:
            raise ModelError(
                f"the file holds tensor {shown(name)}, which a {config.architecture} model of "
                f"{config.n_layers} layers without biases and experts does not have."
            )
    if ROTARY_FACTORS in file.tensors:
        factors = _vector(file, ROTARY_FACTORS, config.head_dim // 2)
        if (factors != 1).any():
            raise ModelError(
                f"tensor {ROTARY_FACTORS} scales rotary frequencies by up to {factors.max():g}, "
                f"but weft does not scale rotary embeddings."
            )
