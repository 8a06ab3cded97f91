# SPDX-License-Identifier: Apache-2.0
"""`weft board`: what is done with boards."""

import typer

from weft.cli import board_sim

__all__ = ["app"]

app = typer.Typer(help="Boards: simulate them whole.", no_args_is_help=True)
app.command("sim")(board_sim.sim)
