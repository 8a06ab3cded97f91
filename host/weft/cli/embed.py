# SPDX-License-Identifier: Apache-2.0
"""`weft embed`: texts to vectors."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.table import Table

from weft.cli.console import output
from weft.cli.options import KVFormatName, PresetName, Weights
from weft.embedder import DEFAULT_ENCODER, Embedder
from weft.errors import PromptError
from weft.kv_format import AUTO
from weft.sentence_pairs import cosines, read_pairs, spearman

__all__ = ["embed"]

EncoderName = Annotated[
    str,
    typer.Option("--model", "-m", help="Folder or GGUF file of an encoder, or a name on the hub."),
]

EncoderDevice = Annotated[
    str,
    typer.Option(
        "--device", "-d", help="reference (NumPy), rtl (cycle accurate, the same bits), or float."
    ),
]


def embed(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT...", help="Texts to embed.")
    ] = None,
    model: EncoderName = DEFAULT_ENCODER,
    sts: Annotated[
        Path | None,
        typer.Option("--sts", help="Judge the model on pairs of sentences: STS benchmark .tsv."),
    ] = None,
    device: EncoderDevice = "reference",
    preset: PresetName = "default",
    weights: Weights = "w8",
    kv_format: KVFormatName = AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print the vectors as JSON.")] = False,
) -> None:
    """Print how alike texts are by the cosines of their embeddings, or the embeddings."""
    if sts is not None:
        pairs = read_pairs(sts)
        embedder = Embedder(
            model, device=device, preset=preset, weights=weights, kv_format=kv_format
        )
        found = spearman(cosines(embedder, pairs), [pair.score for pair in pairs])
        judged = {"model": model, "pairs": len(pairs), "spearman": found}
        typer.echo(json.dumps(judged) if as_json else f"{len(pairs)} pairs, Spearman {found:.4f}")
        return
    if not texts:
        raise PromptError("there is no text to embed.")
    embedder = Embedder(model, device=device, preset=preset, weights=weights, kv_format=kv_format)
    vectors = embedder.embed(texts)
    if as_json:
        rows = [
            {"text": text, "tokens": embedder.tokens(text), "embedding": vector.tolist()}
            for text, vector in zip(texts, vectors, strict=True)
        ]
        typer.echo(json.dumps(rows))
        return
    output.print(_table(texts, vectors @ vectors.T))


def _table(texts: list[str], likeness: npt.NDArray[np.float32]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title="cosine", title_justify="left")
    table.add_column("text", overflow="fold")
    for number in range(1, len(texts) + 1):
        table.add_column(str(number), justify="right")
    for number, (text, row) in enumerate(zip(texts, likeness, strict=True), 1):
        table.add_row(f"{number} {text}", *(f"{value:.4f}" for value in row.tolist()))
    return table
