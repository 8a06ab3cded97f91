# SPDX-License-Identifier: Apache-2.0
"""What a cocotb bench runs in: clock, reset, parameters, seeded randomness and a deadline."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Event, RisingEdge, SimTimeoutError, Timer, with_timeout

__all__ = ["Bench", "bench_test"]

PARAMETERS_VARIABLE = "WEFT_BENCH_PARAMETERS"
SEED_VARIABLE = "WEFT_BENCH_SEED"
_PERIOD_NS = 10
_LIMIT_SECONDS = 900


class Bench:
    """The surroundings of one cocotb test.

    Members:
        dut: the top-level cocotb handle; ports are its attributes.
        parameters: what `run_cocotb` was given as ``parameters``, through JSON.
        seed: the seed of this run; printed, and taken from the parameter ``seed`` of `run_cocotb`.
        random: a random generator seeded with it; agents take their own from `random_for`.
        stall: the probability that drivers and monitors stall by default; the parameter ``stall``,
            else 0.
        cycle: rising edges of the clock since the start.

    Everything that acts once per cycle is an *agent*: a function called at each rising edge, which
    reads the values from before the edge and whose writes take effect after it, as a register's
    would. All agents share one coroutine, so many of them cost little.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.parameters: dict[str, Any] = json.loads(os.environ.get(PARAMETERS_VARIABLE, "{}"))
        self.seed = int(os.environ.get(SEED_VARIABLE, "0"))
        self.random = random.Random(self.seed)
        self.stall = float(self.parameters.get("stall", 0.0))
        self.cycle = 0
        self.clk = getattr(dut, "clk", None)
        self._rst = getattr(dut, "rst", None)
        self._agents: list[Callable[[], None]] = []
        self._reports: list[Callable[[], str]] = []

    def random_for(self, name: str) -> random.Random:
        """A generator of its own for `name`, so that adding an agent does not disturb others."""
        return random.Random(f"{self.seed}/{name}")

    def add_agent(self, agent: Callable[[], None]) -> None:
        """Call `agent` at every rising edge from now on."""
        self._agents.append(agent)

    def add_report(self, report: Callable[[], str]) -> None:
        """Print the line that `report` returns if the deadline passes."""
        self._reports.append(report)

    async def start(self) -> None:
        """Start the clock, and hold reset for two cycles. Blocks without a clock just settle."""
        if self.clk is None:
            await Timer(1, "ns")
            return
        if self._rst is not None:
            self._rst.value = 1
        Clock(self.clk, _PERIOD_NS, unit="ns").start(start_high=False)
        await ClockCycles(self.clk, 2)
        if self._rst is not None:
            self._rst.value = 0
        cocotb.start_soon(self._run_agents())

    async def reset(self, cycles: int = 2) -> None:
        """Assert reset for `cycles` cycles, in the middle of a test."""
        if self._rst is None:
            raise RuntimeError("This design has no reset.")
        self._rst.value = 1
        await self.cycles(cycles)
        self._rst.value = 0

    async def cycles(self, count: int = 1) -> None:
        """Wait for `count` rising edges; for a block without a clock, for as many nanoseconds."""
        if self.clk is None:
            await Timer(count, "ns")
        else:
            await ClockCycles(self.clk, count)

    async def settle(self) -> None:
        """Let combinational logic follow a change of inputs, in a block without a clock."""
        await Timer(1, "ns")

    def event(self) -> Event:
        """A cocotb event, for agents that wake the test."""
        return Event()

    def report(self) -> str:
        """What every agent is doing, one line each."""
        return "\n".join(report() for report in self._reports)

    async def _run_agents(self) -> None:
        assert self.clk is not None
        edge = RisingEdge(self.clk)
        agents = self._agents
        while True:
            await edge
            self.cycle += 1
            for agent in agents:
                agent()


def bench_test(*, deadline_cycles: int) -> Callable[[Callable[[Bench], Awaitable[None]]], Any]:
    """Make a coroutine ``async def name(bench)`` a cocotb test that starts clock and reset.

    Args:
        deadline_cycles: the test fails, with what each stream is waiting for, if it has not
            finished by then. There is no default: every bench has a deadline.

    Do not begin the name with ``test``: pytest would collect it, too.
    """

    def decorate(function: Callable[[Bench], Awaitable[None]]) -> Any:
        @functools.wraps(function)
        async def run(dut: Any) -> None:
            bench = Bench(dut)
            cocotb.log.info("seed %d, parameters %s", bench.seed, bench.parameters)
            _kill_after(bench.parameters.get("limit_seconds", _LIMIT_SECONDS))
            await bench.start()
            body = cocotb.start_soon(_await(function(bench)))
            try:
                await with_timeout(body, deadline_cycles * _PERIOD_NS, "ns")
            except SimTimeoutError:
                raise AssertionError(
                    f"{function.__name__} did not finish within {deadline_cycles} cycles "
                    f"(seed {bench.seed}).\n{bench.report()}"
                ) from None

        del run.__wrapped__  # cocotb would read the parameters of the wrapped function
        return cocotb.test()(run)

    return decorate


def _kill_after(seconds: int) -> None:
    """End the simulation by a signal, which also ends a loop in which no time passes."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)


async def _await(awaitable: Awaitable[None]) -> None:
    await awaitable
