# SPDX-License-Identifier: Apache-2.0
"""Frames and their contents: round trips, known bytes, and what damage does."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_arch.link import (
    PAYLOAD_BYTES,
    Answer,
    Identity,
    LinkFormatError,
    LinkOpcode,
    LinkStatus,
    Request,
)
from weft_arch.link_framing import FRAME_BYTES, Deframer, frame, stuff, unstuff


@pytest.mark.parametrize(
    ("raw", "coded"),
    [
        ("", "01"),
        ("00", "0101"),
        ("0000", "010101"),
        ("11", "0211"),
        ("1100", "021101"),
        ("0011", "010211"),
        ("11220033", "0311220233"),
        ("07" * 253, "fe" + "07" * 253),
        ("07" * 254, "ff" + "07" * 254 + "01"),
        ("07" * 254 + "00", "ff" + "07" * 254 + "0101"),
        ("07" * 255, "ff" + "07" * 254 + "0207"),
    ],
)
def test_stuffing_of_known_bytes(raw: str, coded: str) -> None:
    assert stuff(bytes.fromhex(raw)).hex() == coded
    assert unstuff(bytes.fromhex(coded)) == bytes.fromhex(raw)


@given(st.binary(max_size=700), st.integers(0, 3))
def test_stuffing_round_trips(raw: bytes, zeros: int) -> None:
    raw = raw + bytes(zeros) + raw
    coded = stuff(raw)
    assert 0 not in coded
    assert len(coded) <= len(raw) + len(raw) // 254 + 1
    assert unstuff(coded) == raw


@pytest.mark.parametrize("coded", ["00", "0111 00".replace(" ", ""), "0211 03 22".replace(" ", "")])
def test_what_is_cut_short_is_no_frame(coded: str) -> None:
    assert unstuff(bytes.fromhex(coded)) is None


def test_frames_are_found_in_pieces_and_after_garbage() -> None:
    rng = random.Random(1)
    contents = [rng.randbytes(rng.randrange(1, 600)) for _ in range(200)]
    line = b"".join(
        rng.randbytes(rng.randrange(30)) + b"\0" + frame(content) for content in contents
    )
    deframer, found, at = Deframer(), list[bytes](), 0
    while at < len(line):
        size = rng.randrange(1, 90)
        found += deframer.feed(line[at : at + size])
        at += size
    assert found == contents
    assert deframer.damaged > 50


def test_every_single_bit_error_is_noticed() -> None:
    good = frame(bytes(range(40)))
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert Deframer().feed(bytes(bad) + b"\0") == []


def test_a_line_without_zeros_takes_no_memory() -> None:
    deframer = Deframer()
    for _ in range(100):
        deframer.feed(b"\1" * 10_000)
    assert deframer.feed(b"\0" + frame(b"weft")) == [b"weft"]
    assert deframer.damaged == 1
    assert deframer.feed(frame(bytes(FRAME_BYTES))) == [], "longer than any request or answer"


def test_the_checksum_is_that_of_zlib() -> None:
    raw = unstuff(frame(b"123456789")[:-1])
    assert raw is not None
    assert raw[9:] == (0xCBF43926).to_bytes(4, "little")
    assert zlib.crc32(b"123456789") == 0xCBF43926


def test_requests_round_trip() -> None:
    plain = Request(
        sequence=255, tag=7, opcode=LinkOpcode.WAIT_INTERRUPT, address=0xDEADBEEF, value=1 << 31
    )
    assert plain.pack().hex() == "ff070600efbeadde00000080"
    full = Request(
        sequence=1,
        opcode=LinkOpcode.WRITE_MEMORY,
        value=PAYLOAD_BYTES,
        payload=bytes(PAYLOAD_BYTES),
    )
    for request in (plain, full):
        assert Request.unpack(request.pack()) == request
    for wrong in (b"", plain.pack()[:-1], plain.pack() + b"x", full.pack()[:-1]):
        with pytest.raises(LinkFormatError, match=r"^a request (has|with opcode) "):
            Request.unpack(wrong)


def test_answers_round_trip() -> None:
    answer = Answer(
        sequence=3, tag=4, opcode=2, status=LinkStatus.BUS_ERROR, value=0x01020304, payload=b"weft"
    )
    assert answer.pack().hex() == "030402" + b"weft".hex() + "0403020104"
    assert Answer.unpack(answer.pack()) == answer
    with pytest.raises(LinkFormatError, match=r"^an answer has 7 bytes; it has at least 8$"):
        Answer.unpack(answer.pack()[:7])
    with pytest.raises(LinkFormatError, match=r"^an answer has the unknown status 9$"):
        Answer.unpack(bytes(7) + b"\x09")


def test_identities_round_trip() -> None:
    identity = Identity(
        fingerprint=1 << 63,
        memory_base=0x4000_0000,
        memory_bytes=32 << 20,
        clock_hz=50_000_000,
        session=5,
        buffer_bytes=2048,
    )
    assert len(identity.pack()) == 32
    assert Identity.unpack(identity.pack()) == identity
    with pytest.raises(LinkFormatError, match=r"^an identity has 31 bytes; it has 32$"):
        Identity.unpack(identity.pack()[1:])
