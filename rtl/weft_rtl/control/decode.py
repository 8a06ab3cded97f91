# SPDX-License-Identifier: Apache-2.0
"""Instruction layouts and the legality check, derived from `weft_arch.isa`.

Every field is an unsigned number; compare it with the members of its enumeration:

    matmul = arguments(isa.Matmul, instruction.arguments)
    m.d.comb += is_w4.eq(matmul.format == isa.WeightFormat.W4)
"""

import functools

from amaranth import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import isa

__all__ = [
    "ARGUMENT_BITS",
    "COMMON_LAYOUT",
    "INSTRUCTION_BITS",
    "LegalityCheck",
    "arguments",
    "arguments_layout",
    "instruction_layout",
]

INSTRUCTION_BITS = 8 * isa.INSTRUCTION_BYTES
ARGUMENT_BITS = INSTRUCTION_BITS - isa.ARGUMENT_BASE


def _layout(specs: tuple[isa.FieldSpec, ...], base: int, size: int) -> data.FlexibleLayout:
    return data.FlexibleLayout(
        size, {s.name: data.Field(unsigned(s.width), s.offset - base) for s in specs}
    )


COMMON_LAYOUT = _layout(isa.COMMON_FIELDS, 0, INSTRUCTION_BITS)
"""An instruction, seen through the fields that all instructions have."""


@functools.cache
def arguments_layout(instruction: type[isa.Instruction]) -> data.FlexibleLayout:
    """`ResolvedInstruction.arguments` of one instruction: its own fields."""
    return _layout(isa.field_specs(instruction), isa.ARGUMENT_BASE, ARGUMENT_BITS)


@functools.cache
def instruction_layout(instruction: type[isa.Instruction]) -> data.FlexibleLayout:
    """A whole instruction: the common fields and its own."""
    return _layout(isa.COMMON_FIELDS + isa.field_specs(instruction), 0, INSTRUCTION_BITS)


def arguments(instruction: type[isa.Instruction], value: Value) -> data.View:
    """``value`` (the bits of ``arguments``) seen as the fields of ``instruction``."""
    return data.View(arguments_layout(instruction), value)


def _unused_bits(specs: tuple[isa.FieldSpec, ...], start: int, stop: int) -> list[int]:
    used = {bit for s in specs for bit in range(s.offset, s.offset + s.width)}
    return [bit for bit in range(start, stop) if bit not in used]


def _enumeration_is_bad(word: Value, spec: isa.FieldSpec) -> Value:
    assert spec.kind is not None
    field = word[spec.offset : spec.offset + spec.width]
    members = sorted({int(member) for member in spec.kind})
    if len(members) == 1 << spec.width:
        return Const(0, 1)
    if members == list(range(len(members))):
        return field >= len(members)
    return ~field.matches(*members)


class LegalityCheck(wiring.Component):
    """Tells whether an instruction is well formed.

    Illegal are unknown opcodes, set bits that no field owns, and enumerations without such a
    member: what `weft_arch.encoding.decode` refuses.

    Parameters
    ----------
    resident : bool
        Whether there is resident memory; without it the bits of the field ``resident`` are set
        bits that no field owns.

    Members
    -------
    i_instruction : the 256 bits; a new one may come every cycle.
    o_illegal : about the instruction of two cycles before.

    About 150 LUTs.
    """

    i_instruction: Signal
    o_illegal: Signal

    def __init__(self, *, resident: bool = True) -> None:
        self._absent = set[str]() if resident else {"resident"}
        super().__init__({"i_instruction": In(INSTRUCTION_BITS), "o_illegal": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = self.i_instruction
        common = _unused_bits(isa.COMMON_FIELDS, 0, isa.ARGUMENT_BASE)
        unused = {
            opcode: _unused_bits(self._specs(c), isa.ARGUMENT_BASE, INSTRUCTION_BITS)
            for opcode, c in isa.INSTRUCTIONS.items()
        }
        # Bits that the same opcodes leave unused are looked at together.
        groups: dict[frozenset[isa.Opcode], list[int]] = {}
        for bit in range(isa.ARGUMENT_BASE, INSTRUCTION_BITS):
            owners = frozenset(opcode for opcode, bits in unused.items() if bit in bits)
            groups.setdefault(owners, []).append(bit)
        groups.pop(frozenset(), None)

        opcode = Signal(6)
        reserved = Signal()
        any_set = Signal(len(groups))
        bad = {o: Signal(name=f"bad_{o.name.lower()}") for o in isa.INSTRUCTIONS}
        view = data.View(COMMON_LAYOUT, word)
        m.d.sync += [
            opcode.eq(view.opcode),
            reserved.eq(Cat(word[bit] for bit in common).any()),
            any_set.eq(Cat(Cat(word[bit] for bit in bits).any() for bits in groups.values())),
        ]
        for o, c in isa.INSTRUCTIONS.items():
            enumerations = [s for s in self._specs(c) if s.kind is not None]
            m.d.sync += bad[o].eq(Cat(_enumeration_is_bad(word, s) for s in enumerations).any())

        with m.Switch(opcode):
            for o in isa.INSTRUCTIONS:
                mine = [any_set[i] for i, owners in enumerate(groups) if o in owners]
                with m.Case(o):
                    m.d.sync += self.o_illegal.eq(Cat(reserved, bad[o], *mine).any())
            with m.Default():
                m.d.sync += self.o_illegal.eq(1)
        return m

    def _specs(self, instruction: type[isa.Instruction]) -> tuple[isa.FieldSpec, ...]:
        """The instruction's own fields that there are."""
        return tuple(s for s in isa.field_specs(instruction) if s.name not in self._absent)
