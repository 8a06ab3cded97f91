# SPDX-License-Identifier: Apache-2.0
"""Loops, scalar registers and dependency tokens of the reference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_arch import isa
from weft_arch.assembler import assemble
from weft_arch.config import preset
from weft_arch.isa import Opcode, ScalarOp
from weft_arch.registers import Fault
from weft_sim.reference.machine import Machine, TokenDeadlock
from weft_sim.reference.state import MachineState, Memory, ProgramFault

TINY = preset("tiny")


def machine() -> Machine:
    import numpy as np

    return Machine(MachineState(TINY, Memory(np.zeros(64, np.uint8), 0, TINY.beat_bytes)))


def scalars_after(text: str, **start: int) -> list[int]:
    m = machine()
    for name, value in start.items():
        m.state.scalars[int(name[1:])] = value
    m.run(assemble(text))
    return m.state.scalars


WORD = st.integers(0, 0xFFFF_FFFF)
MEANING = {
    ScalarOp.ADD: lambda x, y, i: x + y + i,
    ScalarOp.MUL: lambda x, y, i: x * i,
    ScalarOp.SHIFT_RIGHT: lambda x, y, i: x >> i % 32,
    ScalarOp.AND: lambda x, y, i: x & i,
    ScalarOp.SUB: lambda x, y, i: x - y - i,
    ScalarOp.MIN: lambda x, y, i: min(x, (y + i) % 2**32),
    ScalarOp.MAX: lambda x, y, i: max(x, (y + i) % 2**32),
}


@given(st.sampled_from(ScalarOp), WORD, WORD, WORD)
def test_scalar_operations_wrap(operation: ScalarOp, x: int, y: int, immediate: int) -> None:
    m = machine()
    m.state.scalars[3], m.state.scalars[4] = x, y
    scalar = isa.Scalar(
        operation=operation, address_reg=3, count_reg=4, address=immediate, destination=5
    )
    m.run([scalar, isa.Halt()])
    assert m.state.scalars[5] == MEANING[operation](x, y, immediate) % 2**32


def test_register_zero_stays_zero() -> None:
    assert scalars_after("scalar address=7 destination=0\nhalt")[0] == 0


def test_loops_nest_and_count() -> None:
    text = """
        loop count=3 body_end=outer
          loop count=2 count_reg=s1 body_end=inner
            scalar address_reg=s2 address=1 destination=2
          inner:
          scalar address_reg=s3 address=1 destination=3
        outer:
        halt
    """
    scalars = scalars_after(text, s1=2)
    assert (scalars[2], scalars[3]) == (12, 3)


@pytest.mark.parametrize("header", ["loop body_end=end", "loop count=5 body_end=begin"])
def test_a_loop_of_nothing_runs_nothing(header: str) -> None:
    body = "scalar address=1 destination=2" if "body_end=end" in header else ""
    assert scalars_after(f"{header}\nbegin:\n{body}\nend:\nhalt")[2] == 0


def test_a_loop_count_has_24_bits() -> None:
    assert scalars_after("loop count_reg=s1 body_end=e\nfence\ne: halt", s1=1 << 24)[2] == 0


def test_loops_nest_four_deep_and_no_deeper() -> None:
    def nested(depth: int) -> list[isa.Instruction]:
        loops = [isa.Loop(count=1, body_end=2 * depth - i) for i in range(depth)]
        return [*loops, *([isa.Fence()] * (depth + 1)), isa.Halt()]

    machine().run(nested(isa.LOOP_DEPTH))
    with pytest.raises(ProgramFault) as fault:
        machine().run(nested(isa.LOOP_DEPTH + 1))
    assert (fault.value.cause, fault.value.address) == (Fault.LOOP_OVERFLOW, isa.LOOP_DEPTH)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("fence", 1),
        ("fence\nloop count=1 body_end=1\nhalt", 1),
        ("loop count=2 body_end=3\nloop count=2 body_end=3\nfence\nhalt", 1),
        ("loop count=2 body_end=3\nloop count=0 body_end=4\nfence\nhalt\nhalt", 1),
    ],
)
def test_misplaced_ends_are_illegal(text: str, at: int) -> None:
    with pytest.raises(ProgramFault) as fault:
        machine().run(assemble(text))
    assert (fault.value.cause, fault.value.address) == (Fault.ILLEGAL_INSTRUCTION, at)


def test_instructions_are_resolved_with_the_scalars_of_their_turn() -> None:
    m = machine()
    seen: list[tuple[int, int, int, int]] = []
    m._run[Opcode.LOAD] = lambda state, op: seen.append((op.address, op.count, op.aux_a, op.aux_b))
    m.state.scalars[1], m.state.scalars[2] = 0xFFFF_FFFF, 0xFF_FFFF
    m.run(
        assemble(
            """
            load address=2 address_reg=s1 count=2 count_reg=s2 aux_a_reg=s1 aux_b_reg=s2
            scalar address=5 destination=1
            load address_reg=s1 aux_a_reg=s0
            halt
            """
        )
    )
    assert seen == [(1, 1, 0xFFFF_FFFF, 0xFF_FFFF), (5, 0, 0, 0)]


def test_tokens_are_counters() -> None:
    m = machine()
    m.run(
        assemble(
            """
            loop count=3 body_end=end
              vector words=1 signal_a=t1 signal_b=t1
            end:
            vector words=1 wait_a=t1 wait_b=t1 signal_a=t2
            halt
            """
        )
    )
    assert m.state.tokens[1] == 4
    assert m.state.tokens[2] == 1


def test_a_token_that_nobody_gives_is_a_deadlock() -> None:
    sentence = (
        r"^instruction 1, STORE, waits for token 9, which no instruction before it has given$"
    )
    with pytest.raises(TokenDeadlock, match=sentence):
        machine().run(assemble("vector words=1 signal_a=t8\nstore words=1 wait_b=t9\nhalt"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("matmul count=1 k_blocks=1 n_tiles=1", "MATMUL, waits for weight tiles that no STREAM"),
        (
            "attend count=1 k_blocks=1 rows_per_position=1 aux_b_reg=s1",
            "ATTEND, waits for keys and values that no STREAM_KV before it asks for",
        ),
        (
            "store_kv count=1 k_blocks=1 slots=1",
            "STORE_KV, waits for quantised groups that no VECTOR before it makes",
        ),
    ],
)
def test_data_that_nobody_sends_is_a_deadlock(text: str, what: str) -> None:
    m = machine()
    m.state.scalars[1] = 5
    with pytest.raises(TokenDeadlock, match=rf"^instruction 1, {what}"):
        m.run(assemble(f"fence\n{text}\nhalt"))


def test_a_token_given_too_often_is_a_fault() -> None:
    text = f"loop count={isa.TOKEN_LIMIT + 1} body_end=e\nvector words=1 signal_b=t7\ne: halt"
    m = machine()
    with pytest.raises(ProgramFault) as fault:
        m.run(assemble(text))
    assert (fault.value.cause, fault.value.address) == (Fault.TOKEN_OVERFLOW, 7)
    assert m.state.tokens[7] == isa.TOKEN_LIMIT
