# SPDX-License-Identifier: Apache-2.0
"""Assembly text to instructions and back.

One instruction per line: the opcode, then ``field=value`` in any order; fields left out have their
defaults. Values are integers (decimal, 0x...) or the names of the field's enumeration; a register
field takes ``s3``, a token ``t5``. ``#`` starts a comment. ``name:`` marks a place and ``body_end``
takes its name::

    loop count=4 body_end=end          # run the next two instructions four times
      matmul wait_a=t1 address_reg=s2 count=1 format=w8 k_blocks=4 n_tiles=16
      scalar operation=add address_reg=s2 address=64 destination=2
    end:
    halt signal_a=t3
"""

from collections.abc import Sequence
from enum import IntEnum

from weft_arch.encoding import EncodingError, encode
from weft_arch.isa import COMMON_FIELDS, INSTRUCTIONS, Instruction, Loop, Opcode, field_specs

__all__ = ["assemble", "disassemble"]

_REGISTER_FIELDS = frozenset({"address_reg", "count_reg", "aux_a_reg", "aux_b_reg"})
_TOKEN_FIELDS = frozenset({"wait_a", "wait_b", "signal_a", "signal_b"})


def assemble(text: str) -> list[Instruction]:
    """Instructions of an assembly text; an `EncodingError` names the line and what is wrong."""
    lines: list[tuple[int, list[str]]] = []
    labels: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        while words and words[0].endswith(":"):
            label = words.pop(0)[:-1]
            if not label:
                raise EncodingError(f"line {number}: a label has no name")
            if label in labels:
                raise EncodingError(f"line {number}: the label {label!r} is there twice")
            labels[label] = len(lines)
        if words:
            lines.append((number, words))
    return [_instruction(number, words, labels) for number, words in lines]


def _instruction(number: int, words: list[str], labels: dict[str, int]) -> Instruction:
    name = words[0].upper()
    if name not in Opcode.__members__:
        raise EncodingError(f"line {number}: {words[0]!r} is not an instruction")
    cls = INSTRUCTIONS[Opcode[name]]
    kinds = {f.name: f.kind for f in (*COMMON_FIELDS[1:], *field_specs(cls))}
    values: dict[str, int] = {}
    for word in words[1:]:
        field, equals, text = word.partition("=")
        if not equals or field not in kinds:
            raise EncodingError(f"line {number}: {words[0]} has no field {word!r}")
        if field in values:
            raise EncodingError(f"line {number}: {words[0]} has the field {field} twice")
        values[field] = _value(number, field, text, kinds[field], labels)
    instruction = cls(**values)
    try:
        encode(instruction)
    except EncodingError as error:
        raise EncodingError(f"line {number}: {error}") from None
    return instruction


def _value(
    number: int, field: str, text: str, kind: type[IntEnum] | None, labels: dict[str, int]
) -> int:
    if kind is not None and text.upper() in kind.__members__:
        return kind[text.upper()]
    if field == "body_end" and text in labels:
        return labels[text]
    if (field in _REGISTER_FIELDS and text[:1] == "s") or (
        field in _TOKEN_FIELDS and text[:1] == "t"
    ):
        text = text[1:]
    try:
        value = int(text, 0)
        return kind(value) if kind is not None else value
    except ValueError:
        raise EncodingError(f"line {number}: {field} cannot be {text!r}") from None


def disassemble(program: Sequence[Instruction]) -> str:
    """Assembly text that assembles to the same instructions; fields at their defaults are left
    out, loop bodies are indented."""
    ends = (i.body_end for i in program if isinstance(i, Loop))
    names = {end: f"end_{end}" for end in ends if end <= len(program)}
    lines: list[str] = []
    open_loops: list[int] = []
    for index, instruction in enumerate(program):
        while open_loops and open_loops[-1] <= index:
            open_loops.pop()
        if index in names:
            lines.append("  " * len(open_loops) + f"{names[index]}:")
        lines.append("  " * len(open_loops) + _line(instruction, names))
        if isinstance(instruction, Loop):
            open_loops.append(instruction.body_end)
    if len(program) in names:
        lines.append(f"{names[len(program)]}:")
    return "".join(f"{line}\n" for line in lines)


def _line(instruction: Instruction, names: dict[int, str]) -> str:
    words = [instruction.opcode.name.lower()]
    default = type(instruction)()
    for spec in (*COMMON_FIELDS[1:], *field_specs(type(instruction))):
        value = getattr(instruction, spec.name)
        if value == getattr(default, spec.name):
            continue
        if spec.kind is not None:
            text = spec.kind(value).name.lower()
        elif spec.name == "body_end" and value in names:
            text = names[value]
        elif spec.name in _REGISTER_FIELDS:
            text = f"s{value}"
        elif spec.name in _TOKEN_FIELDS:
            text = f"t{value}"
        else:
            text = str(int(value)) if value < 4096 else hex(value)
        words.append(f"{spec.name}={text}")
    return " ".join(words)
