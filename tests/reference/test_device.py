# SPDX-License-Identifier: Apache-2.0
"""The reference as a device: registers, memory, runs, reset, and weights that are never stale."""

from dataclasses import replace

import numpy as np
import pytest

from tests.reference.programs import (
    BASE,
    CONFIG,
    DATA,
    HALT,
    LOAD,
    MATMUL,
    QUANTISE,
    SIZE,
    STORE,
    TILE,
    VECTOR,
    WORD,
    WRITABLE,
    load_program,
    read,
    run,
    write,
)
from weft_arch import float24, isa, registers
from weft_arch.assembler import assemble
from weft_arch.device import Device, DeviceTimeout
from weft_arch.encoding import encode_program
from weft_arch.generators.instruction_page import EXAMPLE
from weft_arch.isa import Instruction
from weft_arch.layouts import pack_tiles
from weft_arch.registers import Control, Fault, Interrupt, Status
from weft_sim.reference import ReferenceDevice


def test_it_is_a_device(device: ReferenceDevice) -> None:
    assert isinstance(device, Device)
    assert device.name == "reference"
    with device as entered:
        assert entered is device


def test_the_documented_example_multiplies(device: ReferenceDevice) -> None:
    """The program of docs/instruction-set.md."""
    rng = np.random.default_rng(2)
    codes = rng.integers(-127, 128, (16, 2, 32)).astype(np.int8)
    scales = (rng.random((16, 2)) / 128).astype(np.float16)
    x = rng.normal(size=64).astype(np.float32)
    small = ReferenceDevice(CONFIG, memory_bytes=0x10000)
    load_program(small, assemble(EXAMPLE))
    small.write_memory(0x4000, encode_program(assemble(EXAMPLE)))
    small.write_memory(0x1000, x.view(np.uint8))
    small.write_memory(0x2000, pack_tiles(CONFIG, codes, scales, 8))
    for name, value in (("PROGRAM_BASE", 0x4000), ("REGION_BASE", 0), ("REGION_LIMIT", 0x10000)):
        write(small, name, value)
    write(small, "WRITE_BASE", 0x8000)
    write(small, "WRITE_LIMIT", 0x8040)
    small.start()
    small.wait()
    y = small.read_memory(0x8000, 64).view(np.float32)
    exact = (codes * scales.astype(np.float64)[..., None]).reshape(16, 64) @ x
    np.testing.assert_allclose(y, exact, atol=0.03)


def test_identification(device: ReferenceDevice) -> None:
    assert read(device, "ID") == registers.ID_VALUE
    assert read(device, "VERSION") == registers.VERSION_VALUE
    low, high = read(device, "FINGERPRINT_LOW"), read(device, "FINGERPRINT_HIGH")
    assert low | high << 32 == CONFIG.fingerprint
    assert read(device, "GEOMETRY") == 8 | 8 << 8 | 10 << 16


def test_memory_is_seen_without_a_copy_and_guarded(device: ReferenceDevice) -> None:
    device.write_memory(BASE, b"weft")
    at = BASE - device.memory_base
    assert device.memory[at : at + 4].tobytes() == b"weft"
    with pytest.raises(ValueError, match="read-only"):
        device.memory[0] = 1
    copy = device.read_memory(BASE, 4)
    copy[0] = 0
    assert device.read_memory(BASE, 4).tobytes() == b"weft"
    for address, size in ((0, 1), (device.memory_base + device.memory.size, 1)):
        with pytest.raises(ValueError, match=r"are outside the memory$"):
            device.read_memory(address, size)
        with pytest.raises(ValueError, match=r"are outside the memory$"):
            device.write_memory(address, bytes(size))
    with pytest.raises(ValueError, match=r"^there is no register at 0x3fc$"):
        device.read_register(0x3FC)


