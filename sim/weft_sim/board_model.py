# SPDX-License-Identifier: Apache-2.0
"""From a board to the compiled, cached library that simulates all of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from weft_rtl.boards.board import Board
from weft_sim.board_top import TOP, board_verilog
from weft_sim.model_cache import ArtifactCache, digest_of
from weft_sim.rtl_model import design_digest, machine_key, simulation_flags
from weft_sim.sdram_model import sdram_model_verilog
from weft_sim.toolchain import Progress, ToolchainError, find_compiler, find_verilator, silent
from weft_sim.verilator import ModelBuild, build_model

__all__ = ["compile_board"]

_HARNESS = Path(__file__).parent / "harness"
_LIBRARY = "board.so"
_CONTROL = """`verilator_config
public_flat_rw -module "*cpu*rom" -var "memory"
"""


def compile_board(
    board: Board, *, told_clock_hz: int | None = None, progress: Progress = silent
) -> Path:
    """The shared library with ``harness/board_harness.cpp``, built now if the cache has none.

    Raises:
        ToolchainError: a tool is missing or failed.
        CacheError: the cache folder cannot be written.
    """
    cache = ArtifactCache()
    tool, compiler = find_verilator(), find_compiler()
    parameters = (dataclasses.asdict(board), told_clock_hz, sdram_model_verilog())
    own = (Path(__file__).parent / "board_top.py").read_text()

    def generate(work: Path) -> None:
        progress("generate Verilog", 0.0)
        (work / "top.v").write_text(board_verilog(board, told_clock_hz=told_clock_hz))
        progress("generate Verilog", 1.0)

    digest = digest_of(design_digest(parameters), own)[:32]
    name = f"verilog-board-{board.name}-{board.preset}-{digest}"
    verilog = (cache.get_or_build(name, generate) / "top.v").read_text()
    flags = simulation_flags(compiler, trace=False)
    build = ModelBuild(
        verilog=verilog,
        top=TOP,
        harness=(_HARNESS / "board_harness.cpp",),
        flags=flags,
        control=_CONTROL,
        output=_LIBRARY,
    )

    def compile_into(work: Path) -> None:
        try:
            build_model(build, work, tool=tool, compiler=compiler, cache=cache, progress=progress)
        except ToolchainError as error:
            raise cache.explain_if_full() or error from error

    key = digest_of(build.key(tool, compiler), machine_key(flags))
    return cache.get_or_build(f"board-{key}", compile_into) / _LIBRARY
