# SPDX-License-Identifier: Apache-2.0
"""Plays a program through the engines in time.

Tokens, queues and engines are followed instruction by instruction; the memory and the weight buffer
are fluid: bytes flow at rates that stay the same from one event to the next.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from weft.compiler.accesses import groups_made, groups_stored
from weft.compiler.walk import Step, walk
from weft.errors import WeftError
from weft.forecast.costs import REPLAY_CYCLES, cost_of, sequencer_cycles
from weft.forecast.rates import TINY, Job, Rates, Sharing
from weft_arch.config import Configuration
from weft_arch.isa import (
    ENGINES,
    INSTRUCTION_BYTES,
    Engine,
    Fence,
    Instruction,
    Load,
    Opcode,
    Resident,
    StoreKV,
    Vector,
    VectorDestination,
)

__all__ = ["STARTS", "WEIGHTS", "Forecast", "forecast"]

WEIGHTS, STARTS = 0, -1
"""Why the array does not multiply, where it is no token: the weights have not come; it has been
handed an instruction and does not multiply yet."""

START_CYCLES = 5
"""From the start command to the first read, and from HALT to the interrupt."""
AHEAD_BEATS = 128
"""What loads and the weight stream may have asked for and not received."""
PORT_CYCLES = 9
"""From a request to the read port, beside the memory's latency."""
TOKEN_CYCLES, HANDOVER_CYCLES = 4, 6
"""From the end of an instruction to the start of one that waits for its token: so many for each
token that is waited for (the token board takes four steps), and so many more."""
_GROUPS = -1
"""A token that stands for the groups that a VECTOR hands to a STORE_KV."""
_KINDS = {
    Opcode.STREAM_WEIGHTS: "weights",
    Opcode.STREAM_KV: "keys and values",
    Opcode.LOAD: "loads",
    Opcode.STORE: "stores",
    Opcode.STORE_KV: "stores",
    Opcode.STORE_TOP_K: "stores",
}


_Key = TypeVar("_Key")


@dataclass
class Forecast:
    """What a run of a program will take, in cycles and bytes."""

    cycles: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    mac_cycles: int = 0
    bytes_by_kind: Counter[str] = field(default_factory=Counter[str])
    waits: Counter[int] = field(default_factory=Counter[int])
    """cycles in which the array does not multiply: by the token that it waits for, WEIGHTS, or
    STARTS"""

    def plus(self, other: "Forecast", times: float = 1.0) -> "Forecast":
        """This run, then another as often as ``times`` says."""

        def scaled(counts: Counter[_Key]) -> Counter[_Key]:
            return Counter({key: round(count * times) for key, count in counts.items()})

        return Forecast(
            cycles=self.cycles + round(other.cycles * times),
            bytes_read=self.bytes_read + round(other.bytes_read * times),
            bytes_written=self.bytes_written + round(other.bytes_written * times),
            mac_cycles=self.mac_cycles + round(other.mac_cycles * times),
            bytes_by_kind=self.bytes_by_kind + scaled(other.bytes_by_kind),
            waits=self.waits + scaled(other.waits),
        )


@dataclass
class _Lane:
    """An engine."""

    jobs: deque[Job]
    current: Job | None = None
    ready: float = 0.0
    """when the current job may begin"""
    replayed: bool = False
    """whether its last job brought weights from the resident memory"""


def forecast(
    program: Sequence[Instruction], config: Configuration, scalars: Mapping[int, int] | None = None
) -> Forecast:
    """Predict one run of a program that starts with the given scalar registers, else 0."""
    return _Machine(program, walk(program, scalars or {}), config).run()


