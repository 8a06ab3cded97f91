# SPDX-License-Identifier: Apache-2.0
"""Memory over the link: many requests at once, only what is new, checked, with progress."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from weft.link.flight import Ask
from weft.link.line import LinkError
from weft.link.session import LinkSession
from weft_arch.link import PAYLOAD_BYTES, Answer, LinkOpcode

__all__ = ["PIECE_BYTES", "Progress", "Transfer"]

Progress = Callable[[str, float], None]
PIECE_BYTES = 1 << 16
"""Bytes whose CRC-32 decides whether they are sent; smaller writes are sent as they are."""
_SHOWN_BYTES = 1 << 18
"""Transfers of fewer bytes make no progress report."""


class Transfer:
    """Reads and writes of any size in one session."""

    def __init__(self, session: LinkSession, progress: Progress | None) -> None:
        self._session = session
        self._progress = progress

    def read(self, address: int, size: int) -> NDArray[np.uint8]:
        """Bytes of memory."""
        asks = (
            Ask(opcode=LinkOpcode.READ_MEMORY, address=address + at, value=n)
            for at, n in _cut(size, PAYLOAD_BYTES)
        )
        answers = self._session.exchange(asks)
        shown = self._shown("read memory", answers, size)
        return np.frombuffer(b"".join(a.payload for a in shown), np.uint8).copy()

    def write(self, address: int, raw: bytes) -> None:
        """Write bytes; PIECE_BYTES or more only where the memory holds others, with a check
        afterwards; a `LinkError` if the memory does not hold them then."""
        if len(raw) < PIECE_BYTES:
            for ask in _writes(address, raw):
                self._session.post(ask)
            return
        missing = self._differing(address, raw, _cut(len(raw), PIECE_BYTES))
        total = sum(n for _, n in missing)
        asks = (
            ask for at, n in missing for ask in _writes(address + at, memoryview(raw)[at : at + n])
        )
        for _ in self._shown("send memory", self._session.exchange(asks), total):
            pass
        wrong = self._differing(address, raw, missing)
        if wrong:
            raise LinkError(
                f"The memory of the board at {self._session.line.name} does not hold what was "
                f"written to the {wrong[0][1]} bytes from {address + wrong[0][0]:#010x}."
            )

    def _differing(
        self, address: int, raw: bytes, pieces: Iterable[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """The pieces that the board's memory does not hold, by CRC-32."""
        view, kept = memoryview(raw), list(pieces)
        asks = (
            Ask(opcode=LinkOpcode.CHECK_MEMORY, address=address + at, value=n) for at, n in kept
        )
        answers = self._session.exchange(asks)
        return [
            (at, n)
            for (at, n), answer in zip(kept, answers, strict=True)
            if answer.value != zlib.crc32(view[at : at + n])
        ]

    def _shown(self, stage: str, answers: Iterator[Answer], size: int) -> Iterator[Answer]:
        """The same answers, with reports on the way."""
        if self._progress is None or size < _SHOWN_BYTES:
            yield from answers
            return
        line = self._session.line
        began, done, steps = line.now, 0, max(size // 200, PAYLOAD_BYTES)
        while group := list(islice(answers, -(-steps // PAYLOAD_BYTES))):
            yield from group
            done = min(done + len(group) * PAYLOAD_BYTES, size)
            rate = done / max(line.now - began, 1e-6)
            self._progress(f"{stage}, {rate / 1000:.0f} kB/s", done / size)


def _cut(size: int, piece: int) -> Iterator[tuple[int, int]]:
    """(first, size) of pieces."""
    return ((at, min(piece, size - at)) for at in range(0, size, piece))


def _writes(address: int, raw: bytes | memoryview) -> Iterator[Ask]:
    for at, n in _cut(len(raw), PAYLOAD_BYTES):
        payload = bytes(raw[at : at + n])
        yield Ask(opcode=LinkOpcode.WRITE_MEMORY, address=address + at, value=n, payload=payload)
