# SPDX-License-Identifier: Apache-2.0
"""Runs the compiler: many files at once, and Verilator's run-time library once for all."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from weft_sim.model_cache import ArtifactCache, digest_of
from weft_sim.toolchain import CxxCompiler, ToolchainError, VerilatorTool

__all__ = ["RuntimeLibrary", "compile_files", "headers_of", "run_tool", "runtime_includes"]


def headers_of(folders: Iterable[Path]) -> list[bytes]:
    """The contents of every header in `folders`, for a key."""
    return [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.h"))]


def runtime_includes(tool: VerilatorTool) -> tuple[Path, Path]:
    """The folders of the headers that generated code includes."""
    return tool.include, tool.include / "vltstd"


class RuntimeLibrary:
    """The objects of Verilator's run-time library, one cache entry per set of flags."""

    def __init__(
        self,
        files: Sequence[Path],
        args: Sequence[str],
        includes: Sequence[Path],
        tool: VerilatorTool,
        compiler: CxxCompiler,
        cache: ArtifactCache,
    ) -> None:
        self._files = files
        self._args = [*args, *(f"-I{path}" for path in (*includes, *runtime_includes(tool)))]
        self._compiler = compiler
        self._cache = cache
        parts = [*args, tool.version, compiler.version, *(path.name for path in files)]
        self._name = f"runtime-{digest_of(*parts, *headers_of(includes))}"

    def missing(self) -> Sequence[Path]:
        """The files that are still to be compiled."""
        return () if self._cache.get(self._name) is not None else self._files

    def objects(self, jobs: int, count_one: Callable[[], None]) -> list[Path]:
        """The object files, compiled now if the cache has none."""

        def build(work: Path) -> None:
            units = [(path, self._args) for path in self._files]
            compile_files(self._compiler, units, work, jobs, count_one)

        return sorted(self._cache.get_or_build(self._name, build).glob("*.o"))


def compile_files(
    compiler: CxxCompiler,
    units: Iterable[tuple[Path, Sequence[str]]],
    into: Path,
    jobs: int,
    count_one: Callable[[], None],
) -> list[Path]:
    """Compile each of `units`, a source and its options, to an object file in the folder `into`.

    `count_one` is called as each is done, `jobs` run at once. The first failure is raised.
    """

    def one(source: Path, args: Sequence[str], target: Path) -> Path:
        command = [*compiler.command, *args, "-c", str(source), "-o", str(target)]
        run_tool(command, f"compile {source.name}")
        return target

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(one, src, args, into / f"{src.stem}.o") for src, args in units]
        try:
            for future in as_completed(futures):
                future.result()
                count_one()
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()


def run_tool(command: list[str], purpose: str, env: dict[str, str] | None = None) -> None:
    """Run `command`; if it fails, raise a ToolchainError that quotes the lines that say why."""
    try:
        run = subprocess.run(
            command, env=env, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise ToolchainError(f"Could not {purpose}: {command[0]}: {error.strerror}.") from error
    if run.returncode == 0:
        return
    lines = (run.stderr + run.stdout).splitlines()
    telling = [line for line in lines if "error" in line.lower() or "No space" in line] or lines
    detail = "\n".join(telling[:12])
    raise ToolchainError(f"Could not {purpose} (exit code {run.returncode}):\n{detail}")
