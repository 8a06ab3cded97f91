# SPDX-License-Identifier: Apache-2.0
"""How fast engines go beside each other: who gets what of the bus and of the on-chip memories."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from weft.compiler.walk import Step
from weft.forecast.costs import Cost, replay_rate
from weft_arch.config import Configuration
from weft_arch.isa import Engine, Reduce, Resident

__all__ = ["TINY", "Job", "Rates", "Sharing"]

TINY = 1e-6
LEAST = 0.1
"""What loads and the vector unit have at least of a port of the vector memory."""
LATE = 0.6
"""Cycles that a word loses in the mean when it finds its port taken (measured), unless words follow
each other at once."""


@dataclass
class Job:
    """An instruction in an engine's queue, or at work."""

    step: Step
    cost: Cost
    issued: float
    waits: Counter[int]
    signals: Counter[int]
    left: float = 0.0
    """cycles (COMPUTE, VECTOR, STORE) or bytes (STREAM, LOAD) still to go"""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How fast things go, until the next event."""

    load: float
    """bytes per cycle"""
    stream: float
    """bytes per cycle, wherever they come from and go to"""
    flow: float
    """bytes per cycle by which the weight buffer fills"""
    speed: float
    """of the array; 1 where weights are there"""
    vector: float
    """of the vector unit; 1 where the array leaves it the ports of the vector memory"""

    def of(self, engine: Engine) -> float:
        """By how much a job's ``left`` goes down per cycle."""
        rates = {
            Engine.LOAD: self.load,
            Engine.STREAM: self.stream,
            Engine.COMPUTE: self.speed,
            Engine.VECTOR: self.vector,
        }
        return rates.get(engine, 1.0)


class Sharing:
    """Who gets what, with a configuration's buffers.

    Members
    -------
    capacity, low : float
        Bytes that the weight buffer holds, and below which it runs low.
    """

    def __init__(self, config: Configuration) -> None:
        self.config = config
        self.capacity = config.weight_buffer_bytes * 1.0625
        self.low = self.capacity / 32

    def rates(self, running: Mapping[Engine, Job], total: float, level: float) -> Rates:
        """How fast the jobs that are ``running`` go, with ``total`` bytes per cycle from memory and
        ``level`` bytes in the weight buffer."""
        load, stream = running.get(Engine.LOAD), running.get(Engine.STREAM)
        compute = running.get(Engine.COMPUTE)
        wanted = 0.0
        if load and load.left > TINY:
            wanted = load.cost.loaded / load.cost.cycles
            if compute and compute.cost.cycles:  # which writes to the vector memory first
                wanted *= max(1 - compute.cost.words_written / compute.cost.cycles, LEAST)
            wanted = min(total, wanted)
        need = 0.0
        if compute and compute.cost.cycles:
            need = compute.cost.streamed / compute.cost.cycles
        kind = stream.cost.resident if stream else Resident.NONE
        supply = 0.0
        if stream and stream.left > TINY:
            replays = kind is Resident.REPLAY
            supply = replay_rate(self.config, stream.step) if replays else total - wanted
            if load and wanted and not replays:
                supply = self._beside(load, supply, total, need, level)
            if level >= self.capacity - TINY and kind is not Resident.KEEP:
                supply = min(supply, need)
        from_memory = 0.0 if kind is Resident.REPLAY else supply
        to_buffer = 0.0 if kind is Resident.KEEP else supply
        speed = 1.0
        if compute and need and level <= TINY:
            speed = min(1.0, to_buffer / need)
        return Rates(
            load=min(wanted, total - from_memory),
            stream=supply,
            flow=to_buffer - need * speed,
            speed=speed,
            vector=_vector_rate(running, speed),
        )

    def _beside(self, load: Job, left: float, total: float, need: float, level: float) -> float:
        """What the weight stream gets beside a LOAD that leaves it so much: that, until the weight
        buffer runs low; below, they take turns, burst by burst, of which a row is at least one; at
        the edge, what the array needs."""
        if level > self.low + TINY:
            return left
        longest = self.config.max_burst_beats
        row = load.cost.loaded / load.step.count / self.config.beat_bytes
        turns = max(left, total * longest / (longest + min(max(row, 1), longest)))
        if level < self.low - TINY:
            return turns
        return min(max(left, need), turns)


def _vector_rate(running: Mapping[Engine, Job], speed: float) -> float:
    """How fast the vector unit is beside the array, which comes first at both ports of the
    vector memory, and beside a STORE, which comes before it at the port for reading."""
    vector, store = running.get(Engine.VECTOR), running.get(Engine.STORE)
    compute = running.get(Engine.COMPUTE)
    if vector is None:
        return 1.0
    read = written = 0.0
    if compute and compute.cost.cycles:
        read = compute.cost.words_read * speed / compute.cost.cycles
        written = compute.cost.words_written * speed / compute.cost.cycles
    if store and store.cost.cycles:
        read += store.cost.words_read / store.cost.cycles
    read, written = (min(taken, 1 - LEAST) for taken in (read, written))
    cost = vector.cost
    # In a row of words, those behind one that waits wait too.
    if isinstance(vector.step.instruction, Reduce):
        late = cost.words_read * read / (1 - read)
    else:
        late = LATE * max(cost.words_read * read, cost.words_written * written)
    longest = cost.cycles + late
    for words, taken in ((cost.words_read, read), (cost.words_written, written)):
        longest = max(longest, words / (1 - taken))
    return cost.cycles / longest
