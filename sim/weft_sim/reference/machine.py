# SPDX-License-Identifier: Apache-2.0
"""The sequencer of the reference: runs a program in its order, one instruction after the other.

The RTL overlaps its engines; a program is correct when its dependency tokens make that overlap
equal to program order. The reference checks what it can see of this: an instruction that waits for
a token which no earlier instruction has given would hang or overtake, and is reported.
"""

from collections.abc import Callable, Sequence

from weft_arch import isa
from weft_arch.encoding import EncodingError, decode
from weft_arch.isa import (
    INSTRUCTION_BYTES,
    Instruction,
    Loop,
    Opcode,
    Scalar,
    ScalarOp,
    StreamWeights,
)
from weft_arch.registers import Fault
from weft_sim.reference import attention, compute, transfer, vector
from weft_sim.reference.state import MachineState, ProgramFault, Resolved, Starved
from weft_sim.reference.weights import WeightCache

__all__ = ["Machine", "TokenDeadlock"]

_WORD = 0xFFFF_FFFF


class TokenDeadlock(Exception):
    """An instruction waits for a dependency token that is never given, or for data that is never
    sent."""


class Machine:
    """A weft machine that executes programs on a `MachineState`."""

    def __init__(self, state: MachineState) -> None:
        self.state = state
        self.weights = WeightCache()
        self.mac_cycles = 0
        self.program_counter = 0
        run: dict[Opcode, Callable[[MachineState, Resolved], None]] = {
            Opcode.STREAM_WEIGHTS: transfer.stream_weights,
            Opcode.STREAM_KV: transfer.stream_kv,
            Opcode.MATMUL: self._matmul,
            Opcode.ATTEND: self._attend,
            Opcode.CODEBOOK: compute.codebook,
            Opcode.VECTOR: vector.vector,
            Opcode.REDUCE: vector.reduce,
            Opcode.LOAD: transfer.load,
            Opcode.STORE: transfer.store,
            Opcode.STORE_KV: transfer.store_kv,
            Opcode.STORE_TOP_K: transfer.store_top_k,
        }
        self._run = run

    def _matmul(self, state: MachineState, op: Resolved) -> None:
        self.mac_cycles += compute.matmul(state, op, self.weights)

    def _attend(self, state: MachineState, op: Resolved) -> None:
        self.mac_cycles += attention.attend(state, op)

    @staticmethod
    def decode_program(raw: bytes) -> list[Instruction | None]:
        """The instructions of a program; None for those that are illegal."""
        program: list[Instruction | None] = []
        for start in range(0, len(raw), INSTRUCTION_BYTES):
            try:
                program.append(decode(raw[start : start + INSTRUCTION_BYTES]))
            except EncodingError:
                program.append(None)
        return program

    def run(self, program: Sequence[Instruction | None]) -> None:
        """Run until HALT; a `ProgramFault` or `TokenDeadlock` stops at an instruction."""
        loops: list[list[int]] = []  # [first, end, iterations left]
        self.program_counter = 0
        while True:
            while loops and self.program_counter == loops[-1][1]:
                loops[-1][2] -= 1
                if loops[-1][2]:
                    self.program_counter = loops[-1][0]
                else:
                    loops.pop()
            at = self.program_counter
            instruction = program[at] if at < len(program) else None
            if instruction is None or self._is_foreign(instruction):
                raise ProgramFault(Fault.ILLEGAL_INSTRUCTION, at)
            self.program_counter += 1
            if instruction.opcode == Opcode.HALT:
                return
            if isinstance(instruction, Loop):
                self._loop(instruction, at, loops)
            elif isinstance(instruction, Scalar):
                self._scalar(instruction)
            elif instruction.opcode != Opcode.FENCE:
                self._engine(instruction, at)

    def _is_foreign(self, instruction: Instruction) -> bool:
        """Whether it needs a memory that this configuration lacks."""
        resident = isinstance(instruction, StreamWeights) and instruction.resident
        return bool(resident) and not self.state.config.resident_bytes

    def _loop(self, loop: Loop, at: int, loops: list[list[int]]) -> None:
        if loop.body_end <= at or (loops and loop.body_end >= loops[-1][1]):
            raise ProgramFault(Fault.ILLEGAL_INSTRUCTION, at)
        count = (loop.count + self.state.scalars[loop.count_reg]) & 0xFFFFFF
        if count == 0 or loop.body_end == at + 1:
            self.program_counter = loop.body_end
            return
        if len(loops) == isa.LOOP_DEPTH:
            raise ProgramFault(Fault.LOOP_OVERFLOW, at)
        loops.append([at + 1, loop.body_end, count])

    def _scalar(self, s: Scalar) -> None:
        scalars = self.state.scalars
        x, y = scalars[s.address_reg], scalars[s.count_reg]
        value = {
            ScalarOp.ADD: lambda: x + y + s.address,
            ScalarOp.MUL: lambda: x * s.address,
            ScalarOp.SHIFT_RIGHT: lambda: x >> (s.address % 32),
            ScalarOp.AND: lambda: x & s.address,
            ScalarOp.SUB: lambda: x - y - s.address,
            ScalarOp.MIN: lambda: min(x, (y + s.address) & _WORD),
            ScalarOp.MAX: lambda: max(x, (y + s.address) & _WORD),
        }[s.operation]()
        if s.destination:
            scalars[s.destination] = value & _WORD

    def _engine(self, instruction: Instruction, at: int) -> None:
        state = self.state
        for token in (instruction.wait_a, instruction.wait_b):
            if not state.take_token(token):
                raise TokenDeadlock(
                    f"instruction {at}, {instruction.opcode.name}, waits for token {token}, "
                    "which no instruction before it has given"
                )
        s = state.scalars
        resolved = Resolved(
            instruction,
            (instruction.address + s[instruction.address_reg]) & _WORD,
            (instruction.count + s[instruction.count_reg]) & 0xFFFFFF,
            s[instruction.aux_a_reg],
            s[instruction.aux_b_reg],
        )
        try:
            self._run[instruction.opcode](state, resolved)
        except Starved as what:
            raise TokenDeadlock(
                f"instruction {at}, {instruction.opcode.name}, waits for {what}"
            ) from None
        for start, end in state.memory.written:
            self.weights.forget(start, end)
        state.memory.written.clear()
        state.give_token(instruction.signal_a)
        state.give_token(instruction.signal_b)
