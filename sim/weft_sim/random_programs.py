# SPDX-License-Identifier: Apache-2.0
"""Random programs for the control benches, and what the engines must see of them."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from typing import Any

from weft_arch import isa
from weft_arch.config import preset
from weft_arch.encoding import encode
from weft_arch.isa import Engine, Instruction
from weft_sim.reference import ReferenceDevice

__all__ = ["ProgramWriter", "expected_run", "instruction_word"]

_ENGINE_CLASSES = [c for c in isa.INSTRUCTIONS.values() if c().engine != Engine.SEQUENCER]


class ProgramWriter:
    """Writes a program of nested loops whose tokens never deadlock: each token joins one
    instruction to one later one of the same loop body."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.program: list[Instruction] = []
        self._tokens = list(range(1, isa.N_TOKENS + 1))
        rng.shuffle(self._tokens)

    def engine_instruction(self) -> Instruction:
        """An instruction of some engine with random operands."""
        rng = self.rng
        cls = rng.choice(_ENGINE_CLASSES)
        own: dict[str, Any] = {
            s.name: rng.choice(list(s.kind)) if s.kind else rng.randint(0, s.limit)
            for s in isa.field_specs(cls)
        }
        if cls is isa.StreamWeights:
            own["resident"] = isa.Resident.NONE  # illegal where there is no resident memory
        return cls(
            address=rng.getrandbits(32),
            count=rng.getrandbits(24),
            address_reg=rng.randrange(16),
            count_reg=rng.randrange(16),
            aux_a_reg=rng.randrange(16),
            aux_b_reg=rng.randrange(16),
            **own,
        )

    def scalar(self) -> Instruction:
        """A random SCALAR."""
        rng = self.rng
        return isa.Scalar(
            operation=rng.choice(list(isa.ScalarOp)),
            address=rng.getrandbits(rng.randint(0, 32)),
            address_reg=rng.randrange(16),
            count_reg=rng.randrange(16),
            destination=rng.randrange(14),  # 14 and 15 stay small: loop counts
        )

    def body(self, size: int, depth: int) -> None:
        """Instructions of a loop body."""
        rng, program = self.rng, self.program
        candidates: list[int] = []
        for _ in range(size):
            kind = rng.random()
            if kind < 0.15:
                program.append(self.scalar())
            elif kind < 0.18:
                program.append(isa.Fence())
            elif kind < 0.3 and depth < isa.LOOP_DEPTH:
                self.loop(rng.randint(0, 6), depth + 1)
            else:
                candidates.append(len(program))
                program.append(self.engine_instruction())
        while self._tokens and len(candidates) > 1 and rng.random() < 0.8:
            first, second = sorted(rng.sample(candidates, 2))
            gives = rng.choice(["signal_a", "signal_b"])
            waits = rng.choice(["wait_a", "wait_b"])
            if not getattr(program[first], gives) and not getattr(program[second], waits):
                token = self._tokens.pop()
                program[first] = replace(program[first], **{gives: token})
                program[second] = replace(program[second], **{waits: token})

    def loop(self, size: int, depth: int) -> None:
        """A loop and something after it."""
        rng, program = self.rng, self.program
        begin = len(program)
        program.append(isa.Loop())
        self.body(size, depth)
        count, register = rng.choice([(0, 0), (1, 0), (3, 0), (0, 14), (1, 15)])
        program[begin] = isa.Loop(count=count, count_reg=register, body_end=len(program))
        program.append(self.scalar())  # so that no two loops end at the same place

    def write(self, size: int) -> list[Instruction]:
        """A program of about ``size`` steps, loops counted once. It is a test of control alone:
        the operands mean nothing to the engines."""
        self.body(size, 0)
        self.program.append(isa.Halt())
        return self.program


def instruction_word(instruction: Instruction) -> int:
    """The 256 bits of an instruction."""
    return int.from_bytes(encode(instruction), "little")


def expected_run(
    program: list[Instruction], scalars: list[int]
) -> tuple[dict[Engine, list[dict[str, Any]]], list[int]]:
    """The resolved instructions of each engine in order, and the scalars at the end."""
    machine = ReferenceDevice(preset("tiny"), memory_bytes=64)._machine
    machine.state.scalars[:] = scalars
    seen: dict[Engine, list[dict[str, Any]]] = defaultdict(list)

    def record(state: Any, op: Any) -> None:
        del state
        instruction = op.instruction
        seen[instruction.engine].append(
            {
                "opcode": instruction.opcode,
                "address": op.address,
                "count": op.count,
                "aux_a": op.aux_a,
                "aux_b": op.aux_b,
                "arguments": instruction_word(instruction) >> isa.ARGUMENT_BASE,
                "tokens": (
                    instruction.wait_a,
                    instruction.wait_b,
                    instruction.signal_a,
                    instruction.signal_b,
                ),
            }
        )

    machine._run = dict.fromkeys(isa.Opcode, record)
    machine.run(program)
    return seen, machine.state.scalars
