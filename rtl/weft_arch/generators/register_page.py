# SPDX-License-Identifier: Apache-2.0
"""docs/registers.md: what a driver writes and reads."""

import inspect

from weft_arch import registers
from weft_arch.generators.sources import constant_docs, member_table, refilled
from weft_arch.isa import N_SCALARS
from weft_arch.registers import (
    COUNTERS,
    REGISTERS,
    Access,
    Control,
    EngineState,
    Fault,
    Interrupt,
    Status,
)

__all__ = ["render"]

_ACCESS = {Access.READ_ONLY: "read", Access.READ_WRITE: "read, write", Access.WRITE_ONLY: "write"}

_RUNNING = """
## Running a program

1. Check `ID`, the upper half of `VERSION`, and that the fingerprint is the one that the program was
   made for (`FINGERPRINT_LOW`, `FINGERPRINT_HIGH`).
2. Write the program and its data to memory. Set `PROGRAM_BASE` and `PROGRAM_LENGTH`; set the window
   that the device may read (`REGION_BASE`, `REGION_LIMIT`) and the one that it may write
   (`WRITE_BASE`, `WRITE_LIMIT`). Nothing outside them is ever touched.
3. Write the scalar registers that the program expects. They keep their values from run to run, so
   a decode step writes only what has changed.
4. Write `START` to `CONTROL`. The device is done when `STATUS` says `DONE` or `FAULT`; with
   `INTERRUPT_ENABLE` set it raises its interrupt.
5. After a fault read `FAULT_CAUSE` and `FAULT_ADDRESS` and write `RESET`. Reset is complete when
   `RESETTING` is 0; the next program then runs as if nothing had happened.
"""

_COUNTING = """
## Counters

64 bits each: the low word at the offset below, the high word 4 bytes on (`CYCLES_LOW`,
`CYCLES_HIGH`). Reading the low word latches the high one. Counters run on from program to program
until `CLEAR_COUNTERS`.
"""


def render() -> str:
    """The page."""
    beyond = constant_docs(registers.__name__)["WINDOW_BYTES"].partition("; ")[2]
    introduction = refilled(
        f"The host controls weft through a window of {registers.WINDOW_BYTES:#x} bytes on its "
        "AXI4-Lite port. All registers are 32 bits wide; offsets are in bytes. "
        + beyond[0].upper()
        + beyond[1:]
    )
    parts = ["# Registers", introduction, _RUNNING.strip(), "## All registers\n\n" + _table()]
    for kind in (Control, Status, Interrupt, Fault, EngineState):
        parts.append(f"## {kind.__name__}\n\n{inspect.getdoc(kind)}\n\n{member_table(kind)}")
    parts.append(_COUNTING.strip() + "\n\n" + _counters())
    return "\n\n".join(parts) + "\n"


def _table() -> str:
    scalars = [f"SCALAR_{i}" for i in range(N_SCALARS)]
    counters = [f"{name}_{half}" for name in COUNTERS for half in ("LOW", "HIGH")]
    rows = ["| offset | register | access | meaning |", "|---|---|---|---|"]
    for r in REGISTERS.values():
        if r.name == scalars[0]:
            doc = f"scalar registers S0 to S{N_SCALARS - 1}, written while idle; S0 reads as 0"
            rows.append(_row(scalars, doc))
        elif r.name == counters[0]:
            rows.append(_row(counters, "see [Counters](#counters)"))
        elif r.name not in scalars and r.name not in counters:
            rows.append(_row([r.name], _linked(r.doc)))
    return "\n".join(rows)


def _row(names: list[str], doc: str) -> str:
    first, last = REGISTERS[names[0]], REGISTERS[names[-1]]
    offset, name = f"{first.offset:#05x}", f"`{first.name}`"
    if first is not last:
        offset, name = f"{offset} to {last.offset:#05x}", f"{name} to `{last.name}`"
    return f"| {offset} | {name} | {_ACCESS[first.access]} | {doc} |"


def _linked(doc: str) -> str:
    for kind in (Control, Status, Interrupt, Fault, EngineState):
        name = kind.__name__
        doc = doc.replace(f"see {name}", f"see [{name}](#{name.lower()})")
    return doc


def _counters() -> str:
    rows = ["| offset | counter | what it counts |", "|---|---|---|"]
    for name, doc in COUNTERS.items():
        rows.append(f"| {registers.counter_offset(name):#05x} | `{name}` | {doc} |")
    return "\n".join(rows)
