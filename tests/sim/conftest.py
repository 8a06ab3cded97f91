# SPDX-License-Identifier: Apache-2.0
"""Compiled copies of the copy engine, one per variant, kept in the project's build folder."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from weft_sim.model_cache import ArtifactCache
from weft_sim.rtl_model import compile_design

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def copy_engine_library() -> Callable[..., Path]:
    """``library(beat_bytes=8, bug="", trace=False)``: the compiled copy engine."""
    spec = importlib.util.spec_from_file_location(
        "copy_engine", Path(__file__).with_name("copy_engine.py")
    )
    assert spec is not None
    assert spec.loader is not None
    copy_engine = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy_engine)
    cache = ArtifactCache(_ROOT / "build" / "models")

    @functools.cache
    def library(beat_bytes: int = 8, bug: str = "", *, trace: bool = False) -> Path:
        verilog = copy_engine.copy_engine_verilog(beat_bytes, bug)
        return compile_design(verilog, beat_bytes=beat_bytes, trace=trace, cache=cache)

    return library
