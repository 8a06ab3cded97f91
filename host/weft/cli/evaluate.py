# SPDX-License-Identifier: Apache-2.0
"""`weft eval`: accuracy against the float model."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from weft.cli.console import build_progress, errors, output, tell_loss
from weft.cli.options import DeviceName, ModelName, PresetName
from weft.errors import EvaluationError
from weft.model import LoadedModel, held_out_path, load_model
from weft.model.load import DEFAULT_MODEL
from weft.quantize import WeightFormat
from weft.scoring import Evaluation, Judged, read_texts

__all__ = ["evaluate"]


def evaluate(
    model: ModelName = DEFAULT_MODEL,
    device: DeviceName = "reference",
    preset: PresetName = "default",
    weights: Annotated[
        str, typer.Option("--weights", help="Formats to judge, separated by commas.")
    ] = "w8,w4",
    texts: Annotated[
        Path | None,
        typer.Option("--texts", help="Held-out .jsonl, or a JSON list; default: the model's own."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", help="Judge on the first N texts only.")
    ] = None,
    answers: Annotated[
        bool, typer.Option(help="Ask the held-out questions and count exact answers.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Judge a model on a device: KL divergence, top-1 agreement, perplexity, exact answers."""
    formats = [WeightFormat.named(name) for name in weights.split(",")]
    loaded = load_model(model)
    stories = read_texts(texts or _held_out(loaded))
    if limit is not None:
        if limit < 1:
            raise EvaluationError(f"limit is {limit}, but must be at least 1.")
        stories = stories[:limit]
    evaluation = Evaluation(loaded, stories)
    judged = [evaluation.of_float(answers=answers)]
    for one in formats:
        errors.print(f"judging {one} ...", style="dim")
        judged.append(evaluation.of_float(one, answers=answers))
        with build_progress() as report:
            options = {"progress": report}
            judged.append(
                evaluation.of_device(
                    one, device=device, preset=preset, answers=answers, device_options=options
                )
            )
        tell_loss(loaded, one)
    if as_json:
        typer.echo(json.dumps([asdict(j) for j in judged]))
    else:
        output.print(_table(judged, len(stories)))


def _held_out(loaded: LoadedModel) -> Path:
    path = held_out_path(loaded)
    if path is None:
        raise EvaluationError(f"{loaded.name} has no held-out texts of its own; give --texts.")
    return path


def _table(judged: list[Judged], n_texts: int) -> Table:
    positions = judged[0].comparison.positions
    table = Table(
        title=f"{n_texts} texts, {positions:,} positions, against float",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    columns = ("run on", "weights", "mean KL", "max KL", "top-1", "perplexity", "exact answers")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < 2 else "right")
    for one in judged:
        c, a = one.comparison, one.answers
        exact = "-" if a is None else f"{100 * a.exact_match:.1f} % of {a.questions}"
        table.add_row(
            one.name,
            one.weights,
            f"{c.mean_kl:.6f}",
            f"{c.max_kl:.4f}",
            f"{100 * c.top1_agreement:.2f} %",
            f"{c.perplexity:.4f}",
            exact,
        )
    return table
