# SPDX-License-Identifier: Apache-2.0
"""The register map, and what a device says when a program is stopped."""

import pickle

import pytest

from weft_arch import registers
from weft_arch.device import DeviceFault
from weft_arch.registers import COUNTERS, REGISTERS, Fault


def test_registers_have_their_own_words_inside_the_window() -> None:
    offsets = [r.offset for r in REGISTERS.values()]
    assert len(offsets) == len(set(offsets))
    assert all(o % 4 == 0 and o < registers.WINDOW_BYTES for o in offsets)
    assert offsets == sorted(offsets)


def test_the_identification_spells_weft() -> None:
    assert registers.ID_VALUE.to_bytes(4, "big") == b"WEFT"


def test_offsets_by_name() -> None:
    assert registers.offset("ID") == 0
    assert registers.scalar_offset(3) - registers.scalar_offset(0) == 12
    for name in COUNTERS:
        assert registers.offset(f"{name}_HIGH") == registers.counter_offset(name) + 4


@pytest.mark.parametrize(
    ("cause", "address", "sentence"),
    [
        (
            Fault.ADDRESS_OUT_OF_RANGE,
            0x1234,
            "The device stopped the program: address out of range at address 0x00001234.",
        ),
        (
            Fault.ILLEGAL_INSTRUCTION,
            7,
            "The device stopped the program: illegal instruction at instruction 7.",
        ),
        (
            Fault.ILLEGAL_OPERAND,
            0x10,
            "The device stopped the program: illegal operand in MATMUL.",
        ),
        (
            Fault.TOKEN_OVERFLOW,
            5,
            "The device stopped the program: token overflow for dependency token 5.",
        ),
        (
            Fault.LOOP_OVERFLOW,
            4,
            "The device stopped the program: loop overflow at instruction 4.",
        ),
    ],
)
def test_a_fault_is_a_sentence(cause: Fault, address: int, sentence: str) -> None:
    fault = DeviceFault(cause, address)
    assert str(fault) == sentence
    copy = pickle.loads(pickle.dumps(fault))
    assert (copy.cause, copy.address, str(copy)) == (cause, address, sentence)
