# SPDX-License-Identifier: Apache-2.0
"""Where text goes: results to standard output, everything else to standard error."""

import errno
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from weft.errors import FileError
from weft.model import LoadedModel
from weft.quantize import WeightFormat

__all__ = ["build_progress", "errors", "make_folder", "output", "tell_loss", "write_file"]

output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def write_file(path: Path, raw: bytes) -> None:
    """Write all of a file or leave it as it was; a `FileError` says why it cannot be."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if path.exists() and not path.is_file():  # a terminal, a pipe
            path.write_bytes(raw)
            return
        partial = path.with_name(f"{path.name}.partial")
        try:
            partial.write_bytes(raw)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.") from error


def tell_loss(loaded: LoadedModel, weights: WeightFormat, *, asked: str) -> None:
    """Say in a line what a GGUF file's weights lost by being compiled, or that they did not; and
    which format was chosen where the user left that open."""
    if weights != asked:
        line = f"{loaded.name}: {asked} is {weights} for these weights."
        errors.print(line, style="dim", markup=False, soft_wrap=True)
    sentence = loaded.repacked.sentence(weights)
    if sentence is not None:
        errors.print(f"{loaded.name}: {sentence}", style="dim", markup=False, soft_wrap=True)


def make_folder(path: Path) -> None:
    """Make a folder unless it is there; a `FileError` says why it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{path} cannot be made: {error.strerror}.") from error


@contextmanager
def build_progress() -> Generator[Callable[[str, float], None], None, None]:
    """A progress display that appears with the first report and vanishes at the end; where there is
    no terminal, a line for each kind of stage."""
    bars = Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
    )
    tasks: list[TaskID] = []
    stages: set[str] = set()

    def report(stage: str, fraction: float) -> None:
        if not errors.is_terminal:
            kind = stage.split()[0]  # of "compile 3/20 files" the first one
            if kind not in stages:
                errors.print(f"{stage} ...")
            stages.add(kind)
            return
        if not tasks:
            bars.start()
            tasks.append(bars.add_task(stage, total=1.0))
        bars.update(tasks[0], description=stage, completed=fraction)

    try:
        yield report
    finally:
        if tasks:
            bars.stop()
