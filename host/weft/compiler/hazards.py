# SPDX-License-Identifier: Apache-2.0
"""The specification of level 3: a program's overlap equals its program order.

The engines run side by side and only dependency tokens order them. For every pair of accesses to
the same place from different engines, one of them a write, the check proves that the earlier
instruction (in program order) is complete before the later one starts. It does so with a vector
clock per instruction: how many instructions of each engine are known to be complete; behind a FENCE
all are. It also checks that the weight stream is consumed in its order, that quantised groups are,
and that a finished program leaves no token and no stream behind.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from weft.compiler.accesses import Access, Space, accesses, groups_made, groups_stored
from weft.compiler.walk import Step, walk
from weft.errors import CompileError
from weft_arch.config import BLOCK, Configuration
from weft_arch.isa import (
    Attend,
    Engine,
    Fence,
    Instruction,
    Matmul,
    Resident,
    StoreKV,
    StreamKV,
    StreamWeights,
    Vector,
    VectorDestination,
    WeightFormat,
)

__all__ = ["check_hazards"]

N_ENGINES = len(Engine)
Clock = NDArray[np.int64]


@dataclass
class _History:
    """For each unit of a space: the last write and each engine's last read, as 1-based instruction
    numbers within the engine (0: none), and which program instruction it was."""

    size: int
    write_engine: NDArray[np.int64] = field(init=False)
    write_number: NDArray[np.int64] = field(init=False)
    read_number: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.write_engine = np.zeros(self.size, np.int64)
        self.write_number = np.zeros(self.size, np.int64)
        self.read_number = np.zeros((N_ENGINES, self.size), np.int64)


class _Checker:
    def __init__(self, config: Configuration, write_base: int, write_limit: int) -> None:
        self.config, self.write_base = config, write_base
        self.history = {
            Space.VECTOR: _History(config.vector_memory_words),
            Space.ACTIVATION: _History(config.activation_blocks),
            Space.ROW_SCALAR: _History(256),
            Space.TOP_K: _History(1),
            Space.MEMORY: _History(-(-(write_limit - write_base) // config.beat_bytes)),
        }
        self.clocks = [np.zeros(N_ENGINES, np.int64) for _ in range(N_ENGINES)]
        self.numbers = [0] * N_ENGINES
        self.steps: list[list[Step]] = [[] for _ in range(N_ENGINES)]
        self.tokens: dict[int, deque[Clock]] = {}
        self.takers: dict[int, dict[int, int]] = {}
        """by token: the last instruction of each engine that took one"""
        self.tiles: deque[tuple[object, int]] = deque()
        self.groups: deque[tuple[bool, int, Clock]] = deque()

    def step(self, step: Step) -> None:
        engine = step.instruction.engine
        if any(isinstance(i, Fence) for i in step.passed):
            self.clocks = [np.array(self.numbers, np.int64) for _ in range(N_ENGINES)]
        clock = self._take(step, self.clocks[engine].copy())
        self._streams(step, clock)
        self.numbers[engine] += 1
        self.steps[engine].append(step)
        for access in accesses(step, self.config, self.write_base):
            self._access(step, access, clock)
        clock[engine] = self.numbers[engine]
        self.clocks[engine] = clock
        for token in (step.instruction.signal_a, step.instruction.signal_b):
            if token:
                self.tokens.setdefault(token, deque()).append(clock)

    def _take(self, step: Step, clock: Clock) -> Clock:
        """The clock behind a step's waits.

        A token is anybody's who waits for it. So who takes one must know, without it, that the
        others who have taken some before (in program order) are complete.
        """
        engine = step.instruction.engine
        taken: list[tuple[int, Clock]] = []
        for token in (step.instruction.wait_a, step.instruction.wait_b):
            if token:
                given = self.tokens.get(token)
                if not given:
                    raise CompileError(f"{_name(step)} waits for token {token}: nobody gives it.")
                taken.append((token, given.popleft()))
        for token, _ in taken:
            known = np.maximum.reduce([clock, *(c for t, c in taken if t != token)])
            for other, number in self.takers.setdefault(token, {}).items():
                if other != engine and number > known[other]:
                    raise CompileError(
                        f"{_name(step)} may take token {token} from {Engine(other).name}, "
                        "which waits for it too."
                    )
            self.takers[token][engine] = self.numbers[engine] + 1
        return np.maximum.reduce([clock, *(c for _, c in taken)])

    def _access(self, step: Step, access: Access, clock: Clock) -> None:
        engine, number = step.instruction.engine, self.numbers[step.instruction.engine]
        history, units = self.history[access.space], access.units
        if units.size == 0:
            return
        if units.min() < 0 or units.max() >= history.size:
            raise CompileError(
                f"{_name(step)} touches {access.space.value} {int(units.max())} of {history.size}."
            )
        writers, numbers = history.write_engine[units], history.write_number[units]
        self._require(step, access, units, (writers != engine) & (numbers > clock[writers]))
        if not access.write:
            history.read_number[engine, units] = number
            return
        for reader in range(N_ENGINES):
            if reader != engine:
                late = history.read_number[reader, units] > clock[reader]
                self._require(step, access, units, late)
        history.write_engine[units], history.write_number[units] = engine, number

    def _require(
        self, step: Step, access: Access, units: NDArray[np.int64], bad: NDArray[np.bool_]
    ) -> None:
        if bad.any():
            unit = int(units[bad][0])
            verb = "writes" if access.write else "reads"
            raise CompileError(
                f"{_name(step)} {verb} {access.space.value} {unit}, "
                "which an earlier instruction of another engine may still be using."
            )

    def _streams(self, step: Step, clock: Clock) -> None:
        """Match producers and consumers of the weight stream and of quantised groups."""
        i = step.instruction
        match i:
            case StreamWeights():
                self._stream_weights(step, i)
            case StreamKV() if step.count:
                self.tiles.append((("kv", i.wide_keys), -(-step.count // BLOCK)))
            case Matmul():
                self._consume(step, i.format, i.k_blocks * i.n_tiles)
            case Attend():
                self._consume(step, ("kv", i.wide_keys), -(-step.aux_b // BLOCK))
            case Vector() if i.to in (VectorDestination.KEYS, VectorDestination.VALUES):
                blocks = groups_made(step, i, self.config)
                self.groups.append((i.to is VectorDestination.VALUES, blocks, clock))
            case StoreKV():
                self._store_groups(step, i, clock)
            case _:
                pass

    def _stream_weights(self, step: Step, i: StreamWeights) -> None:
        """Tiles enter the stream unless they are kept; the engine itself orders keeping before
        replaying, and what another program has kept is not known here."""
        if i.resident is not Resident.NONE:
            places = self.config.resident_tile_places(8 if i.format is WeightFormat.W8 else 4)
            first = step.aux_a if i.resident is Resident.KEEP else step.address
            end = first + step.count * places
            if end > self.config.resident_places:
                raise CompileError(
                    f"{_name(step)} touches resident place {end - 1} of "
                    f"{self.config.resident_places}."
                )
        if step.count and i.resident is not Resident.KEEP:
            self.tiles.append((i.format, step.count))

    def _consume(self, step: Step, kind: object, needed: int) -> None:
        while needed:
            if not self.tiles or self.tiles[0][0] != kind:
                raise CompileError(f"{_name(step)} does not find its tiles next in the stream.")
            _, count = self.tiles.popleft()
            if count > needed:
                self.tiles.appendleft((kind, count - needed))
            needed -= min(count, needed)

    def _store_groups(self, step: Step, i: StoreKV, clock: Clock) -> None:
        """Groups come in the order in which they were made; several STORE_KV may share them."""
        needed = groups_stored(step, i)
        while needed:
            if not self.groups or self.groups[0][0] != bool(i.values):
                raise CompileError(f"{_name(step)} does not find its {needed} groups next.")
            values, count, produced = self.groups.popleft()
            if count > needed:
                self.groups.appendleft((values, count - needed, produced))
            needed -= min(count, needed)
            np.maximum(clock, produced, out=clock)

    def finish(self) -> None:
        left = sorted(token for token, given in self.tokens.items() if given)
        if left:
            raise CompileError(f"the program leaves the tokens {left} behind.")
        if self.tiles:
            raise CompileError("the program leaves tiles in the weight stream.")
        if self.groups:
            raise CompileError("the program leaves quantised groups behind.")


def _name(step: Step) -> str:
    return f"instruction {step.at} ({step.instruction.opcode.name})"


def check_hazards(
    program: Sequence[Instruction],
    config: Configuration,
    *,
    scalars: Mapping[int, int],
    write_base: int,
    write_limit: int,
) -> None:
    """Raise `CompileError` naming the first instruction that breaks the specification, for a run
    that starts with the given scalar registers."""
    checker = _Checker(config, write_base, write_limit)
    for step in walk(program, scalars):
        checker.step(step)
    checker.finish()
