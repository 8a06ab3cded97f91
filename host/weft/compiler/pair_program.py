# SPDX-License-Identifier: Apache-2.0
"""The program for two chunks of a prompt, one behind the other, that go through the layers by
turns: the array multiplies for one while the vector unit works for the other. The bits of
`ChunkProgram`.

Both halves are a `ChunkProgram` with words, blocks and registers of their own. What they add for a
layer is cut where an engine waits for another, and the pieces are put together by turns, the second
half's one piece late. No half takes a token of the other's: one engine gives it and one takes it,
and to both engines the halves come by turns.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from weft.compiler.attention import RowGroup
from weft.compiler.chunk_program import ChunkProgram
from weft.compiler.conventions import ADAPTER, Register, Token
from weft.compiler.graph import Graph
from weft.compiler.pair_plan import HalfPlan, PairPlan
from weft.compiler.plan import MemoryPlan
from weft.compiler.weight_parts import WeightPart
from weft_arch.config import Configuration
from weft_arch.isa import (
    Engine,
    Halt,
    Instruction,
    Load,
    Loop,
    Scalar,
    ScalarOp,
    StreamWeights,
    Vector,
)

__all__ = ["PairProgram"]

ATTENDS_AT_ONCE = 2
"""One that the array works on, and one whose results the vector unit divides."""
OF_SECOND = {Register.ROWS: ADAPTER, Register.POSITION: Register.LAST_ROW}
"""The second half's registers."""
_REGISTERS = ("destination", "address_reg", "count_reg", "aux_a_reg", "aux_b_reg")


