# SPDX-License-Identifier: Apache-2.0
"""Serial line: exact bits out, bytes in from senders that are too fast or too slow, glitches."""

from __future__ import annotations

import pytest

from weft_rtl.soc.uart import UartReceiver, UartTransmitter, bit_period
from weft_sim.bench import Bench, StreamDriver, bench_test, run_cocotb

CLOCK_HZ, BAUD = 50_000_000, 3_000_000
BIT = CLOCK_HZ / BAUD


class Sender:
    """Puts bits on the line, each `bit` cycles long."""

    def __init__(self, bench: Bench, bit: float) -> None:
        self._bench, self._bit = bench, bit
        self._levels: list[tuple[int, int]] = []
        self.until = 0.0
        bench.dut.i_line.value = 1
        bench.add_agent(self._at_edge)

    def level(self, value: int, bits: float) -> None:
        self.until = max(self.until, self._bench.cycle + 2.0)
        self._levels.append((round(self.until), value))
        self.until += bits * self._bit

    def byte(self, value: int, *, stop: int = 1) -> None:
        for k in range(10):
            self.level((value << 1 | stop << 9) >> k & 1, 1)

    def _at_edge(self) -> None:
        while self._levels and self._levels[0][0] <= self._bench.cycle:
            self._bench.dut.i_line.value = self._levels.pop(0)[1]


class Receiver:
    """What the design's strobes deliver."""

    def __init__(self, bench: Bench) -> None:
        self._dut = bench.dut
        self.bytes: list[int] = []
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        if int(self._dut.o__valid.value):
            self.bytes.append(int(self._dut.o__payload.value))


@bench_test(deadline_cycles=100_000)
async def receives(bench: Bench) -> None:
    sender = Sender(bench, BIT * bench.parameters["error"])
    receiver = Receiver(bench)
    sent = [0, 255, 0x55, 0xAA, 1, 128] + [bench.random.randrange(256) for _ in range(200)]
    sender.level(1, 3)
    for value in sent:
        sender.byte(value)
        if bench.random.random() < 0.2:
            sender.level(1, bench.random.random() * 4)
    await bench.cycles(round(sender.until) + 60)
    assert receiver.bytes == sent


@bench_test(deadline_cycles=100_000)
async def passes_over_what_is_no_byte(bench: Bench) -> None:
    sender, receiver = Sender(bench, BIT), Receiver(bench)
    sender.level(1, 3)
    sender.level(0, 1 / BIT)  # a glitch of one cycle
    sender.level(1, 12)
    sender.level(0, 0.3)  # a start bit that is too short
    sender.level(1, 12)
    sender.byte(0x12)
    sender.byte(0x34, stop=0)
    sender.level(0, 30)  # a break
    sender.level(1, 3)
    sender.byte(0x56)
    await bench.cycles(round(sender.until) + 60)
    assert receiver.bytes == [0x12, 0x56]


@bench_test(deadline_cycles=100_000)
async def transmits(bench: Bench) -> None:
    driver = StreamDriver(bench, "i")
    levels: list[int] = []
    bench.add_agent(lambda: levels.append(int(bench.dut.o_line.value)))
    sent = [bench.random.randrange(256) for _ in range(100)]
    driver.send_all(sent)
    await driver.drained()
    await bench.cycles(round(12 * BIT))
    if bench.stall == 0:
        first = levels.index(0)
        for index, value in enumerate(sent):
            for k in range(10):
                middle = first + (10 * index + k + 0.5) * BIT
                bit = (value << 1 | 1 << 9) >> k & 1
                assert levels[round(middle)] == bit, f"byte {index}, bit {k}"
    at, got = 0, []
    while 0 in levels[at:]:
        start = levels.index(0, at)
        bits = [levels[round(start + (k + 0.5) * BIT)] for k in range(10)]
        assert (bits[0], bits[9]) == (0, 1)
        got.append(sum(bit << k for k, bit in enumerate(bits[1:9])))
        at = round(start + 9.5 * BIT)
    assert got == sent


@pytest.mark.parametrize("error", [0.98, 1.0, 1.02])
def test_receiver(error: float) -> None:
    design = UartReceiver(clock_hz=CLOCK_HZ, baud=BAUD)
    run_cocotb(design, __file__, tests="receives", parameters={"error": error})


def test_receiver_passes_over_noise() -> None:
    design = UartReceiver(clock_hz=CLOCK_HZ, baud=BAUD)
    run_cocotb(design, __file__, tests="passes_over_what_is_no_byte")


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_transmitter(stall: float) -> None:
    design = UartTransmitter(clock_hz=CLOCK_HZ, baud=BAUD)
    run_cocotb(design, __file__, tests="transmits", parameters={"stall": stall})


def test_a_rate_that_is_too_fast_is_refused() -> None:
    sentence = r"^baud is 9000000; a clock of 50000000 Hz allows at most 6250000$"
    with pytest.raises(ValueError, match=sentence):
        bit_period(CLOCK_HZ, 9_000_000)
