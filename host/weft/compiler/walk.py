# SPDX-License-Identifier: Apache-2.0
"""Walks a program the way the sequencer does, without computing anything."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from weft.errors import CompileError
from weft_arch.isa import LOOP_DEPTH, N_SCALARS, Engine, Halt, Instruction, Loop, Scalar, ScalarOp

__all__ = ["Step", "walk"]

_WORD = 0xFFFF_FFFF


@dataclass(frozen=True)
class Step:
    """An engine instruction with its scalars resolved, and its index in the program.

    ``passed`` are the instructions that the sequencer itself has run since the step before.
    """

    at: int
    instruction: Instruction
    address: int
    count: int
    aux_a: int
    aux_b: int
    passed: tuple[Instruction, ...] = ()


def walk(
    program: Sequence[Instruction], scalars: Mapping[int, int], limit: int = 1_000_000
) -> Iterator[Step]:
    """The engine instructions in program order until HALT, from the given scalar registers."""
    s = [0] * N_SCALARS
    for register, value in scalars.items():
        s[register] = value
    loops: list[list[int]] = []
    passed: list[Instruction] = []
    at = 0
    for _ in range(limit):
        while loops and at == loops[-1][1]:
            loops[-1][2] -= 1
            if loops[-1][2]:
                at = loops[-1][0]
            else:
                loops.pop()
        if at >= len(program):
            raise CompileError("the program runs past its end without a HALT.")
        i = program[at]
        at += 1
        if isinstance(i, Halt):
            return
        if i.engine is Engine.SEQUENCER:
            passed.append(i)
        if isinstance(i, Loop):
            if i.body_end < at or (loops and i.body_end >= loops[-1][1]):
                raise CompileError(f"the loop at {at - 1} does not end inside the loop around it.")
            count = (i.count + s[i.count_reg]) & 0xFFFFFF
            if count == 0 or i.body_end == at:
                at = i.body_end
            else:
                if len(loops) == LOOP_DEPTH:
                    raise CompileError(f"loops are nested more than {LOOP_DEPTH} deep.")
                loops.append([at, i.body_end, count])
        elif isinstance(i, Scalar):
            if i.destination:
                s[i.destination] = _evaluate(i, s[i.address_reg], s[i.count_reg])
        elif i.engine is not Engine.SEQUENCER:
            yield Step(
                at - 1,
                i,
                (i.address + s[i.address_reg]) & _WORD,
                (i.count + s[i.count_reg]) & 0xFFFFFF,
                s[i.aux_a_reg],
                s[i.aux_b_reg],
                tuple(passed),
            )
            passed.clear()
    raise CompileError(f"the program runs more than {limit} instructions.")


def _evaluate(i: Scalar, x: int, y: int) -> int:
    values = {
        ScalarOp.ADD: x + y + i.address,
        ScalarOp.MUL: x * i.address,
        ScalarOp.SHIFT_RIGHT: x >> (i.address % 32),
        ScalarOp.AND: x & i.address,
        ScalarOp.SUB: x - y - i.address,
        ScalarOp.MIN: min(x, (y + i.address) & _WORD),
        ScalarOp.MAX: max(x, (y + i.address) & _WORD),
    }
    return values[i.operation] & _WORD
