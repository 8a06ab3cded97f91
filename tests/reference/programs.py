# SPDX-License-Identifier: Apache-2.0
"""A reference device, its memory map, and small programs for it."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from weft_arch import isa, registers
from weft_arch.config import preset
from weft_arch.device import Device
from weft_arch.encoding import encode_program
from weft_arch.isa import Instruction
from weft_sim.reference import ReferenceDevice

__all__ = [
    "ATTEND",
    "BASE",
    "CONFIG",
    "DATA",
    "END",
    "HALT",
    "KV",
    "LOAD",
    "MATMUL",
    "QUANTISE",
    "SIZE",
    "STORE",
    "STORE_KV",
    "TILE",
    "VECTOR",
    "WORD",
    "WRITABLE",
    "load_program",
    "new_device",
    "read",
    "run",
    "write",
]

CONFIG = preset("default")
BASE, SIZE = 0x1000, 0x10000
DATA, WRITABLE = BASE + 0x4000, BASE + 0x8000
END = BASE + SIZE
WORD = 4 * CONFIG.lanes


def write(device: Device, name: str, value: int) -> None:
    device.write_register(registers.offset(name), value)


def read(device: Device, name: str) -> int:
    return device.read_register(registers.offset(name))


def load_program(device: Device, program: Sequence[Instruction] | bytes) -> None:
    raw = program if isinstance(program, bytes) else encode_program(program)
    device.write_memory(BASE, raw)
    for name, value in (
        ("PROGRAM_BASE", BASE),
        ("PROGRAM_LENGTH", len(raw) // isa.INSTRUCTION_BYTES),
        ("REGION_BASE", BASE),
        ("REGION_LIMIT", END),
        ("WRITE_BASE", WRITABLE),
        ("WRITE_LIMIT", END),
    ):
        write(device, name, value)


def new_device() -> ReferenceDevice:
    """A device whose memory is full of noise, some of it outside the program's region."""
    made = ReferenceDevice(CONFIG, memory_bytes=2 * SIZE, memory_base=BASE - 0x800)
    rng = np.random.default_rng(1)
    made.write_memory(made.memory_base, rng.integers(0, 256, made.memory.size).astype(np.uint8))
    return made


def run(device: Device, program: Sequence[Instruction] | bytes) -> None:
    load_program(device, program)
    device.start()
    device.wait()


LOAD = isa.Load(address=DATA, count=2, words=2, destination_stride=2, row_bytes=2 * WORD)
STORE = isa.Store(address=WRITABLE, count=2, words=2, source_stride=2, row_bytes=2 * WORD)
KV = isa.StreamKV(address=DATA, count=5, k_blocks=1)
HALT = isa.Halt()
TILE = isa.StreamWeights(address=DATA, count=1)
MATMUL = isa.Matmul(count=1, k_blocks=1, n_tiles=1)
ATTEND = isa.Attend(count=1, aux_b_reg=5, k_blocks=1, rows_per_position=1)
VECTOR = isa.Vector(count=1, words=4)
QUANTISE = dataclasses.replace(VECTOR, to=isa.VectorDestination.ACTIVATIONS, group_words=4)
STORE_KV = isa.StoreKV(address=WRITABLE, k_blocks=1, slots=1, slot_bytes=64)
