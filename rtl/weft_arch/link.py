# SPDX-License-Identifier: Apache-2.0
"""The link between host and board: requests, answers, and the rules that both sides keep.

The host asks, the board answers. Both travel in frames over a line of bytes that may lose, change
or insert bytes but keeps their order; see `weft_arch.link_framing`. All numbers are little endian.

A request is its header (`REQUEST_HEADER`), then the payload, of `value` bytes for WRITE_MEMORY and
none for the others. An answer is its head (`ANSWER_HEAD`), the payload, and its tail
(`ANSWER_TAIL`); what is known only at the end stands at the end.

The board executes requests in the order of their sequence numbers, modulo 256, each once. It
expects one number; of a request with

- the expected number, it does what is asked, and expects the next number;
- one of the `WINDOW` numbers before, it repeats the answer. Status and value of the last `WINDOW`
  requests are remembered for that. Only READ_MEMORY is executed again, which changes nothing;
- any other number, it does nothing, and answers OUT_OF_ORDER with the number that it expects.

HELLO is apart: it begins a session and may have any number, and the next one is expected then. A
HELLO with the `address` of the session that there is, is answered and changes nothing. A board that
has just been switched on answers NO_SESSION to everything else.

The host keeps three rules. At most `WINDOW` requests are unanswered, counted from the oldest. No
request with an effect is sent while a READ_MEMORY is unanswered, because that one might have to be
executed again after it. Behind a request that takes its time (WAIT_INTERRUPT, CHECK_MEMORY), what
is sent fits the board's receive buffer.

`tag` names an attempt: the host counts it up when it sends requests again, the board returns it.
So an OUT_OF_ORDER that belongs to an earlier attempt is known and ignored.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "ANSWER_BYTES",
    "ANSWER_HEAD",
    "ANSWER_TAIL",
    "IDENTITY_FIELDS",
    "PAYLOAD_BYTES",
    "REQUEST_BYTES",
    "REQUEST_HEADER",
    "RESET_CYCLES",
    "VERSION",
    "WINDOW",
    "Answer",
    "Identity",
    "LinkFormatError",
    "LinkOpcode",
    "LinkStatus",
    "Request",
]

VERSION = 1
"""Version of the link's protocol."""
WINDOW = 16
"""Most requests that may be unanswered, and answers that the board remembers."""
PAYLOAD_BYTES = 1024
"""Most bytes of memory in one request or answer."""
RESET_CYCLES = 16
"""Clock cycles for which RESET holds the accelerator's reset input."""


class LinkFormatError(ValueError):
    """Bytes that are no request, answer or identity; the message says why."""


class LinkOpcode(IntEnum):
    """What a request asks for."""

    HELLO = 1
    """begin the session named by address; the payload of the answer is the board's identity"""
    READ_MEMORY = 2
    """value bytes from address, any alignment, at most 1024: the payload of the answer"""
    WRITE_MEMORY = 3
    """write the value bytes of payload at address, any alignment, at most 1024; answered when the
    memory has acknowledged them"""
    READ_REGISTER = 4
    """the answer's value is the register at address"""
    WRITE_REGISTER = 5
    """write value to the register at address; answered when it has been written"""
    WAIT_INTERRUPT = 6
    """wait until the interrupt is high, for at most value clock cycles, and no longer than until
    another request has arrived; the answer's value is 1 if the interrupt is high, else 0"""
    CHECK_MEMORY = 7
    """the answer's value is the CRC-32 of the value bytes from address"""
    RESET = 8
    """hold the accelerator's reset input; memory and session stay"""


class LinkStatus(IntEnum):
    """How a request went: the status of its answer."""

    OKAY = 0
    """done"""
    OUT_OF_ORDER = 1
    """not done: another sequence number is expected, the value of the answer"""
    NO_SESSION = 2
    """not done: there was no HELLO since the board was switched on"""
    BAD_REQUEST = 3
    """not done: the opcode is unknown, or more than 1024 bytes were asked for"""
    BUS_ERROR = 4
    """the memory or register bus answered with an error; what was read is not to be used"""


REQUEST_HEADER = (
    ("sequence", "B", "number of the request, modulo 256"),
    ("tag", "B", "the attempt, returned in the answer"),
    ("opcode", "B", "what is asked for"),
    ("reserved", "x", "zero"),
    ("address", "I", "byte address in memory, offset of a register, or name of the session"),
    ("value", "I", "bytes, register value or cycles"),
)
"""Name, `struct` format and meaning of the fields before a request's payload."""
ANSWER_HEAD = (
    ("sequence", "B", "number of the request that is answered"),
    ("tag", "B", "its tag"),
    ("opcode", "B", "its opcode"),
)
"""The fields before an answer's payload."""
ANSWER_TAIL = (
    ("value", "I", "register value, CRC-32, level of the interrupt, expected number, or 0"),
    ("status", "B", "how it went"),
)
"""The fields behind an answer's payload."""
IDENTITY_FIELDS = (
    ("version", "H", "version of the link's protocol"),
    ("payload_bytes", "H", "most bytes of memory in one request or answer"),
    ("buffer_bytes", "H", "size of the receive buffer: requests with payload and CRC"),
    ("window", "H", "answers that are remembered"),
    ("fingerprint", "Q", "fingerprint of the accelerator's configuration"),
    ("memory_base", "I", "address of the first byte of memory"),
    ("memory_bytes", "I", "bytes of memory"),
    ("clock_hz", "I", "the clock whose cycles WAIT_INTERRUPT counts"),
    ("session", "I", "name of the session, from HELLO"),
)
"""The payload of the answer to HELLO."""


