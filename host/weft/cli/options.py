# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from typing import Annotated

import typer

__all__ = ["Adapter", "DeviceName", "KVFormatName", "ModelName", "PresetName", "Weights"]

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
KVFormatName = Annotated[
    str,
    typer.Option(
        "--kv-format",
        help="Bits of cached keys and values: k8v8, k16v8, or auto: k16v8 for narrow heads.",
    ),
]
Adapter = Annotated[
    str | None,
    typer.Option("--lora", help="Adapter to add to the weights: a PEFT folder or a GGUF file."),
]
