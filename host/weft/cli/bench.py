# SPDX-License-Identifier: Apache-2.0
"""`weft bench`: figures from the hardware's own counters."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from weft.benchmarks import BENCHMARKS, Result, run_benchmark
from weft.benchmarks.plots import plot_results
from weft.cli.console import build_progress, errors, make_folder, output, write_file
from weft.errors import WeftError
from weft.profile.plots import MISSING, have_matplotlib

__all__ = ["bench"]


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Benchmarks to run; default: all.", metavar="NAME")
    ] = None,
    as_list: Annotated[bool, typer.Option("--list", help="List the benchmarks.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the results to this file.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Also draw pictures into this folder.")
    ] = None,
) -> None:
    """Measure the accelerator on the RTL."""
    if as_list:
        for name, benchmark in BENCHMARKS.items():
            output.print(f"{name:<18} {benchmark.doc}")
        return
    if plots is not None and not have_matplotlib():
        raise WeftError(MISSING)
    results: list[Result] = []
    for name in names or list(BENCHMARKS):
        errors.print(f"{name} ...", style="dim")
        with build_progress() as report:
            results += run_benchmark(name, report)
    output.print(_table(results))
    if json_file is not None:
        text = json.dumps([asdict(r) for r in results], indent=1)
        write_file(json_file, f"{text}\n".encode())
    if plots is not None:
        make_folder(plots)
        for path in plot_results(results, plots):
            output.print(path, soft_wrap=True)


_VALUES = {"fraction": "{:.2%}", "ratio": "{:.3f}"}
"""How a value of a unit is shown."""


def _table(results: list[Result]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    numbers = ("value", "cycles", "forecast")
    for column in ("benchmark", "preset", "value", "unit", "target", "cycles", "forecast"):
        table.add_column(column, justify="right" if column in numbers else "left")
    for r in results:
        value = _VALUES.get(r.unit, "{:,.0f}").format(r.value)
        forecast = "" if r.forecast is None else f"{100 * (r.forecast / r.cycles - 1):+.2f} %"
        table.add_row(r.name, r.preset, value, r.unit, r.target, f"{r.cycles:,}", forecast)
    return table
