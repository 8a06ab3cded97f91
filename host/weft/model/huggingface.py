# SPDX-License-Identifier: Apache-2.0
"""Loads a Hugging Face model folder: `config.json` and `model.safetensors`, whole or in shards."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from weft.errors import ModelError, shown
from weft.files import in_file, read_json_object
from weft.model.checkpoint import Checkpoint, LayerWeights, check_finite
from weft.model.config import ModelConfig
from weft.model.description import HuggingFaceForm
from weft.model.huggingface_config import architecture_of, parse_config
from weft.model.huggingface_pooling import read_pooling
from weft.model.places import all_names, place
from weft.model.safetensors_file import SafetensorsFile
from weft.model.safetensors_matrix import SafetensorsMatrix
from weft.model.shards import open_shards

__all__ = ["load_huggingface", "read_config"]

TABLES = ("token_embedding", "lm_head")
"""Matrices outside the layers that may be large."""


def read_config(folder: Path) -> ModelConfig:
    """The shape of the model in `folder`, from its JSON files alone."""
    return _read_config(folder)[0]


def load_huggingface(folder: Path) -> Checkpoint:
    """The model in `folder`; raises `ModelError` or `FileError` naming file and value."""
    config, form = _read_config(folder)
    return _Folder(folder, config, form).checkpoint()


def _read_config(folder: Path) -> tuple[ModelConfig, HuggingFaceForm]:
    path = folder / "config.json"
    fields = read_json_object(path)
    with in_file(path):
        config = parse_config(fields)
        form = architecture_of(fields).huggingface
    if config.head == "none":
        config = replace(config, pooling=read_pooling(folder) or config.pooling)
    return config, form


class _Folder:
    """The tensors of one folder, by weft's names."""

    def __init__(self, folder: Path, config: ModelConfig, form: HuggingFaceForm) -> None:
        self._folder = folder
        self._config = config
        self._form = form
        self._shards: Mapping[str, SafetensorsFile] = open_shards(folder)
        self._prefix = form.prefix
        if place(form.tensors, config, "token_embedding").name not in self._shards:
            self._prefix = ""  # a file without it names what is missing without it too
        self._check_names(all_names(form.tensors, config))

    def checkpoint(self) -> Checkpoint:
        """The whole model."""
        config = self._config
        outside = {
            field: self._read(field)
            for field in config.model_shapes()
            if field != "lm_head" or not config.tied_embeddings
        }
        if config.tied_embeddings:
            outside["lm_head"] = outside["token_embedding"]
        layers = tuple(
            LayerWeights(**{field: self._read(field, layer) for field in config.layer_shapes()})
            for layer in range(config.n_layers)
        )
        return Checkpoint(config=config, layers=layers, **outside)

    def _read(self, field: str, layer: int = 0) -> Any:
        """One tensor in weft's shape and order; a matrix that is in the file row by row stays
        there."""
        where = place(self._form.tensors, self._config, field, layer=layer)
        name = self._in_file(where.name)
        file = self._shards.get(name)
        if file is None:
            raise ModelError(f"{self._folder} holds no tensor {name}.")
        shape = where.shape[::-1] if where.transposed else where.shape
        with in_file(file.path):
            found = _unfolded(file.shape(name)) if where.folded else file.shape(name)
            if found != shape:
                raise ModelError(
                    f"tensor {name} has shape {shown(list(file.shape(name)))}, but config.json "
                    f"asks for {list(shape)}."
                )
        stays = field in self._config.matrices or field in TABLES
        if stays and not (where.transposed or where.folded or where.plus_one):
            return SafetensorsMatrix(file, name, where.rows)
        tensor = file.read(name)
        with in_file(file.path):
            check_finite(name, tensor)
        if where.transposed:
            tensor = tensor.T
        if where.folded:
            tensor = tensor.reshape(shape)
        if where.rows is not None:
            tensor = tensor[where.rows]
        if where.plus_one:
            tensor = tensor + 1
        return tensor

    def _in_file(self, name: str) -> str:
        return name if self._prefix else name.removeprefix(self._form.prefix)

    def _check_names(self, names: Iterable[str]) -> None:
        """Refuse tensors that a model of this configuration has no place for.

        A bias or an additional layer that were silently left out would give wrong outputs.
        """
        known = {self._in_file(name) for name in names}
        for name in self._shards:
            ignored = any(fnmatchcase(name, pattern) for pattern in self._form.ignored)
            if name not in known and not ignored:
                raise ModelError(
                    f"{self._folder} holds tensor {shown(name)}, which a {self._form.classes[0]} "
                    f"of {self._config.n_layers} layers does not have."
                )


def _unfolded(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without dimensions of 1 in front of two others, and with all behind the first as one."""
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape if len(shape) < 3 else (shape[0], math.prod(shape[1:]))