class _Machine:
    def __init__(
        self, program: Sequence[Instruction], steps: Iterable[Step], config: Configuration
    ) -> None:
        self.config = config
        self.rate = float(min(config.memory_bytes_per_cycle, config.beat_bytes))
        self.latency = config.memory_latency_cycles + PORT_CYCLES
        self.sharing = Sharing(config)
        fetched = len(program) * INSTRUCTION_BYTES
        self.result = Forecast(bytes_read=fetched, bytes_by_kind=Counter({"program": fetched}))
        self.fetched = START_CYCLES + self.latency + fetched / self.rate
        """when the last instruction has come: at the read port they are before everything else"""
        self.lanes = {engine: _Lane(deque()) for engine in ENGINES}
        self.clock = float(START_CYCLES + self.latency)
        self.steps = iter(steps)
        self.fenced: Step | None = None
        """the step behind a FENCE that the engines have come to"""
        self.tokens: Counter[int] = Counter()
        self.coming: list[tuple[float, Counter[int]]] = []
        self.given: defaultdict[int, float] = defaultdict(float)
        """when each token was given last"""
        self.time = 0.0
        self.level = 0.0
        self.waits: defaultdict[int, float] = defaultdict(float)

    def _issue(self) -> bool:
        """Hand the engines their jobs up to the next FENCE, with when the sequencer does so;
        instructions are fetched once, in order. Whether there was one."""
        begin = START_CYCLES + self.latency
        per_instruction = INSTRUCTION_BYTES / self.rate
        fenced = self.fenced
        self.fenced = None
        for step in chain([fenced] if fenced else [], self.steps):
            if step is not fenced and any(isinstance(each, Fence) for each in step.passed):
                self.fenced = step
                return True
            self.clock += sum(sequencer_cycles(each) for each in step.passed)
            self.clock = max(self.clock + 3, begin + per_instruction * (step.at + 1) + 5)
            i, cost = step.instruction, cost_of(step, self.config)
            waits = Counter(t for t in (i.wait_a, i.wait_b) if t)
            signals = Counter(t for t in (i.signal_a, i.signal_b) if t)
            if isinstance(i, StoreKV):
                waits[_GROUPS] = groups_stored(step, i)
            if isinstance(i, Vector) and i.to in (VectorDestination.KEYS, VectorDestination.VALUES):
                signals[_GROUPS] = groups_made(step, i, self.config)
            self.result.mac_cycles += cost.macs
            self.result.bytes_written += cost.written
            if i.opcode in _KINDS:
                streamed = 0 if cost.resident is Resident.REPLAY else cost.streamed
                self.result.bytes_read += cost.loaded + streamed
                self.result.bytes_by_kind[_KINDS[i.opcode]] += cost.loaded + streamed + cost.written
            self.lanes[i.engine].jobs.append(Job(step, cost, self.clock, waits, signals))
        return False

    def run(self) -> Forecast:
        last, more = 0.0, True
        while more:
            more = self._issue()
            last = max(last, self._run_engines())
            self.clock = max(self.clock, last)
        self.result.cycles = round(last + START_CYCLES)
        self.result.waits.update({cause: round(cycles) for cause, cycles in self.waits.items()})
        return self.result

    def _run_engines(self) -> float:
        """Play until no engine has a job; returns when the last results are there."""
        end = 0.0
        while True:
            self._start_jobs()
            step = self._next_event()
            if step is None:
                break
            end = max(end, self._advance(step))
        for lane in self.lanes.values():
            if lane.jobs:
                job = lane.jobs[0]
                raise WeftError(f"instruction {job.step.at} waits for a token that nobody gives.")
        return max([end, *(at for at, _ in self.coming)])

    def _start_jobs(self) -> None:
        """Give idle engines their next job, if its tokens are there."""
        for at, signals in self.coming:
            if at <= self.time + TINY:
                self.tokens.update(signals)
                self.given.update(dict.fromkeys(signals, at))
        self.coming = [(at, signals) for at, signals in self.coming if at > self.time + TINY]
        for engine, lane in self.lanes.items():
            if lane.current or not lane.jobs or lane.jobs[0].issued > self.time + TINY:
                continue
            job = lane.jobs[0]
            if any(self.tokens[token] < count for token, count in job.waits.items()):
                continue
            self.tokens.subtract(job.waits)
            lane.jobs.popleft()
            lane.current = job
            lead = self._token_lead(job)
            if engine in (Engine.STREAM, Engine.LOAD):
                job.left = float(job.cost.streamed if engine is Engine.STREAM else job.cost.loaded)
                lead += self._read_lead(lane, job)
                lane.replayed = job.cost.resident is Resident.REPLAY
            else:
                job.left = float(job.cost.cycles)
            lane.ready = self.time + lead

    def _token_lead(self, job: Job) -> float:
        """Cycles until a job that waits for tokens may begin. They are taken while the engine works
        on the job before it."""
        if not job.waits:
            return 0.0
        there = max(job.issued, *(self.given[token] for token in job.waits))
        return max(0.0, there + HANDOVER_CYCLES + TOKEN_CYCLES * len(job.waits) - self.time)

    def _read_lead(self, lane: _Lane, job: Job) -> float:
        """Cycles until the first bytes come. Requests of a job that follows another are made while
        that one's data comes, but not beside a replay."""
        if job.cost.resident is Resident.REPLAY:
            return REPLAY_CYCLES
        i = job.step.instruction
        load = i if isinstance(i, Load) else None
        lead = self.latency + (self._ahead() if load else 0)
        if load and load.gather:  # which reads row numbers first
            return max(self.latency, self.fetched - self.time) + lead
        return 0 if self.time <= lane.ready + self.latency and not lane.replayed else lead

    def _ahead(self) -> float:
        """Cycles that the bus is busy with what the weight stream has asked for already."""
        lane = self.lanes[Engine.STREAM]
        streams = lane.current or (lane.jobs and not lane.jobs[0].waits)
        full = self.level >= self.sharing.capacity - TINY
        return 0 if full or not streams else AHEAD_BEATS * self.config.beat_bytes / self.rate

    def _running(self, engine: Engine) -> Job | None:
        lane = self.lanes[engine]
        return lane.current if lane.ready <= self.time + TINY else None

    def _rates(self) -> Rates:
        running = {engine: job for engine in self.lanes if (job := self._running(engine))}
        total = self.rate if self.time >= self.fetched - TINY else 0.0
        return self.sharing.rates(running, total, self.level)

    def _next_event(self) -> float | None:
        """Cycles until something changes; None when all is done."""
        rates = self._rates()
        times: list[float] = [at - self.time for at, _ in self.coming]
        if self.time < self.fetched - TINY:
            times.append(self.fetched - self.time)
        for engine, lane in self.lanes.items():
            job = lane.current
            if job is None:
                if lane.jobs and lane.jobs[0].issued > self.time + TINY:
                    times.append(lane.jobs[0].issued - self.time)
                continue
            if lane.ready > self.time + TINY:
                times.append(lane.ready - self.time)
                continue
            rate = rates.of(engine)
            if job.left <= TINY:
                times.append(0.0)
            elif rate > TINY:
                times.append(job.left / rate)
        flow = rates.flow
        if flow > TINY:
            for edge in (self.sharing.low, self.sharing.capacity):
                if self.level < edge - TINY:
                    times.append((edge - self.level) / flow)
        elif flow < -TINY:
            for edge in (self.sharing.low, 0.0):
                if self.level > edge + TINY:
                    times.append((edge - self.level) / flow)
        if not times:
            return None
        return max(min(times), 0.0)

    def _advance(self, step: float) -> float:
        """Let time pass; returns when the last finished job's results are there."""
        rates = self._rates()
        self._count(step, rates.speed)
        running = {e: self._running(e) for e in self.lanes}
        self.time += step
        self.level = min(max(self.level + rates.flow * step, 0.0), self.sharing.capacity)
        end = 0.0
        for engine, job in running.items():
            if job is None:
                continue
            job.left -= rates.of(engine) * step
            if job.left <= TINY:
                done = self.time + job.cost.tail
                if job.signals:
                    self.coming.append((done, job.signals))
                self.lanes[engine].current = None
                self.lanes[engine].ready = self.time
                end = max(end, done)
        return end

    def _count(self, step: float, speed: float) -> None:
        """Who is to blame for the cycles in which the array does nothing."""
        lane = self.lanes[Engine.COMPUTE]
        if self._running(Engine.COMPUTE):
            self.waits[WEIGHTS] += step * (1 - speed)
        elif lane.jobs or lane.current:
            missing = [t for t in lane.jobs[0].waits if not self.tokens[t]] if lane.jobs else []
            self.waits[missing[0] if missing else STARTS] += step
