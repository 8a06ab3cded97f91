# SPDX-License-Identifier: Apache-2.0
"""`weft plan`: what a model will take, known before it runs."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from weft.cli.console import output
from weft.cli.options import Changes, EmbeddingName, KVFormatName, ModelName, PresetName, Weights
from weft.devices import changed_preset, find_preset
from weft.embedding_format import EmbeddingFormat, choose_embedding_format
from weft.errors import CompileError, WeftError, shown
from weft.forecast import Forecast, ModelForecast, forecast_model
from weft.forecast.costs import tile_cycles
from weft.kv_format import AUTO
from weft.model import ModelConfig, load_model
from weft.model.checkpoint import Matrix
from weft.model.gguf import load_gguf
from weft.model.gguf_file import is_gguf
from weft.model.huggingface import read_config
from weft.model.load import DEFAULT_MODEL, shipped_models
from weft.model.shapes import ENCODER_SHAPES, KNOWN_SHAPES
from weft.quantize import WeightFormat
from weft.weight_choice import shape_format
from weft_arch.config import Configuration

__all__ = ["plan"]


def plan(
    model: ModelName = DEFAULT_MODEL,
    preset: PresetName = "default",
    weights: Weights = "w8",
    kv_format: KVFormatName = AUTO,
    embedding: EmbeddingName = AUTO,
    context: Annotated[
        int | None, typer.Option("--context", help="Positions that a decode step sees.")
    ] = None,
    prompt: Annotated[int, typer.Option("--prompt", help="Tokens of the prompt.")] = 16,
    batch: Annotated[
        int, typer.Option("--batch", help="Sequences that a decode step continues at once.")
    ] = 1,
    lora_rank: Annotated[
        int | None, typer.Option("--lora-rank", help="With an adapter of that rank beside it.")
    ] = None,
    lora_targets: Annotated[
        str, typer.Option("--lora-targets", help="What it changes, separated by commas.")
    ] = "q_proj,v_proj",
    changes: Changes = None,
    fits: Annotated[
        bool, typer.Option("--fits", help="Say of all known shapes whether they fit, and how fast.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Predict cycles, bytes and bottlenecks without simulating. MODEL may also be the name of a
    well-known shape (`weft plan --fits` lists them) or a folder with nothing but a config.json.
    Rows of the embedding are counted as a model's file has them, for a shape in float16, unless
    --embedding says otherwise."""
    config = changed_preset(find_preset(preset), changes or [])
    form = shape_format(weights)
    if fits:
        output.print(_fits(config, form, kv_format, choose_embedding_format(embedding)))
        return
    shape, table = _shape(model)
    found = forecast_model(
        shape,
        config,
        form,
        kv_format=kv_format,
        embedding=choose_embedding_format(embedding, table),
        context=context,
        prompt=prompt,
        batch=batch,
        ranks=None if lora_rank is None else _ranks(lora_rank, lora_targets),
    )
    if as_json:
        typer.echo(json.dumps(_as_json(found, form)))
        return
    for table in (_phases(found), _bytes(found), _places(found)):
        output.print(table)
        output.print()


_LOADED = ("embedding", "rope", "position_embedding", "parameters")
"""Regions of memory that LOAD reads."""


_TARGETS = {
    "q_proj": "wq",
    "k_proj": "wk",
    "v_proj": "wv",
    "o_proj": "wo",
    "gate_proj": "w_gate",
    "up_proj": "w_up",
    "down_proj": "w_down",
}
"""Matrices by the names that PEFT's configurations call them."""


def _ranks(rank: int, targets: str) -> dict[str, int]:
    names = targets.split(",")
    for name in names:
        if name not in _TARGETS:
            raise WeftError(f"--lora-targets has {shown(name)}; there are {', '.join(_TARGETS)}.")
    return {_TARGETS[name]: rank for name in names}


def _shape(model: str) -> tuple[ModelConfig, Matrix | None]:
    """A model's shape, and its embedding if there is more than a shape."""
    known = KNOWN_SHAPES | ENCODER_SHAPES
    if model.lower() in known:
        return known[model.lower()], None
    path = Path(model)
    if path.is_dir() and model not in shipped_models():
        return read_config(path), None
    checkpoint = (
        load_gguf(path).checkpoint
        if path.is_file() and is_gguf(path)
        else load_model(model).checkpoint
    )
    return checkpoint.config, checkpoint.token_embedding


def _as_json(found: ModelForecast, form: WeightFormat) -> dict[str, object]:
    def phase(of: Forecast) -> dict[str, object]:
        return {
            "cycles": of.cycles,
            "bytes": dict(of.bytes_by_kind),
            "mac_cycles": of.mac_cycles,
            "bottleneck": found.bottleneck(of),
        }

    formats = {
        "preset": found.config.name,
        "weights": form.value,
        "kv_format": found.layout.memory.kv_format.value,
        "memory_bytes": found.layout.memory.size + found.adapter_bytes,
    }
    if found.is_encoder:
        text = {"tokens": found.prompt, **phase(found.prefill)}
        return {**formats, "text": text}
    return {
        **formats,
        "prompt": found.prompt,
        "context": found.context,
        "prefill": phase(found.prefill),
        "decode": phase(found.decode),
        "time_to_first_token": found.time_to_first_token,
        "tokens_per_second": found.tokens_per_second,
        "batch": found.batch,
        "batched": phase(found.batched),
        "batch_tokens_per_second": found.batch_tokens_per_second,
    }


