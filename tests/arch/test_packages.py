# SPDX-License-Identifier: Apache-2.0
"""Names and directions that hold in all four packages."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "weft_arch": ROOT / "rtl" / "weft_arch",
    "weft_rtl": ROOT / "rtl" / "weft_rtl",
    "weft_sim": ROOT / "sim" / "weft_sim",
    "weft": ROOT / "host" / "weft",
}
FORBIDDEN = {
    "weft_arch": ("weft_rtl", "weft_sim", "weft", "amaranth"),
    "weft_rtl": ("weft_sim", "weft"),
    "weft_sim.reference": ("weft_rtl", "weft", "amaranth"),
    "weft_sim": ("weft",),
    "weft": ("weft_rtl", "weft_sim", "amaranth"),
}
"""What the modules of a package may not import; the longest name that fits a module counts."""


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *(p for p in parts if p != "__init__")))
            yield name, path


MODULES = dict(modules())


def imported(name: str, path: Path) -> Iterator[str]:
    """Absolute names of everything that a module imports anywhere in its text."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def public_names(name: str) -> list[str]:
    """What ``__all__`` lists, without importing a module that has none."""
    for node in ast.parse(MODULES[name].read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                return list(importlib.import_module(name).__all__)
            case _:
                pass
    return []


def test_all_modules_are_found() -> None:
    assert {"weft_arch.isa", "weft_rtl", "weft_sim.reference", "weft.cli.app"} <= set(MODULES)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_in_the_right_direction(package: str) -> None:
    wrong = [
        f"{name} imports {target}"
        for name, path in MODULES.items()
        if max((p for p in FORBIDDEN if inside(name, p)), key=len) == package
        for target in imported(name, path)
        if any(inside(target, forbidden) for forbidden in FORBIDDEN[package])
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_in_all_resolves(package: str) -> None:
    missing = [
        f"{name}.{public}"
        for name in MODULES
        if inside(name, package)
        for public in public_names(name)
        if not hasattr(importlib.import_module(name), public)
    ]
    assert missing == []


def test_every_module_begins_with_its_licence() -> None:
    licence = "# SPDX-License-Identifier: Apache-2.0\n"
    assert [n for n, path in MODULES.items() if not path.read_text().startswith(licence)] == []
