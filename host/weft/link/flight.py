# SPDX-License-Identifier: Apache-2.0
"""What a session asks, and what becomes of it on its way."""

from dataclasses import dataclass

from weft.link.line import LinkError
from weft_arch.link import Answer, LinkOpcode, LinkStatus, Request

__all__ = ["HAS_EFFECT", "SLOW", "Ask", "Flight", "error_of"]

HAS_EFFECT = frozenset((LinkOpcode.WRITE_MEMORY, LinkOpcode.WRITE_REGISTER, LinkOpcode.RESET))
"""Requests that must not overtake a READ_MEMORY that may have to be executed again."""
SLOW = frozenset((LinkOpcode.WAIT_INTERRUPT, LinkOpcode.CHECK_MEMORY))
"""Requests behind which others wait in the board's receive buffer."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request that has no number yet; see `weft_arch.link.Request`."""

    opcode: LinkOpcode
    address: int = 0
    value: int = 0
    payload: bytes = b""


@dataclass
class Flight:
    """A request that was sent.

    Members:
        request: as it was last sent.
        wanted: somebody waits for the answer.
        order: counts what is sent, again or not; a later one has a greater number.
        answer: None until it has come.
    """

    request: Request
    wanted: bool
    order: int
    answer: Answer | None = None


def error_of(flight: Flight, name: str) -> LinkError | None:
    """The sentence for an answer that is not OKAY."""
    request, answer = flight.request, flight.answer
    if answer is None or answer.status == LinkStatus.OKAY:
        return None
    if request.opcode in (LinkOpcode.READ_REGISTER, LinkOpcode.WRITE_REGISTER):
        what = f"register {request.address:#05x}"
    else:
        what = f"the {request.value} bytes of memory from {request.address:#010x}"
    verb = (
        "writing"
        if request.opcode in (LinkOpcode.WRITE_MEMORY, LinkOpcode.WRITE_REGISTER)
        else "reading"
    )
    how = (
        "answered with an error" if answer.status == LinkStatus.BUS_ERROR else "refused the request"
    )
    return LinkError(f"The board at {name} {how} when {verb} {what}.")
