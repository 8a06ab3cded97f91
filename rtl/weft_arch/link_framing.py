# SPDX-License-Identifier: Apache-2.0
"""Frames on a line of bytes: CRC-32, zeros stuffed away, a zero at the end.

A frame is the bytes of a request or answer and their CRC-32 (that of Ethernet and zlib, low byte
first), encoded so that no byte of it is zero, then a zero. So a receiver that has lost its place
finds it again at the next zero, and an error never reaches beyond the next frame.

The encoding (consistent overhead byte stuffing) cuts the bytes at their zeros: each piece becomes
its length plus one, then the piece, and the zero behind it is left out. Of a piece of 254 bytes or
more the first 254 follow a 255, which stands for no zero. It costs a byte, and another for every
254 without a zero.
"""

import zlib

from weft_arch.link import PAYLOAD_BYTES, REQUEST_BYTES

__all__ = ["CRC_BYTES", "DELIMITER", "FRAME_BYTES", "Deframer", "frame", "stuff", "unstuff"]

DELIMITER = b"\0"
"""What ends a frame."""
CRC_BYTES = 4
"""Bytes of the CRC-32 behind the content of a frame."""
FRAME_BYTES = REQUEST_BYTES + PAYLOAD_BYTES + CRC_BYTES
"""Most bytes of a frame before stuffing."""
_PIECE = 254


def stuff(raw: bytes) -> bytes:
    """``raw`` without zeros."""
    pieces: list[bytes] = []
    for part in raw.split(b"\0"):
        rest = part
        while len(rest) >= _PIECE:
            pieces.append(b"\xff" + rest[:_PIECE])
            rest = rest[_PIECE:]
        pieces.append(bytes([len(rest) + 1]) + rest)
    return b"".join(pieces)


def unstuff(coded: bytes) -> bytes | None:
    """What was stuffed, or None if it is cut short or holds a zero."""
    raw = bytearray()
    at, size = 0, len(coded)
    while at < size:
        code = coded[at]
        end = at + code
        if code == 0 or end > size:
            return None
        raw += coded[at + 1 : end]
        at = end
        if code <= _PIECE and at < size:
            raw.append(0)
    return None if 0 in coded else bytes(raw)


def frame(content: bytes) -> bytes:
    """The frame that carries ``content``."""
    return stuff(content + zlib.crc32(content).to_bytes(CRC_BYTES, "little")) + DELIMITER


class Deframer:
    """Finds frames in what a line delivers.

    Members:
        damaged: pieces between two zeros that were no frame; empty ones are not counted.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._open = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The contents of the frames that ``data`` completes, those with a right CRC only."""
        *ended, rest = data.split(DELIMITER)
        contents: list[bytes] = []
        for piece in ended:
            self._open += piece
            content = _checked(bytes(self._open))
            if content is not None:
                contents.append(content)
            elif self._open:
                self.damaged += 1
            self._open.clear()
        self._open += rest[: 2 * FRAME_BYTES]
        if len(self._open) > 2 * FRAME_BYTES:  # no frame is that long: wait for the next zero
            del self._open[2 * FRAME_BYTES :]
        return contents


def _checked(coded: bytes) -> bytes | None:
    raw = unstuff(coded)
    if raw is None or not CRC_BYTES < len(raw) <= FRAME_BYTES:
        return None
    content, crc = raw[:-CRC_BYTES], raw[-CRC_BYTES:]
    return content if zlib.crc32(content).to_bytes(CRC_BYTES, "little") == crc else None