def test_a_run_to_the_end(device: ReferenceDevice) -> None:
    x = float24.round_to_f24(np.random.default_rng(3).normal(size=4 * CONFIG.lanes))
    device.write_memory(DATA, x.view(np.uint8))
    run(device, [LOAD, STORE, HALT])
    np.testing.assert_array_equal(device.read_memory(WRITABLE, x.nbytes).view(np.float32), x)
    assert read(device, "STATUS") == Status.DONE
    assert read(device, "INTERRUPT_PENDING") == Interrupt.DONE
    assert read(device, "FAULT_CAUSE") == Fault.NONE
    assert read(device, "BYTES_READ_LOW") == x.nbytes
    assert read(device, "BYTES_WRITTEN_LOW") == x.nbytes
    assert read(device, "CYCLES_LOW") == 0, "there is no clock"
    write(device, "INTERRUPT_PENDING", Interrupt.DONE)
    assert read(device, "INTERRUPT_PENDING") == 0
    write(device, "CONTROL", Control.CLEAR_COUNTERS)
    assert read(device, "BYTES_READ_LOW") == 0


def test_a_hung_program_says_who_waits_for_what(device: ReferenceDevice) -> None:
    with pytest.raises(DeviceTimeout, match=r"^instruction 0, LOAD, waits for token 4, which no "):
        run(device, [replace(LOAD, wait_a=4), HALT])
    assert read(device, "STATUS") == Status.RUNNING
    device.reset()
    run(device, [LOAD, HALT])


def test_scalars_and_tokens_stay_until_reset(device: ReferenceDevice) -> None:
    run(device, [isa.Scalar(address=7, destination=3), replace(VECTOR, signal_a=2), HALT])
    assert read(device, "SCALAR_3") == 7
    run(device, [replace(VECTOR, wait_a=2), HALT])
    device.write_register(registers.scalar_offset(0), 5)
    assert read(device, "SCALAR_0") == 0
    write(device, "CONTROL", Control.RESET)
    assert read(device, "SCALAR_3") == 0
    assert read(device, "PROGRAM_LENGTH") == 2, "set-up registers stay"


def matmul_program(address: int = DATA) -> list[Instruction]:
    return [
        replace(LOAD, address=DATA + 0x2000),
        replace(QUANTISE, words=4),
        replace(TILE, address=address),
        replace(MATMUL, destination=64),
        isa.Store(address=WRITABLE, count=1, words=1, source=64),
        HALT,
    ]


def product(device: ReferenceDevice, address: int = DATA) -> np.ndarray:
    run(device, matmul_program(address))
    return device.read_memory(WRITABLE, WORD).view(np.float32)


def tile(seed: int) -> np.ndarray:
    codes = np.random.default_rng(seed).integers(-127, 128, (8, 1, 32)).astype(np.int8)
    return pack_tiles(CONFIG, codes, np.full((8, 1), 0.01, np.float16), 8)


def test_decoded_weights_are_never_stale(device: ReferenceDevice) -> None:
    device.write_memory(DATA + 0x2000, np.linspace(-1, 1, 32, dtype=np.float32).view(np.uint8))
    device.write_memory(DATA, tile(1))
    first = product(device)
    np.testing.assert_array_equal(product(device), first)
    device.write_memory(DATA, tile(2))  # the host writes all of it
    second = product(device)
    assert (first != second).any()
    device.write_memory(DATA, tile(1)[:100])  # and a part of it
    device.write_memory(DATA + 100, tile(1)[100:])
    np.testing.assert_array_equal(product(device), first)

    # The device itself overwrites tiles in its window.
    place = WRITABLE + 0x1000
    device.write_memory(place, tile(1))
    np.testing.assert_array_equal(product(device, place), first)
    raw = np.ascontiguousarray(np.resize(tile(2), 9 * WORD)).view(np.float32)
    clean = float24.from_float32(raw)
    device.write_memory(DATA + 0x3000, clean.view(np.uint8))
    overwrite = [
        replace(LOAD, address=DATA + 0x3000, count=1, words=9),
        replace(STORE, address=place, count=1, words=9),
        HALT,
    ]
    run(device, overwrite)
    expected = ReferenceDevice(CONFIG, memory_bytes=2 * SIZE, memory_base=device.memory_base)
    expected.write_memory(device.memory_base, device.memory)
    np.testing.assert_array_equal(product(device, place), product(expected, place))
    assert (product(device, place) != first).any()
