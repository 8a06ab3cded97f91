# SPDX-License-Identifier: Apache-2.0
"""Assembly text: what may be written, and what is said about the rest."""

import re

import pytest

from weft_arch import isa
from weft_arch.assembler import assemble, disassemble
from weft_arch.encoding import EncodingError

TEXT = """
# A comment of its own
loop count=4 body_end=end          # run the next two instructions four times
  MatMul wait_a=t1 address_reg=s2 count=1 format=w4 k_blocks=0x10 n_tiles=16
  scalar operation=ADD address_reg=s2 address=64 destination=2

end: halt signal_a=3
"""


def test_text_becomes_instructions() -> None:
    assert assemble(TEXT) == [
        isa.Loop(count=4, body_end=3),
        isa.Matmul(
            wait_a=1,
            address_reg=2,
            count=1,
            format=isa.WeightFormat.W4,
            k_blocks=16,
            n_tiles=16,
        ),
        isa.Scalar(operation=isa.ScalarOp.ADD, address_reg=2, address=64, destination=2),
        isa.Halt(signal_a=3),
    ]


def test_empty_text_is_an_empty_program() -> None:
    assert assemble("") == []
    assert assemble("# nothing\n\n") == []
    assert disassemble([]) == ""


def test_labels_may_stand_alone_at_the_end_and_in_front() -> None:
    program = assemble("a: b:\nloop body_end=b\nloop body_end=c\nhalt\nc:")
    assert program == [isa.Loop(body_end=0), isa.Loop(body_end=3), isa.Halt()]


def test_disassembly_is_indented_and_leaves_defaults_out() -> None:
    program = [
        isa.Loop(count=2, body_end=4),
        isa.Loop(count_reg=3, body_end=3),
        isa.Vector(operation=isa.VectorOp.ROPE, address=0x12345, wait_b=7, words=1),
        isa.Fence(),
        isa.Halt(),
    ]
    assert disassemble(program).splitlines() == [
        "loop count=2 body_end=end_4",
        "  loop count_reg=s3 body_end=end_3",
        "    vector wait_b=t7 address=0x12345 operation=rope words=1",
        "  end_3:",
        "  fence",
        "end_4:",
        "halt",
    ]


def test_a_loop_that_ends_beyond_the_program_keeps_its_number() -> None:
    assert disassemble([isa.Loop(body_end=9)]) == "loop body_end=9\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("halt\nmuldiv", "line 2: 'muldiv' is not an instruction"),
        ("halt count", "line 1: halt has no field 'count'"),
        ("halt words=1", "line 1: halt has no field 'words=1'"),
        ("halt opcode=1", "line 1: halt has no field 'opcode=1'"),
        ("load format=f64", "line 1: format cannot be 'f64'"),
        ("load format=3", "line 1: format cannot be '3'"),
        ("load words=", "line 1: words cannot be ''"),
        ("load words=t1", "line 1: words cannot be 't1'"),
        ("load wait_a=s1", "line 1: wait_a cannot be 's1'"),
        ("loop body_end=nowhere", "line 1: body_end cannot be 'nowhere'"),
        ("load wait_a=t32", "line 1: LOAD field wait_a is 32; it must be 0 to 31"),
        ("load words=-1", "line 1: LOAD field words is -1; it must be 0 to 4095"),
        ("load words=1 words=2", "line 1: load has the field words twice"),
        ("a: halt\na: halt", "line 2: the label 'a' is there twice"),
        (": halt", "line 1: a label has no name"),
    ],
)
def test_bad_text_gets_a_sentence_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(EncodingError, match=f"^{re.escape(sentence)}$"):
        assemble(text)