class _Half(ChunkProgram):
    """One of the two chunks."""

    chip: HalfPlan

    @property
    def second(self) -> bool:
        """Whether it is the one behind."""
        return self.chip.half == 1

    def several_groups(self) -> bool:
        """Each half sets the registers of its ATTENDs itself."""
        return True

    def set_rows(self) -> None:
        """Done for both."""

    def ids_of_rows(self, region: str) -> None:
        """Those of the second half are behind the first one's."""
        if not self.second:
            super().ids_of_rows(region)

    def streams(self, parts: Iterable[WeightPart], skipped: int) -> Iterable[Instruction]:
        """None: weights come product by product, as the halves take turns."""
        return ()

    def product(self, part: WeightPart, *args: Any, **fields: Any) -> Iterable[Instruction]:
        """A product, behind the stream of its weights."""
        before = self.memory.bytes_before(part, self.config)
        yield self.stream((part,), before, Register.WEIGHTS)
        yield from super().product(part, *args, **fields)

    def store_kv(self, values: int) -> None:
        """The second half's come last: nobody reads the cache before both are there."""
        super().store_kv(values)
        if not self.second:
            self.program[-1] = replace(self.program[-1], signal_a=0)

    def groups(self) -> Iterator[RowGroup]:
        """The first half's first ATTEND waits for the keys and values of both."""
        for group in super().groups():
            yield replace(group, stored=0) if self.second else group

    def _row_scalar(self, slot: int, group: RowGroup) -> int:
        return self.chip.sums_of(group.first // self.chip.group_rows)

    def attend(self, slot: int, group: RowGroup) -> Instruction:
        """An ATTEND, when its row scalars are free."""
        return replace(super().attend(slot, group), wait_b=Token.HEADS_FREE)

    def attended(self, slot: int, group: RowGroup) -> Iterable[Instruction]:
        """Its row scalars are free then."""
        *most, last = super().attended(slot, group)
        return [*most, replace(last, signal_b=Token.HEADS_FREE)]

    def taken(self) -> list[Instruction]:
        """What has been added, with this half's registers; nothing is left."""
        found, self.program = self.program, []
        if not self.second:
            return found
        return [_renamed(instruction) for instruction in found]


def _renamed(i: Instruction) -> Instruction:
    names = [name for name in _REGISTERS if hasattr(i, name)]
    if not isinstance(i, Scalar):
        names = [name for name in names if name != "destination"]
    changed = {name: OF_SECOND.get(getattr(i, name)) for name in names}
    return replace(i, **{name: value for name, value in changed.items() if value is not None})


def _pieces(program: list[Instruction]) -> list[list[Instruction]]:
    """A program in pieces, each of which begins with a loop, or where the array or the vector unit
    waits for a value (for words they wait second); what stands before that and belongs to it (a
    stream, registers) comes along. The end of a loop is counted from the beginning of its piece."""
    pieces: list[list[Instruction]] = [[]]
    at, along = 0, 0
    while at < len(program):
        i = program[at]
        looped = isinstance(i, Loop)
        end = i.body_end if isinstance(i, Loop) else at + 1
        waits = i.engine in (Engine.COMPUTE, Engine.VECTOR) and bool(i.wait_a)
        if (looped or waits) and len(pieces[-1]) > along:
            keep = len(pieces[-1]) - along
            pieces.append(pieces[-1][keep:])
            del pieces[-2][keep:]
        pieces[-1].extend(_shifted(program[at:end], len(pieces[-1]) - at))
        along = along + 1 if isinstance(i, Scalar | StreamWeights) else 0
        at = end
    return pieces


def _shifted(instructions: list[Instruction], by: int) -> list[Instruction]:
    """Instructions whose loops end elsewhere."""
    return [
        replace(i, body_end=i.body_end + by) if isinstance(i, Loop) else i for i in instructions
    ]


class PairProgram:
    """Rows are positions as in `ChunkProgram`, two of them or more, in two halves: the first one's
    ROWS - ROWS / 2 and those behind them."""

    def __init__(
        self, graph: Graph, config: Configuration, plan: PairPlan, memory: MemoryPlan
    ) -> None:
        self.first, self.second = (_Half(graph, config, chip, memory) for chip in plan.halves)
        for half in (self.first, self.second):
            half.norm_scalar = half.chip.half * half.chip.chunk_rows
        self.model, self.memory = graph.config, memory
        self.program: list[Instruction] = []

    def emit(self) -> list[Instruction]:
        """All instructions."""
        first, second, r = self.first, self.second, Register
        self._beginning()
        at = len(self.program)
        self.program.append(Loop(count=self.model.n_layers))
        for half in (first, second):
            half.attention_layer()
            half.feed_forward_layer()
        self._by_turns(_pieces(first.taken()), _pieces(second.taken()))
        first.advance()
        self.program.extend(first.taken())
        self.program[at] = Loop(count=self.model.n_layers, body_end=len(self.program))
        free = Load(wait_a=Token.PARAMETERS_A_FREE, wait_b=Token.PARAMETERS_B_FREE, words=1)
        self.program.extend([Vector(wait_a=Token.X, words=1), free])  # the first half has no head
        position = Scalar(destination=r.POSITION, address_reg=r.LAST_ROW, count_reg=ADAPTER)
        self.program.append(position)
        second.head_layer()
        self._add(second.taken())
        self.program.extend(
            [
                Vector(wait_a=Token.X, words=1),
                free,
                *[Vector(wait_a=Token.HEADS_FREE, words=1)] * ATTENDS_AT_ONCE,
                Scalar(destination=r.ROWS, address_reg=r.ROWS, count_reg=ADAPTER),
                Halt(),
            ]
        )
        return self.program

    def _beginning(self) -> None:
        """Registers, and the embedding of both halves."""
        first, second, r = self.first, self.second, Register
        ids = self.memory.regions["ids"].base
        self.program.extend(
            [
                Scalar(
                    destination=ADAPTER,
                    operation=ScalarOp.SHIFT_RIGHT,
                    address_reg=r.ROWS,
                    address=1,
                ),
                Scalar(
                    destination=r.ROWS,
                    operation=ScalarOp.SUB,
                    address_reg=r.ROWS,
                    count_reg=ADAPTER,
                ),
                Scalar(destination=r.LAST_ROW, address_reg=r.POSITION, count_reg=r.ROWS),
                Scalar(
                    destination=r.KV,
                    address_reg=r.SEQUENCE,
                    address=self.memory.regions["kv"].base,
                ),
                *[Vector(signal_a=Token.HEADS_FREE, words=1)] * ATTENDS_AT_ONCE,
            ]
        )
        first.prologue()
        self._add(first.taken())
        second.add(
            *second.zeros_around_queries(),
            Vector(signal_a=Token.PARAMETERS_A_FREE, signal_b=Token.PARAMETERS_B_FREE, words=1),
        )
        self.program.extend(
            [
                *second.taken(),
                first.compute(r.ADDRESS, ScalarOp.MUL, r.ROWS, 4),
                Scalar(destination=r.ADDRESS, address_reg=r.ADDRESS, address=ids),
            ]
        )
        second.embedding_layer()
        self._add(second.taken())

    def _add(self, instructions: list[Instruction]) -> None:
        """Put instructions at the end, whose loops are counted from the first of them."""
        self.program.extend(_shifted(instructions, len(self.program)))

    def _by_turns(self, first: list[list[Instruction]], second: list[list[Instruction]]) -> None:
        """Pieces of both halves, the second's one piece late."""
        for one, other in zip([*first, []], [[], *second], strict=True):
            self._add(one)
            self._add(other)
