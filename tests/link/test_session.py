# SPDX-License-Identifier: Apache-2.0
"""The host's side against the far end in software: faults, speed, and what cannot be helped."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.link.loop_line import BYTES_PER_SECOND, LoopLine
from weft.link import LinkDevice, LinkError
from weft_arch import registers
from weft_arch.config import preset
from weft_arch.link import LinkOpcode
from weft_sim.reference import ReferenceDevice

TINY = preset("tiny")
SIZE = 1 << 18


def board() -> ReferenceDevice:
    return ReferenceDevice(TINY, memory_bytes=SIZE)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_thousand_faults_and_no_wrong_byte(seed: int) -> None:
    device = board()
    line = LoopLine(device, rate=1 / 2500, seed=seed)
    rng = random.Random(seed)
    expected = np.zeros(SIZE, np.uint8)
    writes = dict.fromkeys(("PROGRAM_BASE", "REGION_LIMIT"), 0)
    with LinkDevice(TINY, line) as remote:
        register_writes = line.far_end.executed[LinkOpcode.WRITE_REGISTER]
        done = 0
        while line.total_faults < 1000:
            at = rng.randrange(SIZE)
            size = min(rng.choice([1, 3, 1000, 5000, 30_000]), SIZE - at)
            match rng.randrange(4):
                case 0 | 1:
                    data = np.frombuffer(rng.randbytes(size), np.uint8)
                    remote.write_memory(at, data)
                    expected[at : at + size] = data
                case 2:
                    got = remote.read_memory(at, size)
                    np.testing.assert_array_equal(got, expected[at : at + size])
                case _:
                    name = rng.choice(list(writes))
                    writes[name] = rng.getrandbits(32)
                    remote.write_register(registers.offset(name), writes[name])
                    done += 1
                    for other, value in writes.items():
                        assert remote.read_register(registers.offset(other)) == value
        assert remote.statistics.repeats > 100
    np.testing.assert_array_equal(device.memory, expected)
    executed = line.far_end.executed[LinkOpcode.WRITE_REGISTER] - register_writes
    assert executed == done, "each write of a register is executed once"
    assert all(line.faults[0].faults.values()), "every kind of fault, towards the board"
    assert all(line.faults[1].faults.values()), "and back"


def test_nine_tenths_of_the_line_is_payload() -> None:
    device = board()
    line = LoopLine(device)
    with LinkDevice(TINY, line) as remote:
        data = np.frombuffer(random.Random(1).randbytes(SIZE), np.uint8)
        began, sent = line.now, line.sent_bytes
        remote.write_memory(0, data)
        wrote = line.now - began
        assert SIZE / (line.sent_bytes - sent) > 0.97
        began = line.now
        np.testing.assert_array_equal(remote.read_memory(0, SIZE), data)
        read = line.now - began
        assert remote.statistics.repeats == 0
    assert SIZE / wrote > 0.9 * BYTES_PER_SECOND
    assert SIZE / read > 0.9 * BYTES_PER_SECOND


def test_bytes_that_are_there_are_not_sent_again() -> None:
    device = board()
    line = LoopLine(device)
    stages: list[tuple[str, float]] = []
    with LinkDevice(TINY, line, progress=lambda s, f: stages.append((s, f))) as remote:
        data = np.frombuffer(random.Random(1).randbytes(SIZE), np.uint8).copy()
        remote.write_memory(0, data)
        assert stages[-1][1] == 1.0
        assert stages[-1][0].startswith("send memory, ")
        assert [f for _, f in stages] == sorted(f for _, f in stages)
        before = line.sent_bytes
        remote.write_memory(0, data)
        assert line.sent_bytes - before < 200
        data[100_000] ^= 1
        remote.write_memory(0, data)
        assert 1 << 16 < line.sent_bytes - before < 70_000
    np.testing.assert_array_equal(device.memory, data)


def test_a_memory_that_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    device = board()
    write = device.write_memory

    def forgets(address: int, raw: bytes) -> None:
        write(address, raw if address != 0x11000 else bytes(len(raw)))

    monkeypatch.setattr(device, "write_memory", forgets)
    with (
        LinkDevice(TINY, LoopLine(device)) as remote,
        pytest.raises(
            LinkError,
            match=r"^The memory of the board at loop does not hold what was written to the 65536 "
            r"bytes from 0x00010000\.$",
        ),
    ):
        remote.write_memory(0, b"\7" * SIZE)


def test_a_dead_board_is_noticed() -> None:
    line = LoopLine(board())
    remote = LinkDevice(TINY, line)
    line.dead = True
    began = line.now
    sentence = r"^The board at loop has not answered for \d\.\d s; is it switched on, and its "
    with pytest.raises(LinkError, match=sentence):
        remote.read_register(0)
    assert line.now - began < 2
    sent = line.sent_bytes
    with pytest.raises(LinkError, match=sentence):
        remote.wait()
    assert line.sent_bytes == sent, "it is not asked again"
    remote.close()
    assert line.closed


def test_nobody_there() -> None:
    line = LoopLine(board())
    line.dead = True
    with pytest.raises(LinkError, match=r"^The board at loop has not answered for "):
        LinkDevice(TINY, line)
    assert line.closed


def test_noise_is_named() -> None:
    line = LoopLine(board(), rate=0.5)
    line.faults[0].rate = 0  # only what comes back is damaged
    with pytest.raises(LinkError, match=r"right baud rate\?$|^The line to loop is too bad: "):
        LinkDevice(TINY, line)


def test_a_restart_is_noticed() -> None:
    line = LoopLine(board())
    remote = LinkDevice(TINY, line)
    line.restart()
    sentence = r"^The board at loop was restarted in the middle of its work; what was in its memory"
    with pytest.raises(LinkError, match=sentence):
        remote.read_memory(0, 4)


def test_a_host_that_starts_anew_is_understood() -> None:
    device = board()
    line = LoopLine(device)
    remote = LinkDevice(TINY, line)
    remote.write_memory(0, b"weft")
    remote.read_register(0)
    line.session += 1
    with LinkDevice(TINY, line) as again:
        assert again.read_memory(0, 4).tobytes() == b"weft"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"config": preset("default")},
            r"^The board at loop holds preset tiny, not default \([0-9a-f]{16}\)\.$",
        ),
        (
            {"memory_bytes": SIZE + 1},
            r"^The board at loop has 262144 bytes of memory; 262145 are needed\.$",
        ),
        (
            {"memory_base": 4096},
            r"^The memory of the board at loop begins at 0x0, not at 0x1000\.$",
        ),
    ],
)
def test_a_board_that_is_not_the_one_asked_for(changes: dict, sentence: str) -> None:
    line = LoopLine(board())
    with pytest.raises(LinkError, match=sentence):
        LinkDevice(**{"config": TINY, "line": line} | changes)
    assert line.closed


def test_registers_that_are_not_there() -> None:
    with LinkDevice(TINY, LoopLine(board())) as remote:
        sentence = r"^The board at loop answered with an error when reading register 0xff0\.$"
        with pytest.raises(LinkError, match=sentence):
            remote.read_register(0xFF0)
        remote.write_memory(0, b"still there")
        assert remote.read_memory(6, 5).tobytes() == b"there"
        with pytest.raises(ValueError, match="are outside the memory"):
            remote.read_memory(SIZE - 1, 2)
