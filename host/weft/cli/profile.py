# SPDX-License-Identifier: Apache-2.0
"""`weft profile`: what every engine did in every cycle."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from weft.cli.console import build_progress, errors, make_folder, output, write_file
from weft.cli.options import KVFormatName, ModelName, PresetName, Weights
from weft.errors import WeftError
from weft.kv_format import AUTO
from weft.llm import LLM
from weft.model.load import DEFAULT_MODEL
from weft.profile import Run, record
from weft.profile.causes import array_causes
from weft.profile.chrome_trace import chrome_trace
from weft.profile.plots import (
    MISSING,
    have_matplotlib,
    plot_layers,
    plot_roofline,
    run_points,
)
from weft_arch.config import Configuration
from weft_arch.observed import Wire

__all__ = ["profile"]


def profile(
    prompt: Annotated[str, typer.Argument(help="Text to prefill.", metavar="PROMPT")],
    model: ModelName = DEFAULT_MODEL,
    preset: PresetName = "default",
    weights: Weights = "w8",
    kv_format: KVFormatName = AUTO,
    steps: Annotated[int, typer.Option("-n", "--steps", help="Tokens to decode.")] = 2,
    folder: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the trace and the pictures.")
    ] = Path("build/profile"),
) -> None:
    """Record a prompt and a few decode steps on the RTL: a trace for Perfetto, a roofline, and the
    cycles of every layer by cause."""
    make_folder(folder)
    with build_progress() as report:
        llm = LLM(
            model,
            preset=preset,
            weights=weights,
            kv_format=kv_format,
            device="rtl",
            device_options={"progress": report, "observed": True},
        )
    with llm:
        ids = llm.tokenizer.encode(prompt)
        context = llm.max_model_len
        if not 0 <= steps < context:
            raise WeftError(f"{steps} steps do not fit the context of {context} positions.")
        if not 1 <= len(ids) <= context - steps:
            raise WeftError(
                f"the prompt has {len(ids)} tokens; with {steps} steps the context of {context} "
                f"has room for 1 to {context - steps}."
            )
        runs = record(llm, ids, steps)
        program, config = llm.compiled.program, llm.config
    trace = folder / "trace.json"
    write_file(trace, chrome_trace(runs, config).encode())
    output.print(_table(runs, config))
    written = [f"{trace} (open it at ui.perfetto.dev)"]
    causes: dict[str, dict[str, Counter[str]]] = {"prefill": {}, "decode": {}}
    for run in runs:
        kind = causes[run.name.split()[0]]
        for phase, counted in array_causes(run, program).items():
            kind.setdefault(phase, Counter()).update(counted)
    for kind, of_phases in causes.items():
        if of_phases:
            output.print(_causes_table(kind, of_phases))
    if have_matplotlib():
        plot_roofline(run_points(runs, config), config, folder / "roofline.svg")
        written.append(str(folder / "roofline.svg"))
        for kind, of_phases in causes.items():
            if of_phases:
                path = folder / f"layers_{kind}.svg"
                plot_layers(f"The array's cycles, {kind}", of_phases, path)
                written.append(str(path))
    else:
        errors.print(MISSING, style="dim")
    for line in written:
        output.print(line, soft_wrap=True)


def _table(runs: list[Run], config: Configuration) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("run")
    for column in ("cycles", "memory read", "written", "array"):
        table.add_column(column, justify="right")
    for run in runs:
        table.add_row(
            run.name,
            f"{run.cycles:,}",
            *(
                f"{100 * run.cycles_of(wire) * scale / run.cycles:.1f} %"
                for wire, scale in (
                    (Wire.READ_BEAT, config.beat_bytes / config.memory_bytes_per_cycle),
                    (Wire.WRITE_BEAT, config.beat_bytes / config.memory_bytes_per_cycle),
                    (Wire.MAC, 1),
                )
            ),
        )
    return table


def _causes_table(kind: str, of_phases: dict[str, Counter[str]]) -> Table:
    """All phases together: what the array did."""
    total: Counter[str] = Counter()
    for counted in of_phases.values():
        total += counted
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(f"the array, {kind}")
    table.add_column("cycles", justify="right")
    table.add_column("", justify="right")
    for cause, cycles in total.most_common():
        table.add_row(cause, f"{cycles:,}", f"{100 * cycles / total.total():.1f} %")
    return table
