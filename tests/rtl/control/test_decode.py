# SPDX-License-Identifier: Apache-2.0
"""Instruction layouts and the legality check, against the encoder and decoder."""

from __future__ import annotations

import random

from weft_arch import isa
from weft_arch.encoding import EncodingError, decode, encode
from weft_rtl.control.decode import LegalityCheck, instruction_layout
from weft_sim.bench import Bench, bench_test, run_cocotb, unpack


def random_instruction(rng: random.Random, cls: type[isa.Instruction]) -> isa.Instruction:
    """A legal instruction with all fields random."""
    values = {
        s.name: rng.choice(list(s.kind)) if s.kind else rng.randint(0, s.limit)
        for s in (*isa.COMMON_FIELDS[1:], *isa.field_specs(cls))
    }
    return cls(**values)


def is_legal(word: int) -> bool:
    try:
        decode(word.to_bytes(isa.INSTRUCTION_BYTES, "little"))
    except EncodingError:
        return False
    return True


def test_layouts_agree_with_the_encoder() -> None:
    rng = random.Random(1)
    for cls in isa.INSTRUCTIONS.values():
        instruction = random_instruction(rng, cls)
        fields = unpack(instruction_layout(cls), int.from_bytes(encode(instruction), "little"))
        for name, value in fields.items():
            assert value == getattr(instruction, name), (cls, name)


@bench_test(deadline_cycles=20_000)
async def judges(bench: Bench) -> None:
    rng = bench.random
    words = []
    for cls in isa.INSTRUCTIONS.values():
        word = int.from_bytes(encode(random_instruction(rng, cls)), "little")
        words += [word, *(word ^ 1 << bit for bit in range(256))]
        for spec in isa.field_specs(cls):
            if spec.kind is not None:
                cleared = word & ~(spec.limit << spec.offset)
                words += [cleared | value << spec.offset for value in range(spec.limit + 1)]
    words += [opcode | rng.getrandbits(250) << 6 for opcode in range(64)] + list(range(64))
    for index in range(len(words) + 2):
        bench.dut.i_instruction.value = words[min(index, len(words) - 1)]
        await bench.cycles(1)
        if index >= 2:
            word = words[index - 2]
            assert int(bench.dut.o_illegal.value) == (not is_legal(word)), hex(word)


def test_legality_check() -> None:
    run_cocotb(LegalityCheck(), __file__, tests="judges")
