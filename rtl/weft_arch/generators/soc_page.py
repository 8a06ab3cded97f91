# SPDX-License-Identifier: Apache-2.0
"""docs/soc.md: the board's CPU, its memory map and registers."""

import inspect

from weft_arch import soc
from weft_arch.generators.sources import markdown, member_table, refilled
from weft_arch.registers import Access
from weft_arch.soc import MEMORY_MAP, SOC_REGISTERS, BootStage, CpuControl, SocInterrupt

__all__ = ["render"]

_ACCESS = {Access.READ_ONLY: "read", Access.READ_WRITE: "read, write"}
_KINDS = (CpuControl, SocInterrupt, BootStage)


def render() -> str:
    """The page."""
    introduction = markdown(inspect.getdoc(soc) or "")
    introduction = introduction.replace("`weft_arch.registers`", "[registers](registers.md)")
    introduction = refilled(introduction.replace("`LINK_BASE`", f"{soc.LINK_BASE:#x}"))
    parts = ["# The board's CPU", introduction, "## Memory map\n\n" + _map()]
    parts.append(
        f"## Registers\n\nA window of {soc.SOC_WINDOW_BYTES:#x} bytes; offsets are in bytes.\n\n"
        + _registers()
    )
    for kind in _KINDS:
        parts.append(f"## {kind.__name__}\n\n{inspect.getdoc(kind)}\n\n{member_table(kind)}")
    return "\n\n".join(parts) + "\n"


def _map() -> str:
    rows = ["| from | to | area | what |", "|---|---|---|---|"]
    for a in MEMORY_MAP:
        last = a.base + a.bytes - 1
        rows.append(f"| 0x{a.base:08x} | 0x{last:08x} | `{a.name}` | {a.doc} |")
    return "\n".join(rows)


def _registers() -> str:
    rows = ["| offset | register | access | meaning |", "|---|---|---|---|"]
    for r in SOC_REGISTERS.values():
        doc = r.doc
        for kind in _KINDS:
            name = kind.__name__
            doc = doc.replace(name, f"[{name}](#{name.lower()})")
        rows.append(f"| {r.offset:#04x} | `{r.name}` | {_ACCESS[r.access]} | {doc} |")
    return "\n".join(rows)
