# SPDX-License-Identifier: Apache-2.0
"""`weft board sim`: a board in a box."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from weft.cli.console import build_progress, errors, output, tell_loss
from weft.cli.options import EmbeddingName, KVFormatName, Weights
from weft.compiler import compile_model
from weft.devices import find_preset
from weft.errors import WeftError, shown
from weft.kv_format import AUTO
from weft.model import load_model
from weft.tools import find_tool
from weft.weight_choice import check_name, choose_format

__all__ = ["sim"]

_MISSING = "no installed package simulates boards."


def sim(
    name: Annotated[str, typer.Argument(help="The board, for example ulx3s_85f.")],
    preset: Annotated[
        str | None, typer.Option("--preset", help="Another accelerator than the board's.")
    ] = None,
    tcp: Annotated[
        int | None,
        typer.Option("--tcp", help="Offer a TCP port of this machine; 0 takes a free one."),
    ] = None,
    cycles_per_bit: Annotated[
        int,
        typer.Option(
            "--cycles-per-bit", help="Of the serial line; 8 is the fastest, 0 the board's own."
        ),
    ] = 8,
    firmware: Annotated[
        Path | None,
        typer.Option("--firmware", help="Another image for the ROM of the board's CPU."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Model whose weights are on the board already."),
    ] = None,
    weights: Weights = "w8",
    kv_format: KVFormatName = AUTO,
    embedding: EmbeddingName = AUTO,
    max_model_len: Annotated[
        int | None, typer.Option("--max-model-len", help="Positions of context, with --model.")
    ] = None,
) -> None:
    """Simulate a whole board and offer its serial line; stop it with Ctrl-C.

    What is printed is the device for `-d` in another terminal. With --model, and the same options
    there, `weft generate` finds its weights on the board, which saves the time to send them.
    """
    serve: Callable[..., None] = find_tool("board_sim", _MISSING)
    boards: dict[str, Any] = find_tool("boards", _MISSING)()
    if name not in boards:
        raise WeftError(f"board {shown(name)} is unknown; there are {', '.join(boards)}.")
    chosen = preset or boards[name].preset
    config = find_preset(chosen)
    contents: list[tuple[int, bytes]] = []
    if model is not None:
        check_name(weights)
        loaded = load_model(model)
        form = choose_format(weights, loaded.checkpoint)
        compiled = compile_model(
            loaded.checkpoint,
            config,
            form,
            kv_format=kv_format,
            embedding=embedding,
            max_context=max_model_len,
            max_sequences=1,
        )
        tell_loss(loaded, form, asked=weights)
        contents.append((compiled.base, compiled.image.tobytes()))

    def ready(address: str) -> None:
        output.print(address, soft_wrap=True)
        errors.print(
            f"{boards[name].title}, simulated; in another terminal: weft generate "
            f'"Once upon a time" -d "{address}" --preset {chosen}',
            style="dim",
            markup=False,
            soft_wrap=True,
        )

    with build_progress() as report:
        serve(
            name,
            preset=preset,
            tcp=tcp,
            cycles_per_bit=cycles_per_bit or None,
            firmware=firmware,
            contents=contents,
            ready=ready,
            progress=report,
        )
