# SPDX-License-Identifier: Apache-2.0
"""docs/link.md: what goes over the line between host and board."""

import inspect
import struct

from weft_arch import link, link_framing
from weft_arch.generators.sources import markdown, member_docs
from weft_arch.link import (
    ANSWER_HEAD,
    ANSWER_TAIL,
    IDENTITY_FIELDS,
    REQUEST_HEADER,
    LinkOpcode,
    LinkStatus,
)

__all__ = ["render"]

_USE = """
## Use

    weft generate "Once upon a time" -d serial:/dev/ttyUSB0
    weft generate "Once upon a time" -d tcp:board.local:7117
    python -m weft.link.server --device reference --preset default --tcp 127.0.0.1:7117

The first two run on a board, on a serial port or behind a network; the third serves a simulator in
the place of one, with `--firmware` one that has the board's CPU, too. Options stand behind a
question mark: `serial:/dev/ttyUSB0?baud=1000000`, and with `record=run.link` everything that goes
over the line is written to a file. `-d replay:run.link` gives it back to the same command later,
without a board: this is how to report what a board did.

Weights that are in the board's memory already are recognised by the CRC-32 of pieces of 64 KiB and
are not sent again. What was sent is checked the same way.
"""


def render() -> str:
    """The page."""
    parts = [
        "# The link",
        markdown(inspect.getdoc(link) or ""),
        _USE.strip(),
        "## Frames\n\n" + markdown(inspect.getdoc(link_framing) or ""),
        "## Requests\n\n" + _fields(REQUEST_HEADER),
        _members(LinkOpcode),
        "## Answers\n\nBefore the payload:\n\n" + _fields(ANSWER_HEAD),
        "Behind the payload:\n\n" + _fields(ANSWER_TAIL),
        _members(LinkStatus),
        "## Identity\n\nThe payload of the answer to `HELLO`:\n\n" + _fields(IDENTITY_FIELDS),
    ]
    return "\n\n".join(parts) + "\n"


def _fields(fields: tuple[tuple[str, str, str], ...]) -> str:
    rows, at = ["| offset | bytes | field | meaning |", "|---|---|---|---|"], 0
    for name, code, doc in fields:
        size = struct.calcsize("<" + code)
        rows.append(f"| {at} | {size} | `{name}` | {doc} |")
        at += size
    return "\n".join(rows)


def _members(kind: type[LinkOpcode] | type[LinkStatus]) -> str:
    docs = member_docs(kind)
    name = "opcode" if kind is LinkOpcode else "status"
    rows = [f"| {name} | name | meaning |", "|---|---|---|"]
    return "\n".join(rows + [f"| {int(m)} | `{m.name}` | {docs[m.name]} |" for m in kind])