def _phases(found: ModelForecast) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("phase")
    for column in ("cycles", "memory", "array"):
        table.add_column(column, justify="right")
    table.add_column(f"at {found.config.clock_hz / 1e6:.0f} MHz", justify="right")
    table.add_column("short of")
    capacity = found.config.memory_bytes_per_cycle
    phases = [
        (f"prefill of {found.prompt}", found.prefill, f"{found.time_to_first_token:.3g} s"),
        (f"decode at {found.context}", found.decode, f"{found.tokens_per_second:,.3g} tokens/s"),
    ]
    if found.is_encoder:
        phases = [(f"text of {found.prompt}", found.prefill, phases[0][2])]
    if found.batch > 1:
        speed = f"{found.batch_tokens_per_second:,.3g} tokens/s"
        phases.append((f"{found.batch} at once", found.batched, speed))
    for name, of, result in phases:
        moved = (of.bytes_read + of.bytes_written) / (of.cycles * capacity)
        table.add_row(
            name,
            f"{of.cycles:,}",
            f"{100 * moved:.1f} %",
            f"{100 * of.mac_cycles / of.cycles:.1f} %",
            result,
            found.bottleneck(of),
        )
    return table


def _bytes(found: ModelForecast) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("bytes of")
    phases = {"prefill": found.prefill, "decode": found.decode}
    if found.is_encoder:
        phases = {"text": found.prefill}
    for name in phases:
        table.add_column(name, justify="right")
    for kind in found.prefill.bytes_by_kind:
        table.add_row(kind, *(f"{of.bytes_by_kind[kind]:,}" for of in phases.values()))
    return table


def _places(found: ModelForecast) -> Table:
    """Where every tensor lives; for weights, the cycles per tile and what bounds them."""
    layout, config = found.layout, found.config
    bits = layout.memory.weight_bits
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("tensor", "lives in", "bytes", "decode", f"{_rows(found)} rows"):
        table.add_column(column, justify="right" if column == "bytes" else "left", no_wrap=True)

    def bound(rows: int) -> str:
        array = tile_cycles(config, rows)
        if layout.memory.resident:
            return f"{array} array"
        stream = config.tile_bytes(bits) / config.memory_bytes_per_cycle
        return f"{max(stream, array):.0f} {'memory' if stream > array else 'array'}"

    place = "resident memory" if layout.memory.resident else "memory (stream)"
    for name, tiles in found.weight_tiles():
        size = tiles * config.tile_bytes(bits)
        rows = 1 if name == "lm_head" else _rows(found)
        table.add_row(name, place, f"{size:,}", bound(1), bound(rows))
    if found.adapter_bytes:
        table.add_row("adapter", "memory (stream)", f"{found.adapter_bytes:,}", "", "")
    regions = layout.memory.regions
    cached = f"keys and values, {layout.memory.kv_format}"
    table.add_row(cached, "memory (stream)", f"{regions['kv'].size:,}", "", "")
    word_bytes, block_bytes = 3 * config.lanes, (32 * config.activation_bits + 8) // 8
    places = [
        *((n, "memory (loads)", regions[n].size) for n in _LOADED),
        *((n, "vector memory", r.size * word_bytes) for n, r in layout.chip.vector.items()),
        *(
            (f"{n} (codes)", "activation buffer", r.size * block_bytes)
            for n, r in layout.chip.activations.items()
        ),
    ]
    for name, place, size in places:
        if size:
            table.add_row(name, place, f"{size:,}", "", "")
    return table


def _rows(found: ModelForecast) -> int:
    return min(found.prompt, found.prompt_rows)


def _fits(
    config: Configuration, form: WeightFormat, kv_format: str, embedding: EmbeddingFormat
) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("shape")
    for column in ("memory", "tokens/s", "rows at once"):
        table.add_column(column, justify="right")
    table.add_column("")
    for name, shape in KNOWN_SHAPES.items():
        try:
            found = forecast_model(
                shape,
                config,
                form,
                kv_format=kv_format,
                embedding=embedding,
                context=min(256, shape.max_context),
            )
        except CompileError as error:
            table.add_row(name, "", "", "", f"does not fit: {error}")
            continue
        size = found.layout.memory.size / 2**20
        rows = found.prompt_rows
        table.add_row(
            name, f"{size:,.1f} MiB", f"{found.tokens_per_second:,.3g}", f"{rows}", "fits"
        )
    return table
