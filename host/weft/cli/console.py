# SPDX-License-Identifier: Apache-2.0
"""Where text goes: results to standard output, everything else to standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["build_progress", "errors", "output"]

output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


@contextmanager
def build_progress() -> Iterator[Callable[[str, float], None]]:
    """A progress display that appears with the first report and vanishes at the end."""
    bars = Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
    )
    tasks: list = []

    def report(stage: str, fraction: float) -> None:
        if not tasks:
            bars.start()
            tasks.append(bars.add_task("building the accelerator", total=1.0))
        bars.update(tasks[0], description=stage, completed=fraction)

    try:
        yield report
    finally:
        bars.stop()
