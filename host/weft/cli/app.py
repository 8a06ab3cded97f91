# SPDX-License-Identifier: Apache-2.0
"""Puts the commands together and turns errors into one line and exit code 2."""

import sys

import typer
from rich.markup import escape

from weft.cli import assembly, bench, evaluate, generate, info
from weft.cli.console import errors
from weft.errors import WeftError

__all__ = ["main"]

app = typer.Typer(
    name="weft",
    help="Transformer inference on an open accelerator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("generate")(generate.generate)
app.command("info")(info.info)
app.command("verilog")(assembly.verilog)
app.command("asm")(assembly.asm)
app.command("disasm")(assembly.disasm)
app.command("bench")(bench.bench)
app.command("eval")(evaluate.evaluate)


def main() -> None:
    """Entry point of the `weft` command."""
    try:
        app()
    except WeftError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
