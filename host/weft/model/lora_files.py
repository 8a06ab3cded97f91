# SPDX-License-Identifier: Apache-2.0
"""Reads low-rank adapters: PEFT folders and GGUF files, trusting nothing in them.

A PEFT folder holds `adapter_config.json` and `adapter_model.safetensors`; its tensors are
`base_model.model.{module}.lora_A.weight` and `.lora_B.weight`, and scale is lora_alpha / r, or
lora_alpha / sqrt(r) with `use_rslora`. A GGUF adapter, as llama.cpp's `convert_lora_to_gguf.py`
writes it, holds `{tensor}.lora_a` and `.lora_b` beside `adapter.lora.alpha`, and scale is
alpha / rank, or 1 where alpha is 0.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from weft.errors import ModelError, shown
from weft.files import in_file, read_json_object
from weft.model.architectures import ARCHITECTURES
from weft.model.checkpoint import FloatTensor, check_finite
from weft.model.config import ModelConfig
from weft.model.description import Source
from weft.model.fields import Fields
from weft.model.gguf_file import GGUFFile, is_gguf
from weft.model.gguf_matrix import read_floats
from weft.model.lora import HEAD, Adapter, LowRank
from weft.model.places import Place, place
from weft.model.safetensors_file import SafetensorsFile

__all__ = ["read_adapter"]

PEFT_PREFIX = "base_model.model."
UNSUPPORTED = ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "lora_bias")
"""Fields of `adapter_config.json` that must be absent, null, false or empty."""

Read = Callable[[str, tuple[int, ...]], FloatTensor]
"""A tensor by its name, which must have that shape in so far as it is not 0."""


def read_adapter(path: Path, config: ModelConfig) -> Adapter:
    """The adapter in a PEFT folder or a GGUF file, for a model of a configuration.

    Raises `ModelError` or `FileError` naming the file, the field or tensor, and the value.
    """
    if path.is_file() and is_gguf(path):
        return _read_gguf(path, config)
    if path.is_dir():
        return _read_peft(path, config)
    raise ModelError(
        f"adapter {shown(str(path), 200)} is neither a folder with an adapter_config.json nor a "
        f"GGUF file."
    )


def _read_peft(folder: Path, config: ModelConfig) -> Adapter:
    path = folder / "adapter_config.json"
    fields = Fields(read_json_object(path))
    with in_file(path):
        rank, scale = _peft_scale(fields)
    form = next(a.huggingface for a in ARCHITECTURES if a.name == config.architecture)
    file = SafetensorsFile(folder / "adapter_model.safetensors")
    with in_file(file.path):

        def read(name: str, shape: tuple[int, ...]) -> FloatTensor:
            _check_shape(name, file.shape(name), shape)
            tensor = file.read(name)
            check_finite(name, tensor)
            return tensor

        changes: dict[tuple[int, str], LowRank] = {}
        known: set[str] = set()
        for key, where in _places(form.tensors, config, interleaved=False):
            module = where.name.removesuffix(".weight")
            for name in (module, module.removeprefix(form.prefix)):
                a, b = (f"{PEFT_PREFIX}{name}.lora_{part}.weight" for part in "AB")
                if a in file.entries or b in file.entries:
                    known |= {a, b}
                    changes[key] = _change(read, file.entries, a, b, where, rank, lambda _: scale)
                    break
        _check_known(file.entries, known, config)
    return Adapter(name=folder.name, changes=changes)


def _peft_scale(fields: Fields) -> tuple[int, float]:
    """Rank and scale; a sentence for what weft does not add up."""
    kind = fields.raw("peft_type")
    if kind != "LORA":
        raise ModelError(f"peft_type is {shown(kind)}, but weft reads LORA.")
    for name in UNSUPPORTED:
        if fields.raw(name):
            raise ModelError(f"{name} is {shown(fields.raw(name))}, which weft does not compute.")
    bias = fields.raw("bias")
    if bias not in (None, "none"):
        raise ModelError(f"bias is {shown(bias)}, but must be 'none'.")
    rank, alpha = fields.integer("r"), fields.number("lora_alpha")
    if not 1 <= rank <= 1 << 16:
        raise ModelError(f"r is {shown(rank)}, but must be between 1 and 65536.")
    return rank, alpha / (math.sqrt(rank) if fields.raw("use_rslora") is True else rank)


def _read_gguf(path: Path, config: ModelConfig) -> Adapter:
    file = GGUFFile(path)
    with in_file(path):
        form = next((a.gguf for a in ARCHITECTURES if a.name == config.architecture), None)
        wanted = {
            "general.type": "adapter",
            "adapter.type": "lora",
            "general.architecture": None if form is None else form.name,
        }
        for key, value in wanted.items():
            found = file.metadata.text(key)
            if form is None or found != value:
                raise ModelError(f"metadata key {key} is {shown(found)}, but must be {value!r}.")
        assert form is not None
        alpha = file.metadata.number("adapter.lora.alpha")
        if alpha is None or not math.isfinite(alpha):
            raise ModelError(f"metadata key adapter.lora.alpha is {shown(alpha)}, not a number.")

        def read(name: str, shape: tuple[int, ...]) -> FloatTensor:
            entry = file.tensors[name]
            _check_shape(name, entry.shape, shape)
            return read_floats(file, entry, 0, entry.rows)

        def scale(rank: int) -> float:
            return alpha / rank if alpha else 1.0

        changes: dict[tuple[int, str], LowRank] = {}
        known: set[str] = set()
        for key, where in _places(form.tensors, config, interleaved=form.interleaved):
            a, b = f"{where.name}.lora_a", f"{where.name}.lora_b"
            if a in file.tensors or b in file.tensors:
                known |= {a, b}
                changes[key] = _change(read, file.tensors, a, b, where, 0, scale)
        _check_known(file.tensors, known, config)
    return Adapter(name=path.stem, changes=changes)


def _places(
    tensors: Mapping[str, Source], config: ModelConfig, *, interleaved: bool
) -> Iterator[tuple[tuple[int, str], Place]]:
    """Every matrix that an adapter may change, and where it lies."""
    for layer in range(config.n_layers):
        for field in config.matrices:
            where = place(tensors, config, field, layer=layer, interleaved=interleaved)
            yield (layer, field), where
    if config.head != "none" and not config.tied_embeddings:
        yield (HEAD, "lm_head"), place(tensors, config, "lm_head", interleaved=interleaved)


def _change(
    read: Read,
    names: Iterable[str],
    a_name: str,
    b_name: str,
    where: Place,
    rank: int,
    scale: Callable[[int], float],
) -> LowRank:
    """A change from its two tensors; a rank of 0 is taken from the file."""
    for name in (a_name, b_name):
        if name not in names:
            raise ModelError(f"tensor {name} is missing.")
    a = read(a_name, (rank, where.shape[1]))
    b = read(b_name, (where.shape[0], a.shape[0]))
    if where.rows is not None:
        b = b[where.rows]
    return LowRank(a=a, b=b, scale=scale(a.shape[0]))


def _check_shape(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    fits = len(found) == len(wanted) and all(
        size == other or other == 0 for size, other in zip(found, wanted, strict=True)
    )
    if not fits or 0 in found:
        raise ModelError(
            f"tensor {name} has shape {shown(list(found))}, but the model asks for "
            f"{['rank' if size == 0 else size for size in wanted]}."
        )


def _check_known(names: Iterable[str], known: set[str], config: ModelConfig) -> None:
    """Refuse tensors that were not taken: left out silently they would give wrong outputs."""
    for name in names:
        if name not in known:
            raise ModelError(
                f"the adapter changes {shown(name)}, which is no matrix of this "
                f"{config.architecture} model of {config.n_layers} layers."
            )
    if not known:
        raise ModelError("the adapter changes nothing.")
