# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from weft.errors import WeftError, shown

__all__ = [
    "Adapters",
    "Changes",
    "DeviceName",
    "EmbeddingName",
    "KVFormatName",
    "MergedAdapter",
    "ModelName",
    "PresetName",
    "Weights",
    "adapter_paths",
]

ModelName = Annotated[
    str,
    typer.Option("--model", "-m", help="Shipped model, model folder, GGUF or llama2.c .bin file."),
]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        help="rtl (cycle accurate), reference (NumPy), serial:PATH or tcp:HOST:PORT (boards).",
    ),
]
PresetName = Annotated[str, typer.Option("--preset", help="Accelerator configuration.")]
Weights = Annotated[
    str,
    typer.Option(
        "--weights",
        "-w",
        help="w8, w4, or 4 bits for a model in floats: w4s, int4, fp4, nf4, iq4_nl.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change the preset: a parameter, =, its value.", metavar="P=V"),
]
KVFormatName = Annotated[
    str,
    typer.Option(
        "--kv-format",
        help="Bits of cached keys and values: k8v8, k16v8, or auto: k16v8 for narrow heads.",
    ),
]
EmbeddingName = Annotated[
    str,
    typer.Option(
        "--embedding",
        help="Rows of the embedding in memory: f16, q8 (half the bytes), or auto: as in the file.",
    ),
]
Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--lora",
        help="Adapter beside the weights: a PEFT folder or a GGUF file; repeatable.",
        metavar="[NAME=]PATH",
    ),
]
MergedAdapter = Annotated[
    str | None,
    typer.Option("--lora-merge", help="Adapter to add to the weights while they are loaded."),
]


def adapter_paths(given: list[str] | None) -> dict[str, Path]:
    """What `--lora` says: paths by name, which is that of the folder, or of the file without its
    ending, where none is given. Raises `WeftError` for a name that is empty or given twice."""
    found: dict[str, Path] = {}
    for text in given or []:
        name, equals, path = text.partition("=")
        if not equals or "/" in name:  # a path may have a = of its own
            path = text
            whole = Path(path).resolve()
            name = whole.stem if path.endswith(".gguf") else whole.name
        if not name or not path:
            raise WeftError(f"--lora {shown(text)} must be NAME=PATH or PATH.")
        if name in found:
            raise WeftError(f"two adapters are called {shown(name)}; give them names of their own.")
        found[name] = Path(path)
    return found
