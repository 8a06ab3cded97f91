# SPDX-License-Identifier: Apache-2.0
"""Random programs on the control unit, with engines in Python."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from typing import Any

import pytest

from weft_arch import isa
from weft_arch.config import preset
from weft_arch.isa import ENGINES
from weft_arch.registers import EngineState, Fault
from weft_rtl.control.control_unit import ControlUnit
from weft_rtl.interfaces import FaultReport, ResolvedInstruction
from weft_sim.bench import Bench, StreamMonitor, bench_test, run_cocotb, unpack
from weft_sim.random_programs import ProgramWriter, expected_run, instruction_word

CONFIG = preset("tiny")


class EngineModel:
    """Accepts instructions, and reports them done in order after random times."""

    def __init__(self, bench: Bench, index: int, longest: int) -> None:
        self.bench = bench
        self.done_port = getattr(bench.dut, f"engine__{index}__done")
        self.done_port.value = 0
        getattr(bench.dut, f"engine__{index}__busy").value = 0
        self.monitor = StreamMonitor(bench, f"engine__{index}__instruction", ResolvedInstruction)
        self.random = bench.random_for(f"engine {index}")
        self.longest = longest
        self.finished_cycles: list[int] = []
        self._in_work: deque[int] = deque()
        self._seen = 0
        self._pulse = False
        self.held = False
        bench.add_agent(self._at_edge)

    def _at_edge(self) -> None:
        if self._pulse:
            self.finished_cycles.append(self.bench.cycle)
        while self._seen < len(self.monitor.received):
            self._seen += 1
            last = self._in_work[-1] if self._in_work else 0
            earliest = self.bench.cycle + self.random.randint(0, self.longest)
            self._in_work.append(max(last + 1, earliest))
        pulse = bool(self._in_work) and self._in_work[0] <= self.bench.cycle and not self.held
        if pulse:
            self._in_work.popleft()
        if pulse != self._pulse:
            self.done_port.value = int(pulse)
            self._pulse = pulse


class Host:
    """What start and registers do."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.dut = bench, bench.dut
        for name in (
            "i_start",
            "i_stop",
            "i_write",
            "i_write_index",
            "i_write_instruction",
            "i_fetching",
            "i_scalar_index",
            "i_scalar_write",
            "i_scalar_value",
        ):
            getattr(self.dut, name).value = 0
        self.halted_cycle = 0
        self.faults: list[tuple[int, int]] = []
        bench.add_agent(self._watch)

    def _watch(self) -> None:
        if int(self.dut.o_halted.value):
            self.halted_cycle = self.bench.cycle
        if (bits := int(self.dut.fault.value)) & 1:
            report = unpack(FaultReport, bits)
            self.faults.append((report["cause"], report["address"]))

    async def write_scalars(self, values: list[int]) -> None:
        await self.bench.cycles(20)  # cleared after reset
        for index, value in enumerate(values):
            self.dut.i_scalar_index.value = index
            self.dut.i_scalar_value.value = value
            self.dut.i_scalar_write.value = 1
            await self.bench.cycles(1)
        self.dut.i_scalar_write.value = 0

    async def read_scalars(self) -> list[int]:
        values = []
        for index in range(isa.N_SCALARS):
            self.dut.i_scalar_index.value = index
            await self.bench.cycles(2)
            values.append(int(self.dut.o_scalar_value.value))
        return values

    async def start(self, words: list[int], gap: int) -> None:
        """Start, then bring the instructions as the fetch unit does."""
        dut, rng = self.dut, self.bench.random
        dut.i_start.value = 1
        await self.bench.cycles(1)
        dut.i_start.value, dut.i_fetching.value = 0, 1
        for index, word in enumerate(words):
            await self.bench.cycles(rng.randint(1, gap))
            dut.i_write.value = 1
            dut.i_write_index.value, dut.i_write_instruction.value = index, word
            await self.bench.cycles(1)
            dut.i_write.value = 0
        await self.bench.cycles(2)
        dut.i_fetching.value = 0

    async def end(self) -> None:
        while not self.halted_cycle and not self.faults:
            await self.bench.cycles(1)


def check_tokens(expected: dict[Any, list[dict]], engines: dict[Any, EngineModel]) -> None:
    """No instruction began before its tokens were there."""
    events: list[tuple[int, int, tuple[int, ...]]] = []
    for engine, model in engines.items():
        for item, began, ended in zip(
            expected[engine], model.monitor.received_cycles, model.finished_cycles, strict=True
        ):
            events.append((began, 1, item["tokens"][:2]))
            events.append((ended, 0, item["tokens"][2:]))
    held: Counter[int] = Counter()
    for _, begins, tokens in sorted(events):
        for token in filter(None, tokens):
            held[token] += -1 if begins else 1
            assert held[token] >= 0, f"token {token}"


