# SPDX-License-Identifier: Apache-2.0
"""`weft generate`: complete prompts and say what it cost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from weft.cli.console import build_progress, errors, output, tell_loss
from weft.cli.options import (
    Adapters,
    DeviceName,
    EmbeddingName,
    KVFormatName,
    MergedAdapter,
    ModelName,
    PresetName,
    Weights,
    adapter_paths,
)
from weft.errors import WeftError, shown
from weft.kv_format import AUTO
from weft.llm import LLM
from weft.model.load import DEFAULT_MODEL
from weft.outputs import Metrics, StreamedToken
from weft.sampling_params import SamplingParams

__all__ = ["generate"]

_NOTHING = "-"
_AT_ONCE = 8
"""Prompts that are completed at once, at most."""


def generate(
    prompts: Annotated[list[str], typer.Argument(help="One or more prompts.", metavar="PROMPT")],
    model: ModelName = DEFAULT_MODEL,
    device: DeviceName = "rtl",
    preset: PresetName = "default",
    max_tokens: Annotated[
        int, typer.Option("-n", "--max-tokens", help="Tokens to generate at most.")
    ] = 128,
    temperature: Annotated[
        float, typer.Option("--temperature", help="0 takes the likeliest token.")
    ] = 0.0,
    top_k: Annotated[int, typer.Option("--top-k", help="Among the k likeliest; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option("--top-p", help="Among the likeliest of mass p.")] = 1.0,
    seed: Annotated[int | None, typer.Option("--seed", help="Same seed, same tokens.")] = None,
    weights: Weights = "w8",
    kv_format: KVFormatName = AUTO,
    embedding: EmbeddingName = AUTO,
    lora: Adapters = None,
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", help="Which of several --lora to use.", metavar="NAME"),
    ] = None,
    lora_merge: MergedAdapter = None,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="Tokenizer file of a llama2.c model.")
    ] = None,
    max_model_len: Annotated[
        int | None, typer.Option("--max-model-len", help="Positions of context.")
    ] = None,
    wave: Annotated[
        Path | None,
        typer.Option("--wave", help="Write all signals to this FST file (rtl; slow and large)."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per prompt instead of text.")
    ] = False,
) -> None:
    """Complete each PROMPT, token by token, and print what it cost."""
    params = SamplingParams(
        temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, max_tokens=max_tokens
    )
    if wave is not None and device != "rtl":
        raise WeftError(f"--wave needs the device rtl; {shown(device)} has no signals.")
    adapters = adapter_paths(lora)
    chosen = _chosen(adapter, list(adapters))
    waves = {} if wave is None else {"trace": wave}
    with build_progress() as report:
        llm = LLM(
            model,
            device=device,
            preset=preset,
            weights=weights,
            kv_format=kv_format,
            embedding=embedding,
            tokenizer=tokenizer,
            adapters=adapters,
            lora_merge=lora_merge,
            max_model_len=max_model_len,
            max_num_seqs=min(len(prompts), _AT_ONCE),
            device_options={"progress": report, **waves},
        )
    with llm:
        tell_loss(llm.loaded, llm.compiled.weights, asked=weights)
        if as_json:
            for finished in llm.generate(prompts, params, adapter=chosen):
                typer.echo(json.dumps(finished.to_json()))
            return
        # All are checked before the first one runs.
        streams = [llm.stream(prompt, params, adapter=chosen) for prompt in prompts]
        for prompt, stream in zip(prompts, streams, strict=True):
            errors.print(_summary(_show(prompt, stream)))


def _chosen(adapter: str | None, names: list[str]) -> str | None:
    """The adapter to use: the only one, or that which the user has named."""
    if adapter is None and len(names) < 2:
        return names[0] if names else None
    if adapter is None:
        raise WeftError(f"there are several adapters ({', '.join(names)}); choose with --adapter.")
    if adapter not in names:
        there = ", ".join(names) or "none"
        raise WeftError(f"--adapter is {shown(adapter)}, but --lora gives: {there}.")
    return adapter


def _show(prompt: str, stream: Iterator[StreamedToken]) -> Metrics:
    """Print a completion as it comes."""
    output.print(f"[dim]{escape(prompt)}[/]", end="", soft_wrap=True)
    while True:
        item = next(stream)
        output.out(item.text, end="", highlight=False)
        output.file.flush()
        if item.output is not None:
            output.print()
            return item.output.metrics


def _summary(m: Metrics) -> Table:
    """What a request cost, as a table without borders."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")

    def percent(value: float | None) -> str:
        return _NOTHING if value is None else f"{100 * value:.1f} %"

    table.add_row("tokens", f"{m.prompt_tokens} + {m.completion_tokens}", "prompt + generated")
    per_token = _NOTHING if m.cycles_per_token is None else f"{m.cycles_per_token:,.0f}"
    table.add_row("cycles per token", per_token, f"{m.device}, preset {m.preset}")
    table.add_row("bytes moved", f"{m.dram_read_bytes + m.dram_write_bytes:,}", "read + written")
    table.add_row("memory bandwidth", percent(m.bandwidth_utilization), "of the memory's peak")
    table.add_row("array", percent(m.mac_utilization), "of MAC cycles useful")
    rate = _NOTHING if m.tokens_per_second is None else f"{m.tokens_per_second:,.0f}"
    table.add_row("tokens/s", rate, f"at {m.clock_hz / 1e6:.0f} MHz")
    return table
