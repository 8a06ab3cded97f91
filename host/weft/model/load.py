# SPDX-License-Identifier: Apache-2.0
"""Finds a model by name or path and loads it with its tokenizer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from weft.chat_template import ChatTemplate, read_chat_template, read_special_tokens
from weft.errors import ModelError, PromptError, TokenizerError, shown
from weft.files import in_file
from weft.model.checkpoint import Checkpoint
from weft.model.gguf import load_gguf
from weft.model.gguf_file import is_gguf
from weft.model.hub import download, is_hub_name, packaged_model
from weft.model.huggingface import load_huggingface
from weft.model.llama2c import load_llama2c
from weft.model.lora import merged
from weft.model.lora_files import read_adapter
from weft.model.repacking import RepackLog
from weft.tokenizer import (
    Tokenizer,
    gguf_special_tokens,
    gguf_tokenizer,
    load_huggingface_tokenizer,
    load_llama2c_tokenizer,
)

__all__ = [
    "DEFAULT_MODEL",
    "LoadedModel",
    "held_out_path",
    "load_model",
    "shipped_models",
    "with_merged_adapter",
]

DEFAULT_MODEL = "weft-stories"

PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = PACKAGE / "shipped"
"""Where a wheel carries the shipped models: one folder per model."""
CHECKOUT = PACKAGE.parents[1]
"""The project's root, when the package is used from a checkout."""


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model ready to be compiled: weights, tokenizer, and the name it was asked for by.

    `chat_template` is the Jinja template that the folder or GGUF file carries, else None, and
    `special_tokens` the texts that it may name, such as `bos_token`; `repacked` tells, once the
    model is compiled, what a GGUF file's weights lost by it.
    """

    name: str
    path: Path
    checkpoint: Checkpoint
    tokenizer: Tokenizer
    chat_template: str | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict[str, str])
    repacked: RepackLog = field(default_factory=RepackLog)

    def chat_prompt(self, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
        """The prompt that the model's own template makes of a conversation, as
        `ChatTemplate.render`; `PromptError` where the model has none."""
        if self.chat_template is None:
            raise PromptError(f"{self.name} comes without a chat template.")
        return ChatTemplate(self.chat_template, self.special_tokens).render(messages, **variables)


def shipped_models() -> dict[str, Path]:
    """Folders of the models that come with weft, by name.

    They are looked for in the installed package and, in a checkout, in `models/`. A folder
    counts when it holds a `config.json`.
    """
    roots = [SHIPPED]
    if (CHECKOUT / "pyproject.toml").is_file():
        roots.append(CHECKOUT / "models")
    found: dict[str, Path] = {}
    for root in roots:
        for config in sorted(root.glob("*/config.json")):
            found.setdefault(config.parent.name, config.parent)
    return found


def held_out_path(model: LoadedModel) -> Path | None:
    """The held-out stories that belong to a model, or None when it came without.

    They lie beside the model's folder or file as `{name}-heldout.jsonl`.
    """
    path = model.path.resolve().parent / f"{model.name}-heldout.jsonl"
    return path if path.is_file() else None


def load_model(
    model: str | Path = DEFAULT_MODEL, *, tokenizer: str | Path | None = None
) -> LoadedModel:
    """Load a model.

    `model` is the name of a shipped model, a Hugging Face style folder, a GGUF file, a llama2.c
    `.bin` file, or a name on the hub (OWNER/NAME, or OWNER/NAME/FILE.gguf). `tokenizer` is the
    llama2.c tokenizer file; without it, the only `tok*.bin` beside the model is taken. A folder
    brings its own `tokenizer.json`, a GGUF file carries one.

    Raises `FileError`, `ModelError` or `TokenizerError` with one sentence when any of it cannot
    be used.
    """
    path = _find(model)
    if path.is_dir():
        if tokenizer is not None:
            raise TokenizerError(
                f"{path} is a folder with its own tokenizer.json, so no other tokenizer can be "
                f"given with it."
            )
        checkpoint = load_huggingface(path)
        return LoadedModel(
            name=path.resolve().name,
            path=path,
            checkpoint=checkpoint,
            tokenizer=load_huggingface_tokenizer(path, checkpoint.config.vocab_size),
            chat_template=read_chat_template(path),
            special_tokens=read_special_tokens(path),
        )
    if path.suffix == ".gguf" or is_gguf(path):
        if tokenizer is not None:
            raise TokenizerError(
                f"{path} carries its own tokenizer, so no other one can be given with it."
            )
        return _from_gguf(path)
    if path.suffix != ".bin":
        raise ModelError(f"{path} is neither a model folder nor a GGUF or llama2.c .bin file.")
    checkpoint = load_llama2c(path)
    tokenizer_path = _tokenizer_beside(path) if tokenizer is None else Path(tokenizer)
    return LoadedModel(
        name=path.stem,
        path=path,
        checkpoint=checkpoint,
        tokenizer=load_llama2c_tokenizer(tokenizer_path, checkpoint.config.vocab_size),
    )


def with_merged_adapter(model: LoadedModel, path: Path) -> LoadedModel:
    """The model with the low-rank adapter of a PEFT folder or a GGUF file added to its weights."""
    adapter = read_adapter(path, model.checkpoint.config)
    return replace(model, checkpoint=merged(model.checkpoint, adapter))


def _from_gguf(path: Path) -> LoadedModel:
    model = load_gguf(path)
    metadata = model.file.metadata
    with in_file(path):
        return LoadedModel(
            name=path.stem,
            path=path,
            checkpoint=model.checkpoint,
            tokenizer=gguf_tokenizer(metadata, model.checkpoint.config.vocab_size),
            chat_template=metadata.text("tokenizer.chat_template"),
            special_tokens=gguf_special_tokens(metadata),
            repacked=model.repacked,
        )


def _find(model: str | Path) -> Path:
    """The path that `model` means: a shipped model's name comes before a file of that name."""
    shipped = shipped_models()
    if isinstance(model, str) and model in shipped:
        return shipped[model]
    path = Path(model)
    try:
        exists = path.exists()
    except (OSError, ValueError):  # too long for a path, or a null character inside
        exists = False
    if not exists or str(model) == "":
        packaged = packaged_model(str(model))
        if packaged is not None:
            return packaged
        if isinstance(model, str) and is_hub_name(model):
            return download(model)
        names = ", ".join(shipped) if shipped else "none"
        raise ModelError(
            f"model {shown(str(model), 200)} is neither a path nor a shipped model (shipped: "
            f"{names})."
        )
    return path


def _tokenizer_beside(path: Path) -> Path:
    """The only `tok*.bin` in the folder of a llama2.c checkpoint."""
    found = sorted(file for file in path.parent.glob("tok*.bin") if file.name != path.name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise TokenizerError(f"{path} has no tokenizer tok*.bin beside it, and none was given.")
    names = ", ".join(file.name for file in found[:5])
    raise TokenizerError(
        f"{path} has {len(found)} tokenizers beside it ({names}), so one must be given."
    )
