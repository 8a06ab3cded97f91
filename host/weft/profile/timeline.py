# SPDX-License-Identifier: Apache-2.0
"""From recorded events to what each engine did when.

A device records when instructions are handed to engines and when they are done, not which ones they
are. But engines work in order, and the walk through the program says in which.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from weft.compiler.walk import Step, walk
from weft.errors import WeftError
from weft_arch.isa import ENGINES, Engine, Instruction
from weft_arch.observed import Wire, engine_shift

__all__ = ["Run", "Slice", "Wait", "decode"]

Words = NDArray[np.uint64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Slice:
    """An instruction at work. Engines overlap instructions; this one counts from when it was handed
    over or the one before it was done, whichever is later."""

    step: Step
    accepted: int
    start: int
    end: int


@dataclass(frozen=True)
class Wait:
    """An engine had nothing to do, because its next instruction waited for a token."""

    token: int
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the program, in cycles from its start."""

    name: str
    start: int
    """cycles since the device was made"""
    cycles: int
    slices: Mapping[Engine, Sequence[Slice]]
    waits: Mapping[Engine, Sequence[Wait]]
    changes: Numbers
    """when the word of events changed; it stays until the next change"""
    words: Words
    """the words of events from then on"""

    def bit(self, number: int) -> NDArray[np.bool_]:
        """A bit of every word."""
        return (self.words >> np.uint64(number) & np.uint64(1)) != 0

    @property
    def durations(self) -> Numbers:
        """Cycles for which each word stays."""
        return np.diff(self.changes, append=self.cycles)

    def cycles_of(self, wire: int) -> int:
        """Cycles in which a wire is up."""
        return int(self.durations[self.bit(wire)].sum())

    def done_before(self, engine: Engine) -> Numbers:
        """How many instructions of an engine are done when each word begins."""
        done = self.bit(engine_shift(engine) + 1)
        return np.cumsum(done) - done

    def waited_for(self, engine: Engine) -> Numbers:
        """The token that an engine with nothing in work waits for, or 0, with each word."""
        shift = engine_shift(engine)
        accepted, done = self.bit(shift), self.bit(shift + 1)
        in_work = np.cumsum(accepted) - accepted - self.done_before(engine) - done
        token = (self.words >> np.uint64(shift + 2)).astype(np.int64) & 31
        return np.where(in_work <= 0, token, 0)


def decode(
    observations: Words, program: Sequence[Instruction], runs: Iterable[tuple[str, dict[int, int]]]
) -> list[Run]:
    """The runs of a program in a recording.

    ``observations``: [n, 2], cycles and words of `weft_arch.observed`; ``runs``: of each run its
    name and the scalar registers that it began with. A `WeftError` when the two do not fit.
    """
    cycles, words = observations[:, 0].astype(np.int64), observations[:, 1]
    running = words >> np.uint64(Wire.RUNNING) & np.uint64(1) != 0
    edges = np.flatnonzero(np.diff(running, prepend=False, append=False))
    runs = list(runs)
    if len(edges) != 2 * len(runs) or (len(edges) and edges[-1] == len(words)):
        raise WeftError(f"the recording holds {len(edges) / 2:g} runs instead of {len(runs)}.")
    found: list[Run] = []
    for (name, scalars), first, last in zip(runs, edges[::2], edges[1::2], strict=True):
        start, end = int(cycles[first]), int(cycles[last])
        found.append(
            _run(name, start, end, cycles[first:last], words[first:last], walk(program, scalars))
        )
    return found


def _run(
    name: str, start: int, end: int, cycles: Numbers, words: Words, steps: Iterable[Step]
) -> Run:
    of_engine: dict[Engine, list[Step]] = {engine: [] for engine in ENGINES}
    for step in steps:
        of_engine[step.instruction.engine].append(step)
    empty = Run(
        name=name,
        start=start,
        cycles=end - start,
        slices={},
        waits={},
        changes=cycles - start,
        words=words,
    )
    return replace(
        empty,
        slices={engine: _slices(empty, engine, of_engine[engine]) for engine in ENGINES},
        waits={engine: _waits(empty, engine) for engine in ENGINES},
    )


def _slices(run: Run, engine: Engine, steps: Sequence[Step]) -> list[Slice]:
    shift = engine_shift(engine)
    accepted, done = run.changes[run.bit(shift)], run.changes[run.bit(shift + 1)]
    if not len(accepted) == len(done) == len(steps):
        raise WeftError(
            f"{run.name}: {engine.name} took {len(accepted)} instructions and finished "
            f"{len(done)}; the program has {len(steps)}."
        )
    starts = np.maximum(accepted, np.concatenate([[0], done[:-1]])) if len(done) else accepted
    return [
        Slice(step, int(a), int(s), int(e))
        for step, a, s, e in zip(steps, accepted, starts, done, strict=True)
    ]


def _waits(run: Run, engine: Engine) -> list[Wait]:
    token = run.waited_for(engine)
    edges = np.flatnonzero(np.diff(token, prepend=0, append=0))
    places = np.append(run.changes, run.cycles)
    return [
        Wait(int(token[a]), int(places[a]), int(places[b])) for a, b in pairwise(edges) if token[a]
    ]
