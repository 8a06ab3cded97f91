# SPDX-License-Identifier: Apache-2.0
"""Loads a model from a GGUF file. Matrices stay in the file until they are compiled.

Rotary order: llama.cpp's converter permutes the rows of `attn_q` and `attn_k` of the architecture
`llama` from half-split to interleaved pairs, which is weft's order too, so those stay as they are;
the rows of other architectures change places as `places` says.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.errors import ModelError, shown
from weft.files import in_file
from weft.model.checkpoint import Checkpoint, FloatTensor, LayerWeights
from weft.model.config import ModelConfig
from weft.model.description import GGUFForm
from weft.model.gguf_config import gguf_architecture, parse_gguf_config
from weft.model.gguf_file import GGUFFile
from weft.model.gguf_matrix import GGUFMatrix, find_tensor, read_floats
from weft.model.gguf_rope import ROTARY_TENSORS
from weft.model.places import Place, all_names, place
from weft.model.repacking import RepackLog

__all__ = ["GGUFModel", "load_gguf"]

TABLES = ("position_embedding", "token_type_embedding")
"""Matrices that are never multiplied with, and so are read at once."""


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
        _, form = gguf_architecture(file.metadata)
        config = parse_gguf_config(file)
        _check_names(config, form, file)
        outside = {
            field: _tensor(config, form, file, log, field)
            for field in config.model_shapes()
            if field != "lm_head" or not config.tied_embeddings
        }
        if config.tied_embeddings:
            outside["lm_head"] = outside["token_embedding"]
        layers = tuple(_layer(config, form, file, log, index) for index in range(config.n_layers))
        checkpoint = Checkpoint(config=config, layers=layers, **outside)
    return GGUFModel(file=file, checkpoint=checkpoint, repacked=log)


def _layer(
    config: ModelConfig, form: GGUFForm, file: GGUFFile, log: RepackLog, index: int
) -> LayerWeights:
    fields = config.layer_shapes()
    return LayerWeights(**{f: _tensor(config, form, file, log, f, index) for f in fields})


def _tensor(
    config: ModelConfig, form: GGUFForm, file: GGUFFile, log: RepackLog, field: str, layer: int = 0
) -> Any:
    """A matrix that stays in the file, or the numbers of a vector or a table."""
    where = place(form.tensors, config, field, layer=layer, interleaved=form.interleaved)
    if len(where.shape) == 1 or field in TABLES:
        return _numbers(file, where)
    return GGUFMatrix(file, find_tensor(file, where.name, where.shape), log, where.rows)


def _numbers(file: GGUFFile, where: Place) -> FloatTensor:
    entry = find_tensor(file, where.name, where.shape)
    numbers = read_floats(file, entry, 0, entry.rows).reshape(where.shape)
    return numbers if where.rows is None else numbers[where.rows]


def _check_names(config: ModelConfig, form: GGUFForm, file: GGUFFile) -> None:
    """Refuse tensors that a model of this configuration has no place for.

    A bias or an additional layer that were silently left out would give wrong outputs.
    """
    known = {*all_names(form.tensors, config), *ROTARY_TENSORS}
    for name in file.tensors:
        if name not in known:
            raise ModelError(
                f"the file holds tensor {shown(name)}, which this {config.architecture} model of "
                f"{config.n_layers} layers does not have."
            )
