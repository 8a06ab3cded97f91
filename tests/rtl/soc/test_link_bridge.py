# SPDX-License-Identifier: Apache-2.0
"""The link's gateware against the host's own session, with and without faults."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from cocotb.task import bridge

from weft.link import LinkDevice, LinkError
from weft_arch import registers
from weft_arch.config import preset
from weft_arch.link import LinkOpcode, LinkStatus, Request
from weft_arch.link_framing import Deframer, frame
from weft_rtl.soc.link_bridge import LinkBridge
from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb

sys.path.insert(0, str(Path(__file__).parent))  # benches run in a process of their own
from link_bench import CLOCK_HZ, MEMORY_BYTES, PROGRAM_CYCLES, Board

TINY = preset("tiny")


def work(board: Board, seed: int, steps: int, *, largest: int = 3000) -> LinkDevice:
    """Random accesses, each compared with what it must be."""
    rng = random.Random(seed)
    expected = board.memory.data.copy()
    remote = LinkDevice(TINY, board.line)
    plain = registers.offset("PROGRAM_BASE")
    for count in range(1, steps + 1):
        at = rng.randrange(MEMORY_BYTES)
        size = min(rng.choice([0, 1, 7, 8, 9, 255, 1024, 3000]), largest, MEMORY_BYTES - at)
        data = np.frombuffer(rng.randbytes(size), np.uint8).copy()
        data[: size // 3] = 0
        remote.write_memory(at, data)
        expected[at : at + size] = data
        at = rng.randrange(MEMORY_BYTES - largest)
        got = remote.read_memory(at, rng.randrange(largest))
        np.testing.assert_array_equal(got, expected[at : at + got.size])
        remote.write_register(plain, value := rng.getrandbits(32))
        assert remote.read_register(plain) == value
        assert board.registers.writes[plain] == count, "a register is written once per request"
    np.testing.assert_array_equal(board.memory.data, expected)
    return remote


@bench_test(deadline_cycles=400_000)
async def does_what_is_asked(bench: Bench) -> None:
    board = Board(bench, TINY)
    board.memory.data[:] = np.frombuffer(random.Random(5).randbytes(MEMORY_BYTES), np.uint8)

    def host() -> None:
        remote = work(board, bench.seed, 12)
        assert remote.statistics.repeats == 0
        assert remote.statistics.damaged == 0
        remote.start()
        assert remote.wait() >= PROGRAM_CYCLES
        assert board.registers.runs == 1
        with pytest.raises(LinkError, match=r"error when reading register 0xffc\.$"):
            remote.read_register(0xFFC)
        remote.power_cycle()
        remote.close()

    await bridge(host)()


@bench_test(deadline_cycles=1_000_000)
async def sends_only_what_is_new(bench: Bench) -> None:
    board = Board(bench, TINY)

    def host() -> None:
        remote = LinkDevice(TINY, board.line)
        data = np.frombuffer(random.Random(6).randbytes(MEMORY_BYTES), np.uint8)
        remote.write_memory(0, data)
        np.testing.assert_array_equal(board.memory.data, data)
        writes = len(board.memory.writes)
        remote.write_memory(0, data)
        assert len(board.memory.writes) == writes
        board.memory.data[777] ^= 4
        remote.write_memory(0, data)
        assert len(board.memory.writes) > writes
        np.testing.assert_array_equal(board.memory.data, data)

    await bridge(host)()


@bench_test(deadline_cycles=3_000_000)
async def survives_faults(bench: Bench) -> None:
    board = Board(bench, TINY, rate=1 / 1000)

    def host() -> None:
        remote = work(board, bench.seed, 100, largest=300)
        for run in range(1, 10):
            remote.start()
            remote.wait()
            assert board.registers.runs == run, "a program is started once per request"
        assert board.line.total_faults >= 30
        assert remote.statistics.repeats > 10

    await bridge(host)()


@bench_test(deadline_cycles=100_000)
async def keeps_the_rules(bench: Bench) -> None:
    board_driver, monitor = StreamDriver(bench, "i"), StreamMonitor(bench, "o")
    bench.dut.i_irq.value = 0
    deframer = Deframer()
    at = 0

    async def ask(request: Request) -> bytes:
        nonlocal at
        board_driver.send_all(frame(request.pack()))
        while True:
            await bench.cycles(20)
            data = bytes(monitor.received[at:])
            at = len(monitor.received)
            if found := deframer.feed(data):
                return found[0]

    def wait(sequence: int, tag: int = 0, value: int = 0) -> Request:
        opcode = LinkOpcode.WAIT_INTERRUPT
        return Request(sequence=sequence, tag=tag, opcode=opcode, value=value)

    async def status(request: Request) -> tuple[int, int]:
        raw = await ask(request)
        assert raw[:3] == bytes([request.sequence, request.tag, request.opcode])
        return raw[-1], int.from_bytes(raw[-5:-1], "little")

    assert await status(wait(0)) == (LinkStatus.NO_SESSION, 0)
    identity = await ask(Request(sequence=250, opcode=LinkOpcode.HELLO, address=0xCAFE))
    assert len(identity) == 40
    assert identity[31:35] == (0xCAFE).to_bytes(4, "little")
    bench.dut.i_irq.value = 1
    assert await status(wait(251)) == (LinkStatus.OKAY, 1)
    bench.dut.i_irq.value = 0
    assert await status(wait(251, tag=9)) == (LinkStatus.OKAY, 1), "remembered"
    assert await status(wait(253)) == (LinkStatus.OUT_OF_ORDER, 252)
    await ask(Request(sequence=3, opcode=LinkOpcode.HELLO, address=0xCAFE))
    assert await status(wait(252, value=100)) == (LinkStatus.OKAY, 0), "the session is the same"
    unknown = Request(sequence=253, opcode=99)
    assert await status(unknown) == (LinkStatus.BAD_REQUEST, 0)
    too_long = Request(sequence=254, opcode=LinkOpcode.READ_MEMORY, value=1025)
    assert await status(too_long) == (LinkStatus.BAD_REQUEST, 0)
    # A second request ends the waiting of the first.
    board_driver.send_all(frame(wait(255, value=1 << 31).pack()))
    await bench.cycles(500)
    assert len(monitor.received) == at
    assert await status(wait(255, value=1 << 31)) == (LinkStatus.OKAY, 0)


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize(
    "name", ["does_what_is_asked", "sends_only_what_is_new", "survives_faults", "keeps_the_rules"]
)
def test_link_bridge(name: str, stall: float) -> None:
    design = LinkBridge(TINY, memory_bytes=MEMORY_BYTES, clock_hz=CLOCK_HZ)
    run_cocotb(design, __file__, tests=name, parameters={"stall": stall})
