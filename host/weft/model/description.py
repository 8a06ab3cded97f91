# SPDX-License-Identifier: Apache-2.0
"""What a description of an architecture consists of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from weft.errors import ModelError
from weft.gguf_metadata import Metadata
from weft.model.fields import Fields

__all__ = [
    "Architecture",
    "GGUFForm",
    "GGUFKeys",
    "HuggingFaceForm",
    "Settings",
    "Source",
    "sources",
]

Number = TypeVar("Number", int, float)

Settings = dict[str, Any]
"""Fields of `ModelConfig`."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a tensor lies in a file.

    `name` is that of the weight and ends in `.weight`; `{layer}` stands for the layer's index. The
    bias of a matrix or norm has the same name with `.bias`.

    `stacked` names the matrices that lie in this tensor one on another, in their order. A
    `transposed` matrix is stored [inputs, outputs]. A gain stored as its difference from 1 is
    `plus_one`. The file's shape of a `folded` tensor has dimensions of 1 in front of it, or its
    inputs in several dimensions.
    """

    name: str
    stacked: tuple[str, ...] = ()
    transposed: bool = False
    plus_one: bool = False
    folded: bool = False


def sources(names: Mapping[str, str | Source]) -> dict[str, Source]:
    """A table in which a plain name stands for a tensor that is stored as weft keeps it."""
    return {
        field: Source(name=source) if isinstance(source, str) else source
        for field, source in names.items()
    }


@dataclass(frozen=True, kw_only=True)
class HuggingFaceForm:
    """How a folder with a `config.json` describes and stores a model.

    `classes` are the values of `architectures` that are meant, of which the first is what
    `model_type` stands for where there is none. `settings` turns the fields of `config.json` into
    those of `ModelConfig`. `tensors` gives the source of each tensor; files may leave out `prefix`
    in front of all names. `ignored` are patterns of names of tensors that the model computes
    nothing with.
    """

    classes: tuple[str, ...]
    model_type: str
    settings: Callable[[Fields], Settings]
    tensors: Mapping[str, Source]
    prefix: str = ""
    ignored: tuple[str, ...] = ("*.rotary_emb.inv_freq",)


@dataclass(frozen=True, kw_only=True)
class GGUFKeys:
    """The keys of one architecture, and which tensors there are.

    Lookups are of `{architecture}.{name}`, as in `Metadata`.
    """

    metadata: Metadata
    architecture: str
    form: "GGUFForm"
    tensors: frozenset[str]

    def __contains__(self, name: str) -> bool:
        return f"{self.architecture}.{name}" in self.metadata

    def integer(self, name: str, default: int | None = None) -> int | None:
        """An integer."""
        return self.metadata.integer(f"{self.architecture}.{name}", default)

    def number(self, name: str, default: float | None = None) -> float | None:
        """A number."""
        return self.metadata.number(f"{self.architecture}.{name}", default)

    def needed(self, name: str) -> int:
        """An integer that must be there."""
        return self._present(name, self.integer(name))

    def needed_number(self, name: str) -> float:
        """A number that must be there."""
        return self._present(name, self.number(name))

    def _present(self, name: str, value: Number | None) -> Number:
        if value is None:
            raise ModelError(f"metadata key {self.architecture}.{name} is missing.")
        return value


@dataclass(frozen=True, kw_only=True)
class GGUFForm:
    """How llama.cpp's converter describes and stores a model.

    `name` is the value of `general.architecture`. `settings` gives the fields of `ModelConfig` that
    are not the same in all architectures, from what `gguf_config` read; `known` are the keys that
    it heeds and others refuse. Rows of queries and keys are in interleaved order already where
    `interleaved`.
    """

    name: str
    tensors: Mapping[str, Source]
    settings: Callable[[GGUFKeys, Settings], Settings] = lambda keys, sizes: {}
    known: tuple[str, ...] = ()
    interleaved: bool = False


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A family of models. `fixed` are the fields of `ModelConfig` that all of them share."""

    name: str
    fixed: Settings
    huggingface: HuggingFaceForm
    gguf: GGUFForm | None = None
