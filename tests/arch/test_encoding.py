# SPDX-License-Identifier: Apache-2.0
"""Instructions to bytes, to text and back; program images."""

import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_arch import isa
from weft_arch.assembler import assemble, disassemble
from weft_arch.config import preset
from weft_arch.encoding import EncodingError, decode, encode, read_image, write_image
from weft_arch.isa import COMMON_FIELDS, INSTRUCTIONS, Instruction, Opcode, field_specs

TINY, DEFAULT = preset("tiny"), preset("default")


def own_and_common(cls: type[Instruction]) -> tuple[isa.FieldSpec, ...]:
    return (*COMMON_FIELDS[1:], *field_specs(cls))


def instructions_of(cls: type[Instruction]) -> st.SearchStrategy[Instruction]:
    values = {
        s.name: st.sampled_from(list(s.kind)) if s.kind else st.integers(0, s.limit)
        for s in own_and_common(cls)
    }
    return st.builds(cls, **values)


INSTRUCTION = st.sampled_from(list(INSTRUCTIONS.values())).flatmap(instructions_of)


@given(INSTRUCTION)
def test_bytes_round_trip(instruction: Instruction) -> None:
    raw = encode(instruction)
    assert len(raw) == isa.INSTRUCTION_BYTES
    assert decode(raw) == instruction


@given(INSTRUCTION)
def test_each_field_is_where_its_specification_says(instruction: Instruction) -> None:
    word = int.from_bytes(encode(instruction), "little")
    assert word & 63 == instruction.opcode
    for s in own_and_common(type(instruction)):
        assert word >> s.offset & s.limit == getattr(instruction, s.name)


@settings(max_examples=40)
@given(st.lists(INSTRUCTION, max_size=12))
def test_text_round_trips(program: list[Instruction]) -> None:
    assert assemble(disassemble(program)) == program


@given(st.binary(min_size=32, max_size=32))
def test_whatever_decodes_encodes_to_the_same_bytes(raw: bytes) -> None:
    try:
        instruction = decode(raw)
    except EncodingError:
        return
    assert encode(instruction) == raw


def test_fields_of_an_instruction_do_not_overlap() -> None:
    for cls in INSTRUCTIONS.values():
        bits = [b for s in own_and_common(cls) for b in range(s.offset, s.offset + s.width)]
        assert len(bits) == len(set(bits))
        assert max(bits) < 8 * isa.INSTRUCTION_BYTES


def test_opcodes_name_their_engine() -> None:
    assert set(INSTRUCTIONS) == set(Opcode)
    assert isa.Matmul().engine is isa.Engine.COMPUTE
    assert isa.StreamKV().engine is isa.Engine.STREAM
    assert isa.Reduce().engine is isa.Engine.VECTOR
    assert isa.Halt().engine is isa.Engine.SEQUENCER


def test_a_value_that_does_not_fit_is_named() -> None:
    with pytest.raises(
        EncodingError, match=r"^MATMUL field k_blocks is 1024; it must be 0 to 1023$"
    ):
        encode(isa.Matmul(k_blocks=1024))
    with pytest.raises(EncodingError, match=r"^HALT field wait_a is -1; it must be 0 to 31$"):
        encode(isa.Halt(wait_a=-1))


def test_an_unknown_opcode_is_refused() -> None:
    with pytest.raises(EncodingError, match=r"^opcode 0x04 is not an instruction$"):
        decode(b"\x04" + bytes(31))


@pytest.mark.parametrize("cls", INSTRUCTIONS.values(), ids=lambda c: c.opcode.name)
def test_each_bit_that_no_field_owns_must_be_zero(cls: type[Instruction]) -> None:
    word = int.from_bytes(encode(cls()), "little")
    owned = {b for s in own_and_common(cls) for b in range(s.offset, s.offset + s.width)}
    free = set(range(6, 256)) - owned
    assert {30, 31} <= free
    for bit in free:
        with pytest.raises(EncodingError, match=f"^{cls.opcode.name} has reserved bits set: 0x"):
            decode((word | 1 << bit).to_bytes(32, "little"))


@pytest.mark.parametrize("cls", INSTRUCTIONS.values(), ids=lambda c: c.opcode.name)
def test_each_undefined_enumeration_value_is_refused(cls: type[Instruction]) -> None:
    word = int.from_bytes(encode(cls()), "little")
    for s in field_specs(cls):
        undefined = set(range(s.limit + 1)) - {int(m) for m in s.kind} if s.kind else set()
        for value in undefined:
            raw = (word & ~(s.limit << s.offset) | value << s.offset).to_bytes(32, "little")
            sentence = f"^{cls.opcode.name} field {s.name} has the undefined value {value}$"
            with pytest.raises(EncodingError, match=sentence):
                decode(raw)


def test_bytes_of_another_length_are_refused() -> None:
    with pytest.raises(EncodingError, match=r"^an instruction has 32 bytes, not 31$"):
        decode(bytes(31))


PROGRAM = [isa.Load(words=3, count=2), isa.Halt(wait_a=1)]


def test_image_round_trips() -> None:
    assert read_image(TINY, write_image(TINY, PROGRAM)) == PROGRAM
    assert read_image(TINY, write_image(TINY, [])) == []


def test_the_same_hardware_under_another_name_takes_the_image() -> None:
    other = dataclasses.replace(TINY, name="mine", clock_hz=1, memory_latency_cycles=1)
    assert read_image(other, write_image(TINY, PROGRAM)) == PROGRAM


def changed(image: bytes, at: int, value: int) -> bytes:
    return image[:at] + bytes([value]) + image[at + 1 :]


IMAGE = write_image(TINY, PROGRAM)
FINGERPRINTS = (
    f"configuration {TINY.fingerprint:016x}; preset default is {DEFAULT.fingerprint:016x}"
)


@pytest.mark.parametrize(
    ("config", "image", "sentence"),
    [
        (TINY, b"", "the image has 0 bytes; its header alone has 32"),
        (TINY, IMAGE[:31], "the image has 31 bytes; its header alone has 32"),
        (TINY, b"NOPE" + IMAGE[4:], "the image starts with b'NOPE' instead of b'WEFT'"),
        (
            TINY,
            changed(IMAGE, 4, 9),
            "the image has format version 9 and a header of 32 bytes; this is version 1 with 32",
        ),
        (
            TINY,
            changed(IMAGE, 6, 64),
            "the image has format version 1 and a header of 64 bytes; this is version 1 with 32",
        ),
        (DEFAULT, IMAGE, f"the image is for {FINGERPRINTS}"),
        (
            TINY,
            IMAGE[:-1],
            "the image has 63 bytes of instructions; 2 instructions take 64",
        ),
        (
            TINY,
            IMAGE + b"\0",
            "the image has 65 bytes of instructions; 2 instructions take 64",
        ),
        (
            TINY,
            changed(IMAGE, 40, 1),
            "the image's instructions do not match its checksum",
        ),
    ],
)
def test_damaged_and_foreign_images_are_refused(config, image: bytes, sentence: str) -> None:
    with pytest.raises(EncodingError, match=f"^{re.escape(sentence)}$"):
        read_image(config, image)


def test_a_program_that_is_too_long_is_refused() -> None:
    sentence = r"^the program has 513 instructions; preset tiny holds 512$"
    with pytest.raises(EncodingError, match=sentence):
        write_image(TINY, [isa.Halt()] * 513)
