# SPDX-License-Identifier: Apache-2.0
"""The pieces that generated C headers are made of."""

import struct
import textwrap
from enum import IntEnum, IntFlag

from weft_arch.generators.sources import member_docs, snake_case

__all__ = ["block", "commented", "define", "enumeration", "struct_fields"]

_LINE = 100


def define(name: str, value: int | str, doc: str = "") -> str:
    """A constant."""
    return commented(f"#define WEFT_{name} {value}", doc)


def commented(line: str, doc: str) -> str:
    """A line with its comment behind it, or above it where that would be too long."""
    if not doc:
        return line
    comment = f"/* {doc.replace('``', '').rstrip('.')} */"
    if len(line) + 1 + len(comment) <= _LINE:
        return f"{line} {comment}"
    indent = line[: len(line) - len(line.lstrip())]
    above = textwrap.fill(comment, _LINE, initial_indent=indent, subsequent_indent=f"{indent} * ")
    return f"{above}\n{line}"


def block(title: str, lines: list[str]) -> str:
    """Lines under a title."""
    return "\n".join([f"/* {title} */", *lines, ""])


def enumeration(kind: type[IntEnum] | type[IntFlag], *, hexadecimal: bool = False) -> str:
    """An enumeration, each member with its docstring."""
    docs, prefix = member_docs(kind), snake_case(kind.__name__)
    lines = [f"enum weft_{prefix} {{"]
    for member in kind:
        name = f"WEFT_{prefix.upper()}_{member.name}"
        value = f"{int(member):#04x}" if hexadecimal else f"{int(member)}"
        lines.append(commented(f"    {name} = {value},", docs[str(member.name)]))
    return "\n".join([*lines, "};", ""])


def struct_fields(
    prefix: str, fields: tuple[tuple[str, str, str], ...], first: int = 0
) -> list[str]:
    """Byte offsets of fields (name, `struct` format, meaning) that lie one behind the other."""
    lines: list[str] = []
    for name, code, doc in fields:
        lines.append(define(f"{prefix}_{name.upper()}_OFFSET", first, doc))
        first += struct.calcsize("<" + code)
    return lines
