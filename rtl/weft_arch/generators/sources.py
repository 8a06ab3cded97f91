# SPDX-License-Identifier: Apache-2.0
"""Docstrings that Python does not keep: those behind enumeration members and constants."""

import ast
import importlib
import inspect
import itertools
import re
import textwrap
from enum import IntEnum, IntFlag
from functools import cache

__all__ = [
    "constant_docs",
    "markdown",
    "member_docs",
    "member_table",
    "refilled",
    "snake_case",
    "table_cell",
]


@cache
def member_docs(enumeration: type[IntEnum] | type[IntFlag]) -> dict[str, str]:
    """The docstring behind each member of an enumeration, "" where there is none."""
    (node,) = ast.parse(inspect.getsource(enumeration)).body
    assert isinstance(node, ast.ClassDef)
    return dict.fromkeys(enumeration.__members__, "") | _following_docs(node.body)


@cache
def constant_docs(module_name: str) -> dict[str, str]:
    """The docstring behind each documented integer constant of a module."""
    module = importlib.import_module(module_name)
    docs = _following_docs(ast.parse(inspect.getsource(module)).body)
    return {name: doc for name, doc in docs.items() if isinstance(getattr(module, name), int)}


def _following_docs(body: list[ast.stmt]) -> dict[str, str]:
    """Names assigned in ``body`` whose next statement is a string."""
    docs: dict[str, str] = {}
    for statement, following in itertools.pairwise(body):
        match statement, following:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = " ".join(text.split())
            case _:
                pass
    return docs


def member_table(enumeration: type[IntEnum] | type[IntFlag]) -> str:
    """A Markdown table of an enumeration's members: as the assembler writes them, or bits."""
    docs = member_docs(enumeration)
    flags = issubclass(enumeration, IntFlag)
    rows = [f"| {'bit' if flags else 'value'} | name |", "|---|---|"]
    for member in enumeration:
        value = int(member).bit_length() - 1 if flags else int(member)
        rows.append(f"| {value} | `{member.name}` |")
    if any(docs.values()):
        meanings = ["meaning |", "---|", *(f"{table_cell(d)} |" for d in docs.values())]
        rows = [
            row + ("" if row.endswith("-|") else " ") + meaning
            for row, meaning in zip(rows, meanings, strict=True)
        ]
    return "\n".join(rows)


def refilled(text: str) -> str:
    """Markdown whose paragraphs are wrapped anew; code, tables, lists and headings stay."""
    parts = text.strip().split("\n\n")
    kept = ("```", "|", "#", "1.", "- ")
    return "\n\n".join(
        p if p.startswith(kept) else textwrap.fill(" ".join(p.split()), 100, break_on_hyphens=False)
        for p in parts
    )


def table_cell(text: str) -> str:
    """Text that may stand in a cell of a Markdown table."""
    return text.replace("``", "`").replace("|", "\\|")


def snake_case(name: str) -> str:
    """``VectorOp`` as ``vector_op``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def markdown(docstring: str) -> str:
    """A docstring as Markdown: indented blocks become fenced ones, ``x`` becomes `x`."""
    lines: list[str] = []
    fenced = False
    for line in inspect.cleandoc(docstring).splitlines():
        indented = line.startswith("    ")
        if indented and not fenced:
            lines.append("```")
        if fenced and line and not indented:
            lines[-1:] = ["```", ""] if lines[-1] == "" else [lines[-1], "```"]
        fenced = indented or (fenced and not line)
        if fenced:
            lines.append(line[4:])
        else:
            lines.append(re.sub(r"::$", ":", line.replace("``", "`")))
    if fenced:
        lines.append("```")
    return "\n".join(lines)