def _struct(fields: tuple[tuple[str, str, str], ...]) -> struct.Struct:
    return struct.Struct("<" + "".join(code for _, code, _ in fields))


_REQUEST, _HEAD, _TAIL = _struct(REQUEST_HEADER), _struct(ANSWER_HEAD), _struct(ANSWER_TAIL)
_IDENTITY = _struct(IDENTITY_FIELDS)
REQUEST_BYTES = _REQUEST.size
"""Bytes of a request without payload and CRC."""
ANSWER_BYTES = _HEAD.size + _TAIL.size
"""Bytes of an answer without payload and CRC."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the host sends, without its CRC; see `REQUEST_HEADER`. `opcode` is any byte: the board
    answers those that it does not know."""

    sequence: int
    opcode: int
    tag: int = 0
    address: int = 0
    value: int = 0
    payload: bytes = b""

    def pack(self) -> bytes:
        """Its bytes."""
        header = _REQUEST.pack(self.sequence, self.tag, self.opcode, self.address, self.value)
        return header + self.payload

    @staticmethod
    def unpack(raw: bytes) -> "Request":
        """A request from its bytes; a `LinkFormatError` if their number does not fit."""
        if len(raw) < REQUEST_BYTES:
            raise LinkFormatError(f"a request has {len(raw)} bytes; it has at least 12")
        sequence, tag, opcode, address, value = _REQUEST.unpack_from(raw)
        payload = raw[REQUEST_BYTES:]
        expected = value if opcode == LinkOpcode.WRITE_MEMORY else 0
        if len(payload) != expected or expected > PAYLOAD_BYTES:
            raise LinkFormatError(
                f"a request with opcode {opcode} has {len(payload)} bytes of payload; it must "
                f"have {min(expected, PAYLOAD_BYTES)}"
            )
        return Request(
            sequence=sequence,
            opcode=opcode,
            tag=tag,
            address=address,
            value=value,
            payload=payload,
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the board sends, without its CRC; see `ANSWER_HEAD` and `ANSWER_TAIL`."""

    sequence: int
    opcode: int
    tag: int = 0
    status: LinkStatus = LinkStatus.OKAY
    value: int = 0
    payload: bytes = b""

    def pack(self) -> bytes:
        """Its bytes."""
        head = _HEAD.pack(self.sequence, self.tag, self.opcode)
        return head + self.payload + _TAIL.pack(self.value, self.status)

    @staticmethod
    def unpack(raw: bytes) -> "Answer":
        """An answer from its bytes; a `LinkFormatError` if they are too few or the status is
        unknown."""
        if len(raw) < ANSWER_BYTES:
            raise LinkFormatError(f"an answer has {len(raw)} bytes; it has at least 8")
        sequence, tag, opcode = _HEAD.unpack_from(raw)
        value, status = _TAIL.unpack_from(raw, len(raw) - _TAIL.size)
        if status not in set(LinkStatus):
            raise LinkFormatError(f"an answer has the unknown status {status}")
        return Answer(
            sequence=sequence,
            opcode=opcode,
            tag=tag,
            status=LinkStatus(status),
            value=value,
            payload=raw[_HEAD.size : len(raw) - _TAIL.size],
        )


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a board says about itself; see `IDENTITY_FIELDS`."""

    fingerprint: int
    memory_base: int
    memory_bytes: int
    clock_hz: int
    session: int
    buffer_bytes: int
    version: int = VERSION
    payload_bytes: int = PAYLOAD_BYTES
    window: int = WINDOW

    def pack(self) -> bytes:
        """Its bytes."""
        return _IDENTITY.pack(*(getattr(self, name) for name, _, _ in IDENTITY_FIELDS))

    @staticmethod
    def unpack(raw: bytes) -> "Identity":
        """An identity from its bytes; a `LinkFormatError` if their number is wrong."""
        if len(raw) != _IDENTITY.size:
            raise LinkFormatError(f"an identity has {len(raw)} bytes; it has {_IDENTITY.size}")
        names = (name for name, _, _ in IDENTITY_FIELDS)
        return Identity(**dict(zip(names, _IDENTITY.unpack(raw), strict=True)))
