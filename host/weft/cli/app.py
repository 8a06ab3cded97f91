# SPDX-License-Identifier: Apache-2.0
"""Puts the commands together and turns errors into one line and exit code 2."""

import os
import sys
from typing import NoReturn, cast

import typer
from rich.markup import escape

from weft.cli import assembly, bench, board, embed, evaluate, generate, info, plan, profile
from weft.cli.console import errors
from weft.errors import WeftError
from weft_arch.device import DeviceError

__all__ = ["main"]

app = typer.Typer(
    name="weft",
    help="Transformer inference on an open accelerator.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("generate")(generate.generate)
app.command("info")(info.info)
app.command("verilog")(assembly.verilog)
app.command("asm")(assembly.asm)
app.command("disasm")(assembly.disasm)
app.command("bench")(bench.bench)
app.command("plan")(plan.plan)
app.command("profile")(profile.profile)
app.command("eval")(evaluate.evaluate)
app.command("embed")(embed.embed)
app.add_typer(board.app, name="board")


INTERRUPTED = 130
"""The exit code that shells expect after an interrupt."""
# The command line's own class of errors, which typer takes from click or from its own copy of it.
UsageError = cast(type[typer.BadParameter], typer.BadParameter.__base__)


def main() -> None:
    """Entry point of the `weft` command."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        if code == INTERRUPTED:  # newer versions of typer catch it themselves
            raise KeyboardInterrupt
        sys.exit(code)
    except UsageError as error:
        _fail(error.format_message())
    except (WeftError, DeviceError) as error:
        _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        errors.print("stopped")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever reads the output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _fail(sentence: str) -> NoReturn:
    end = "" if sentence.endswith((".", "?", "!")) else "."
    errors.print(f"[bold red]error:[/] {escape(sentence)}{end}", soft_wrap=True)
    sys.exit(2)
