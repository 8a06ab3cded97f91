# SPDX-License-Identifier: Apache-2.0
"""`weft eval`: accuracy against the float model."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from weft.cli.console import build_progress, errors, make_folder, output, tell_loss
from weft.cli.options import (
    Changes,
    DeviceName,
    EmbeddingName,
    MergedAdapter,
    ModelName,
    PresetName,
)
from weft.devices import changed_preset, find_preset
from weft.embedding_format import check_embedding_name
from weft.errors import EvaluationError, WeftError
from weft.kv_format import AUTO, check_kv_name, choose_kv_format
from weft.model import LoadedModel, held_out_path, load_model
from weft.model.load import DEFAULT_MODEL, with_merged_adapter
from weft.model.lora_files import read_adapter
from weft.profile.plots import MISSING, have_matplotlib
from weft.quality import QualityReport
from weft.quality_plots import plot_report
from weft.scoring import Evaluation, read_texts
from weft.weight_choice import check_name, choose_format

__all__ = ["evaluate"]


def evaluate(
    model: ModelName = DEFAULT_MODEL,
    device: DeviceName = "reference",
    preset: PresetName = "default",
    weights: Annotated[
        str, typer.Option("--weights", "-w", help="Formats to judge, separated by commas.")
    ] = "w8,w4",
    kv_formats: Annotated[
        str,
        typer.Option(
            "--kv-format",
            help="Formats of keys and values to judge with each, separated by commas: k8v8, k16v8, "
            "or auto, which is k16v8 for narrow heads.",
        ),
    ] = AUTO,
    embedding: EmbeddingName = AUTO,
    changes: Changes = None,
    texts: Annotated[
        Path | None,
        typer.Option("--texts", help="Held-out .jsonl, or a JSON list; default: the model's own."),
    ] = None,
    lora: Annotated[
        str | None,
        typer.Option("--lora", help="Adapter to judge beside the weights: a folder or GGUF file."),
    ] = None,
    lora_merge: MergedAdapter = None,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", help="Judge on the first N texts only.")
    ] = None,
    answers: Annotated[
        bool, typer.Option(help="Ask the held-out questions and count exact answers.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Also draw pictures into this folder.")
    ] = None,
) -> None:
    """Judge a model on a device: KL divergence, top-1 agreement, perplexity, exact answers. Each
    format is judged in float arithmetic and on the device."""
    names = weights.split(",")
    for name in names:
        check_name(name)
    for name in kv_formats.split(","):
        check_kv_name(name)
    check_embedding_name(embedding)
    changed_preset(find_preset(preset), changes or ())  # refused before any work
    if plots is not None and not have_matplotlib():
        raise WeftError(MISSING)
    loaded = load_model(model)
    if lora_merge is not None:
        loaded = with_merged_adapter(loaded, Path(lora_merge))
    adapter = None if lora is None else read_adapter(Path(lora), loaded.checkpoint.config)
    adapted = Path(lora or lora_merge or "").stem
    path = texts or _held_out(loaded)
    stories = read_texts(path, limit)
    evaluation = Evaluation(loaded, stories, adapter)
    shape = loaded.checkpoint.config
    caches = list(dict.fromkeys(choose_kv_format(kv, shape) for kv in kv_formats.split(",")))
    judged = [evaluation.of_float(answers=answers)]
    for name in names:
        one = choose_format(name, loaded.checkpoint)
        errors.print(f"judging {one} ...", style="dim")
        judged.append(evaluation.of_float(one, answers=answers))
        for kv in caches:
            with build_progress() as progress:
                judged.append(
                    evaluation.of_device(
                        one,
                        kv_format=kv,
                        embedding=embedding,
                        device=device,
                        preset=preset,
                        changes=changes or (),
                        answers=answers,
                        device_options={"progress": progress},
                    )
                )
        tell_loss(loaded, one, asked=name)
    report = QualityReport(
        model=f"{loaded.name}+{adapted}" if adapted else loaded.name,
        texts=path.name,
        n_texts=len(stories),
        kv_format=choose_kv_format(AUTO, shape),
        rows=tuple(judged),
    )
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1))
    else:
        output.print(_table(report))
    if plots is not None:
        make_folder(plots)
        errors.print(plot_report(report, plots), soft_wrap=True)


def _held_out(loaded: LoadedModel) -> Path:
    path = held_out_path(loaded)
    if path is None:
        raise EvaluationError(f"{loaded.name} has no held-out texts of its own; give --texts.")
    return path


def _table(report: QualityReport) -> Table:
    questions = f", {report.questions:,} questions" if report.questions else ""
    table = Table(
        title=f"{report.n_texts} texts, {report.positions:,} positions{questions}, against float",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    columns = ("arithmetic", "weights", "KV", "mean KL", "99.9 %", "top-1", "perplexity", "exact")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < 3 else "right", no_wrap=True)
    for row in report.rows:
        c, a = row.comparison, row.answers
        table.add_row(
            row.arithmetic,
            row.weights,
            row.kv,
            f"{c.mean_kl:.6f}",
            f"{c.p999_kl:.4f}",
            f"{100 * c.top1_agreement:.2f} %",
            f"{c.perplexity:.4f}",
            "-" if a is None else f"{100 * a.exact_match:.1f} %",
        )
    return table
