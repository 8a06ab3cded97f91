# SPDX-License-Identifier: Apache-2.0
"""Turns Verilog into native code with Verilator: verilate, compile, link.

Three things use it: the simulated device (a shared library, `weft_sim.rtl_device`), the cocotb
benches (an executable, `weft_sim.bench`), and any program that wants a model of its own. Each
source file is compiled by its own compiler process, so the progress is known file by file, and
the run-time library of Verilator is compiled once per set of flags and kept in the cache.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from weft_sim.model_cache import ArtifactCache, digest_of
from weft_sim.native_build import (
    RuntimeLibrary,
    compile_files,
    headers_of,
    run_tool,
    runtime_includes,
)
from weft_sim.toolchain import (
    CxxCompiler,
    Progress,
    ToolchainError,
    VerilatorTool,
    build_jobs,
    silent,
)

__all__ = ["BuildFlags", "ModelBuild", "build_model"]

PREFIX = "Vtop"
"""The C++ class of every verilated model."""

# Amaranth's Verilog is correct by construction; width and style lints only hide real messages.
_QUIET = ("-Wno-fatal", "-Wno-lint", "-Wno-style")
_BUILD_VERSION = 3  # part of every key: counts changes in this module that change its output
_UNITE_BELOW_BYTES = 300_000  # of generated C++
_CXX = ("-std=gnu++17", "-fPIC", "-faligned-new", "-w", "-DVERILATOR=1")


@dataclass(frozen=True, kw_only=True)
class BuildFlags:
    """How a model is built; everything here is part of its key in the cache.

    Members:
        verilator: options for Verilator beside the ones that name files.
        fast: compiler options for the hot files of the model and for the harness.
        slow: compiler options for what runs once: constructors, initial blocks, trace set-up.
        runtime: compiler options for Verilator's run-time library.
        link: linker options.
    """

    verilator: tuple[str, ...] = ()
    fast: tuple[str, ...] = ("-O3",)
    slow: tuple[str, ...] = ("-O0",)
    runtime: tuple[str, ...] = ("-O2",)
    link: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A text that differs whenever the flags do."""
        return repr((_BUILD_VERSION, _QUIET, _CXX, self))


@dataclass(frozen=True, kw_only=True)
class ModelBuild:
    """One model to build.

    Members:
        verilog: the Verilog text.
        top: the name of its top module.
        harness: C++ files to compile with ``Vtop.h`` in reach and to link with the model.
        defines: preprocessor macros for the harness.
        includes: folders for the harness.
        flags: how to build it.
        control: text of a Verilator control file (what to trace, what is public).
        output: the name of the file to make, in the folder given to `build_model`.
    """

    verilog: str
    top: str
    harness: tuple[Path, ...]
    defines: tuple[str, ...] = ()
    includes: tuple[Path, ...] = ()
    flags: BuildFlags = field(default_factory=BuildFlags)
    control: str = "`verilator_config\n"
    output: str

    def key(self, tool: VerilatorTool, compiler: CxxCompiler) -> str:
        """The digest of everything the result depends on, machine features not included."""
        sources = [path.read_bytes() for path in self.harness]
        folders = sorted({path.parent for path in self.harness} | set(self.includes))
        return digest_of(
            self.verilog,
            self.top,
            self.control,
            repr(self.defines),
            self.flags.key,
            tool.version,
            compiler.version,
            *sources,
            *headers_of(folders),
        )


def build_model(
    build: ModelBuild,
    work: Path,
    *,
    tool: VerilatorTool,
    compiler: CxxCompiler,
    cache: ArtifactCache,
    progress: Progress = silent,
    jobs: int | None = None,
) -> Path:
    """Build `build` and leave only its output in `work`.

    Stages reported to `progress`: ``verilate``, ``compile i/n files``, ``link``.

    Raises:
        ToolchainError: a tool failed; the message quotes the first lines that say why.
        CacheError: the folder for the run-time library cannot be written.
    """
    generated = work / "obj"
    generated.mkdir()
    progress("verilate", 0.0)
    sources = _verilate(build, work, tool)
    progress("verilate", 1.0)

    flags = build.flags
    include = [f"-I{path}" for path in (generated, *runtime_includes(tool), *build.includes)]
    macros = _runtime_macros(sources)
    fast = [*_CXX, *flags.fast, *macros, *include]
    slow = [*_CXX, *flags.slow, *macros, *include]
    fast += [f"-D{name}" for name in build.defines]
    slow_files = _listed(sources, "classes_slow", "support_slow")
    fast_files = _listed(sources, "classes_fast", "support_fast") + list(build.harness)
    everything = fast_files + slow_files
    if sum(path.stat().st_size for path in everything) < _UNITE_BELOW_BYTES:
        units = [(_unite(everything, generated / "all.cpp"), fast)]
    else:
        units = [(path, fast) for path in fast_files] + [(path, slow) for path in slow_files]
        # The largest file first, so that no core waits for it alone at the end.
        units.sort(key=lambda unit: -unit[0].stat().st_size)

    runtime_files = _listed(sources, "global")
    runtime_args = [*_CXX, *flags.runtime, *macros]
    runtime = RuntimeLibrary(runtime_files, runtime_args, build.includes, tool, compiler, cache)
    total = len(units) + len(runtime.missing())
    done = 0

    def count_one() -> None:
        nonlocal done
        done += 1
        progress(f"compile {done}/{total} files", done / total)

    progress(f"compile 0/{total} files", 0.0)
    objects = compile_files(compiler, units, generated, jobs or build_jobs(), count_one)
    objects += runtime.objects(jobs or build_jobs(), count_one)

    progress("link", 0.0)
    output = work / build.output
    run_tool(
        [*compiler.command, *map(str, objects), "-o", str(output), *flags.link], "link the model"
    )
    for path in sorted(generated.rglob("*")):
        path.unlink()
    generated.rmdir()
    (work / "top.v").unlink()
    (work / "top.vlt").unlink()
    progress("link", 1.0)
    return output


def _verilate(build: ModelBuild, work: Path, tool: VerilatorTool) -> dict:
    source = work / "top.v"
    source.write_text(build.verilog)
    control = work / "top.vlt"
    control.write_text(build.control)
    obj = work / "obj"
    command = [str(tool.binary), "--cc", "--make", "json", "--prefix", PREFIX, "--Mdir", str(obj)]
    command += ["--top-module", build.top, *_QUIET, *build.flags.verilator]
    command += [str(control), str(source)]
    run_tool(command, "verilate the design", env={**os.environ, "VERILATOR_ROOT": str(tool.root)})
    try:
        return json.loads((obj / f"{PREFIX}.json").read_text())
    except (OSError, ValueError) as error:  # it does not notice a full disk
        raise ToolchainError("Verilator did not finish writing its output.") from error


def _unite(sources: Iterable[Path], into: Path) -> Path:
    """One file that includes `sources`: for small models the headers are most of the work."""
    into.write_text("".join(f'#include "{path}"\n' for path in sources))
    return into


def _listed(sources: dict, *groups: str) -> list[Path]:
    return [Path(path) for group in groups for path in sources["sources"].get(group, [])]


def _runtime_macros(sources: dict) -> list[str]:
    options = sources["options"]
    values = {
        "VM_COVERAGE": options["coverage"],
        "VM_SC": options["system_c"],
        "VM_TIMING": options["use_timing"],
        "VM_TRACE": options["trace"],
        "VM_TRACE_FST": options["trace_fst"],
        "VM_TRACE_VCD": options["trace_vcd"],
        "VM_TRACE_SAIF": options["trace_saif"],
    }
    return [f"-D{name}={int(value)}" for name, value in values.items()]
