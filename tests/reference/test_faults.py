# SPDX-License-Identifier: Apache-2.0
"""What stops a program on the reference: cause, address, and that nothing else is touched."""

from dataclasses import replace

import numpy as np
import pytest

from tests.reference.programs import (
    ATTEND,
    BASE,
    CONFIG,
    DATA,
    END,
    HALT,
    KV,
    LOAD,
    MATMUL,
    QUANTISE,
    STORE,
    STORE_KV,
    TILE,
    VECTOR,
    WRITABLE,
    load_program,
    read,
    run,
    write,
)
from weft_arch import isa, registers
from weft_arch.device import DeviceFault
from weft_arch.encoding import encode_program
from weft_arch.isa import Opcode
from weft_arch.registers import Fault, Interrupt, Status
from weft_sim.reference import ReferenceDevice

UNALIGNED, OUTSIDE = Fault.UNALIGNED_ADDRESS, Fault.ADDRESS_OUT_OF_RANGE
OPERAND = Fault.ILLEGAL_OPERAND
FAULTS = {
    "load, unaligned": ([replace(LOAD, address=DATA + 4)], UNALIGNED, DATA + 4),
    "load, second row unaligned": ([replace(LOAD, row_bytes=68)], UNALIGNED, DATA + 68),
    "load, below": ([replace(LOAD, address=BASE - 8)], OUTSIDE, BASE - 8),
    "load, beyond": ([replace(LOAD, address=END)], OUTSIDE, END),
    "load, across the end": ([replace(LOAD, address=END - 8)], OUTSIDE, END - 8),
    "load, row numbers unaligned": ([replace(LOAD, gather=1, aux_a_reg=2)], UNALIGNED, DATA + 2),
    "load, no words": ([replace(LOAD, words=0)], OPERAND, Opcode.LOAD),
    "load, half a block of Q8": (
        [replace(LOAD, words=2, format=isa.LoadFormat.Q8)],
        OPERAND,
        Opcode.LOAD,
    ),
    "store, before the window": ([replace(STORE, address=DATA)], OUTSIDE, DATA),
    "store, unaligned": ([replace(STORE, address=WRITABLE + 4)], UNALIGNED, WRITABLE + 4),
    "store, across the end": ([replace(STORE, address=END - 8)], OUTSIDE, END - 8),
    "store, no words": ([replace(STORE, words=0)], OPERAND, Opcode.STORE),
    "store top-k, before the window": ([isa.StoreTopK(address=DATA)], OUTSIDE, DATA),
    "store top-k, unaligned": (
        [isa.StoreTopK(address=WRITABLE + 4)],
        UNALIGNED,
        WRITABLE + 4,
    ),
    "store kv, no blocks": ([replace(STORE_KV, k_blocks=0)], OPERAND, Opcode.STORE_KV),
    "store kv, no slots": ([replace(STORE_KV, slots=0)], OPERAND, Opcode.STORE_KV),
    "store kv, unaligned": ([replace(STORE_KV, address=WRITABLE + 1)], UNALIGNED, WRITABLE + 1),
    "store kv, unaligned slots": ([replace(STORE_KV, slot_bytes=4)], UNALIGNED, WRITABLE),
    "stream, beyond": ([replace(TILE, address=END)], OUTSIDE, END),
    "stream, unaligned": ([replace(TILE, address=DATA + 2)], UNALIGNED, DATA + 2),
    "stream, keep without the memory": (
        [replace(TILE, resident=isa.Resident.KEEP)],
        Fault.ILLEGAL_INSTRUCTION,
        1,
    ),
    "stream, replay without the memory": (
        [replace(TILE, resident=isa.Resident.REPLAY)],
        Fault.ILLEGAL_INSTRUCTION,
        1,
    ),
    "stream kv, beyond": ([replace(KV, address=END - 64)], OUTSIDE, END - 64),
    "stream kv, no blocks": ([replace(KV, k_blocks=0)], OPERAND, Opcode.STREAM_KV),
    "matmul, no rows": ([TILE, replace(MATMUL, count=0)], OPERAND, Opcode.MATMUL),
    "matmul, too many rows": ([TILE, replace(MATMUL, count=65)], OPERAND, Opcode.MATMUL),
    "matmul, no blocks": ([TILE, replace(MATMUL, k_blocks=0)], OPERAND, Opcode.MATMUL),
    "matmul, no tiles": ([TILE, replace(MATMUL, n_tiles=0)], OPERAND, Opcode.MATMUL),
    "matmul, top-k of rows": (
        [TILE, replace(MATMUL, count=2, to_top_k=1)],
        OPERAND,
        Opcode.MATMUL,
    ),
    "attend, no rows": ([KV, replace(ATTEND, count=0)], OPERAND, Opcode.ATTEND),
    "attend, no keys": ([KV, replace(ATTEND, aux_b_reg=0)], OPERAND, Opcode.ATTEND),
    "attend, too many keys": ([KV, replace(ATTEND, aux_b_reg=6)], OPERAND, Opcode.ATTEND),
    "attend, position too large": (
        [KV, replace(ATTEND, causal=1, aux_a_reg=6)],
        OPERAND,
        Opcode.ATTEND,
    ),
    "attend, too wide": ([KV, replace(ATTEND, k_blocks=9)], OPERAND, Opcode.ATTEND),
    "attend, no rows per position": (
        [KV, replace(ATTEND, rows_per_position=0)],
        OPERAND,
        Opcode.ATTEND,
    ),
    "attend, too few accumulators": (
        [KV, replace(ATTEND, count=64, k_blocks=8)],
        OPERAND,
        Opcode.ATTEND,
    ),
    "vector, no words": ([replace(VECTOR, words=0)], OPERAND, Opcode.VECTOR),
    "vector, no inner": ([replace(VECTOR, inner=0, count=0)], OPERAND, Opcode.VECTOR),
    "vector, no group": ([replace(QUANTISE, group_words=0)], OPERAND, Opcode.VECTOR),
    "vector, broken group": ([replace(QUANTISE, group_words=3)], OPERAND, Opcode.VECTOR),
    "vector, long group": ([replace(QUANTISE, group_words=8)], OPERAND, Opcode.VECTOR),
    "vector, overfull group": (
        [replace(QUANTISE, fill=1, group_offset=1)],
        OPERAND,
        Opcode.VECTOR,
    ),
    "reduce, no words": ([isa.Reduce(count=1)], OPERAND, Opcode.REDUCE),
    "no halt": ([isa.Fence(), isa.Fence()], Fault.ILLEGAL_INSTRUCTION, 3),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(device: ReferenceDevice, name: str) -> None:
    """Cause and address are told, other memory stays, and after a reset all is well."""
    program, cause, address = FAULTS[name]
    tail = [] if name == "no halt" else [HALT]
    load_program(device, [isa.Fence(), *program, *tail])
    for register, value in ((2, DATA + 2), (5, 5), (6, isa.POSITION_LIMIT)):
        device.write_register(registers.scalar_offset(register), value)
    before = device.memory.copy()
    device.start()
    with pytest.raises(DeviceFault) as fault:
        device.wait()
    assert (fault.value.cause, fault.value.address) == (cause, address)
    assert (read(device, "FAULT_CAUSE"), read(device, "FAULT_ADDRESS")) == (cause, address)
    assert read(device, "STATUS") == Status.FAULT
    assert read(device, "INTERRUPT_PENDING") == Interrupt.FAULT
    window = slice(WRITABLE - device.memory_base, END - device.memory_base)
    after = device.memory.copy()
    after[window] = before[window]
    np.testing.assert_array_equal(after, before)

    load_program(device, [LOAD, STORE, HALT])
    device.start()
    assert read(device, "STATUS") == Status.FAULT, "only a reset helps"
    device.reset()
    assert (read(device, "STATUS"), read(device, "FAULT_CAUSE")) == (0, 0)
    assert read(device, "SCALAR_5") == 0
    device.start()
    device.wait()
    assert read(device, "STATUS") == Status.DONE


@pytest.mark.parametrize(
    "raw",
    [b"\x3f" + bytes(31), b"\x00" * 3 + b"\x80" + bytes(28)],
    ids=["opcode", "reserved bit"],
)
def test_an_illegal_instruction_is_a_fault_when_it_is_reached(
    device: ReferenceDevice, raw: bytes
) -> None:
    with pytest.raises(DeviceFault) as fault:
        run(device, encode_program([isa.Fence()]) + raw)
    assert (fault.value.cause, fault.value.address) == (Fault.ILLEGAL_INSTRUCTION, 1)
    device.reset()
    run(device, encode_program([HALT]) + raw)


def test_a_program_that_is_too_long_or_outside_is_a_fault(device: ReferenceDevice) -> None:
    load_program(device, [HALT])
    write(device, "PROGRAM_LENGTH", CONFIG.instruction_words + 1)
    device.start()
    assert read(device, "FAULT_CAUSE") == Fault.ILLEGAL_INSTRUCTION
    device.reset()
    load_program(device, [HALT])
    write(device, "PROGRAM_BASE", END)
    device.start()
    assert (read(device, "FAULT_CAUSE"), read(device, "FAULT_ADDRESS")) == (OUTSIDE, END)


def test_a_region_beyond_the_memory_answers_errors(device: ReferenceDevice) -> None:
    far = device.memory_base + device.memory.size
    for program, cause in (
        ([replace(LOAD, address=far), HALT], Fault.READ_ERROR),
        ([replace(STORE, address=far), HALT], Fault.WRITE_ERROR),
    ):
        load_program(device, program)
        write(device, "REGION_LIMIT", far + 0x1000)
        write(device, "WRITE_LIMIT", far + 0x1000)
        device.start()
        assert (read(device, "FAULT_CAUSE"), read(device, "FAULT_ADDRESS")) == (cause, far)
        device.reset()


def test_store_kv_outside_its_window_leaves_memory_alone(device: ReferenceDevice) -> None:
    keys = replace(VECTOR, to=isa.VectorDestination.KEYS, group_words=4)
    load_program(device, [keys, replace(STORE_KV, address=END - 32, count=1), HALT])
    before = device.memory.copy()
    device.start()
    assert (read(device, "FAULT_CAUSE"), read(device, "FAULT_ADDRESS")) == (OUTSIDE, END)
    outside = slice(END - device.memory_base, None)
    np.testing.assert_array_equal(device.memory[outside], before[outside])