@bench_test(deadline_cycles=200_000)
async def runs(bench: Bench) -> None:
    host = Host(bench)
    engines = {e: EngineModel(bench, i, bench.parameters["longest"]) for i, e in enumerate(ENGINES)}
    for _ in range(bench.parameters["programs"]):
        program = ProgramWriter(bench.random).write(bench.parameters["size"])
        program = program[: CONFIG.instruction_words]
        scalars = [0, *(bench.random.getrandbits(32) for _ in range(13)), 2, 0]
        expected, end_scalars = expected_run(program, scalars)
        for model in engines.values():
            model.monitor.received.clear()
            model.monitor.received_cycles.clear()
            model.finished_cycles.clear()
            model._seen = 0
        host.halted_cycle = 0
        await host.write_scalars(scalars)
        await host.start([instruction_word(i) for i in program], bench.parameters["gap"])
        await host.end()
        assert not host.faults
        for engine, model in engines.items():
            wanted = [{k: v for k, v in i.items() if k != "tokens"} for i in expected[engine]]
            assert model.monitor.received == wanted, engine.name
        check_tokens(expected, engines)
        assert await host.read_scalars() == end_scalars


@bench_test(deadline_cycles=3_000)
async def is_fast(bench: Bench) -> None:
    """3 cycles per instruction, loop ends included."""
    host = Host(bench)
    engines = [EngineModel(bench, i, 0) for i in range(len(ENGINES))]
    body = [isa.Load(count=n) if n % 2 else isa.Reduce(count=n) for n in range(8)]
    program = [isa.Loop(count=10, body_end=len(body) + 1), *body, isa.Halt()]
    await host.start([instruction_word(i) for i in program], 1)
    await host.end()
    cycles = engines[3].monitor.received_cycles
    spacing = [b - a for a, b in itertools.pairwise(cycles)]
    assert spacing == [6] * len(spacing)


async def run_to_fault(host: Host, words: list[int]) -> tuple[int, int]:
    await host.bench.reset()
    host.faults.clear()
    host.halted_cycle = 0
    await host.bench.cycles(20)
    await host.start(words, 1)
    await host.end()
    await host.bench.cycles(10)
    assert not host.halted_cycle
    assert len(host.faults) == 1
    return host.faults[0]


@bench_test(deadline_cycles=20_000)
async def faults(bench: Bench) -> None:
    host = Host(bench)
    engines = [EngineModel(bench, i, 0) for i in range(len(ENGINES))]
    halt = isa.Halt()
    loop = isa.Loop

    async def outcome(*program: isa.Instruction | int) -> tuple[int, int]:
        words = [i if isinstance(i, int) else instruction_word(i) for i in program]
        return await run_to_fault(host, words)

    illegal, overflow = Fault.ILLEGAL_INSTRUCTION, Fault.LOOP_OVERFLOW
    assert await outcome(isa.Fence(), 0x3F, halt) == (illegal, 1)
    assert await outcome(1 << 30) == (illegal, 0)
    assert await outcome(isa.Fence(), isa.Fence()) == (illegal, 2)
    assert await outcome() == (illegal, 0)
    assert await outcome(isa.Fence(), loop(count=2, body_end=1), halt) == (illegal, 1)
    nest = [loop(count=2, body_end=20 - i) for i in range(4)]
    assert await outcome(*nest, loop(count=2, body_end=10), halt) == (overflow, 4)
    assert await outcome(*nest[:2], loop(count=0, body_end=19), halt) == (illegal, 2)
    # A fence waits for what is in work, and nothing is handed out after a stop.
    engines[4].held = True
    await bench.reset()
    host.faults.clear()
    await host.start([instruction_word(i) for i in (isa.Store(), isa.Fence(), halt)], 1)
    await bench.cycles(100)
    assert not host.halted_cycle
    assert int(bench.dut.o_engine__5.value) == EngineState.BUSY
    assert int(bench.dut.o_program_counter.value) == 1
    engines[4].held = False
    await host.end()
    await bench.reset()
    waiting = isa.Vector(wait_b=7)
    await host.start([instruction_word(i) for i in (waiting, waiting, halt)], 1)
    await bench.cycles(50)
    assert int(bench.dut.o_engine__3.value) == EngineState.WAITING_TOKEN | 7 << 8 | 2 << 16
    assert int(bench.dut.o_engine__0.value) == EngineState.BUSY


@pytest.mark.parametrize(
    ("stall", "longest", "gap", "size"), [(0.0, 0, 1, 30), (0.3, 40, 1, 60), (0.0, 10, 30, 40)]
)
def test_random_programs(stall: float, longest: int, gap: int, size: int) -> None:
    parameters = {"stall": stall, "longest": longest, "gap": gap, "size": size, "programs": 6}
    run_cocotb(ControlUnit(CONFIG), __file__, tests="runs", parameters=parameters)


def test_speed() -> None:
    run_cocotb(ControlUnit(CONFIG), __file__, tests="is_fast")


def test_faults() -> None:
    run_cocotb(ControlUnit(CONFIG), __file__, tests="faults")
