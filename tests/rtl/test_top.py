# SPDX-License-Identifier: Apache-2.0
"""The whole accelerator as its host sees it: registers, scalars, rows, faults, resets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from weft_arch import isa, registers
from weft_arch.config import preset
from weft_arch.encoding import encode_program
from weft_arch.isa import (
    Instruction,
    Opcode,
    ScalarOp,
)
from weft_arch.registers import Control, Fault, Interrupt, Status
from weft_sim.bench import Bench, bench_test, run_cocotb
from weft_sim.top_bench import (
    BASE,
    DATA,
    FAILS,
    SIZE,
    TopDevice,
    chain,
    compare,
    random_floats,
)


@bench_test(deadline_cycles=5_000)
async def identifies(bench: Bench) -> None:
    device = TopDevice(bench)
    config = device.config
    assert await device.read("ID") == registers.ID_VALUE
    assert await device.read("VERSION") == registers.VERSION_VALUE
    low, high = await device.read("FINGERPRINT_LOW"), await device.read("FINGERPRINT_HIGH")
    assert low | high << 32 == config.fingerprint
    geometry = config.array_cols | config.beat_bytes << 8 | config.activation_bits << 16
    assert await device.read("GEOMETRY") == geometry
    assert await device.read("STATUS") == 0


@bench_test(deadline_cycles=20_000)
async def computes_scalars(bench: Bench) -> None:
    device = TopDevice(bench)
    await device.prepare()
    for index in range(1, 8):
        await device.write(f"SCALAR_{index}", bench.random.getrandbits(32))
    await device.write("SCALAR_8", 5)
    add = isa.Scalar(operation=ScalarOp.ADD, address_reg=9, address=3, destination=9)
    program = [
        isa.Loop(count_reg=8, body_end=6),
        add,
        isa.Loop(count=2, body_end=5),
        isa.Scalar(operation=ScalarOp.MUL, address_reg=1, address=0x1234_5677, destination=1),
        isa.Scalar(operation=ScalarOp.SUB, address_reg=2, count_reg=9, destination=2),
        isa.Scalar(operation=ScalarOp.MAX, address_reg=3, count_reg=1, destination=3),
        isa.Fence(),
        isa.Scalar(operation=ScalarOp.ADD, address=7, destination=0),
        isa.Halt(),
    ]
    await compare(device, program)
    assert await device.read("SCALAR_9") == 15
    assert await device.read("SCALAR_0") == 0
    await device.write("SCALAR_9", 1)
    await compare(device, program)  # scalars stay from run to run
    assert await device.read("SCALAR_9") == 16
    await device.reset()
    assert await device.read("SCALAR_9") == 0
    assert await device.read("PROGRAM_LENGTH") == len(program)


@bench_test(deadline_cycles=40_000)
async def moves_rows(bench: Bench) -> None:
    """LOAD, STORE and the counters of memory traffic."""
    device = TopDevice(bench)
    await device.prepare()
    await device.write("CONTROL", Control.CLEAR_COUNTERS)
    rng = np.random.default_rng(bench.seed)
    lanes = device.config.lanes
    rows, words = 6, 5
    row_bytes = 4 * lanes * words
    program = chain(
        isa.Load(address=DATA, count=rows, words=words, destination=3, destination_stride=8,
                 row_bytes=row_bytes),
        isa.Store(address=DATA + 0x4000, count=rows, words=words - 1, source=4, source_stride=8,
                  row_bytes=row_bytes),
    )  # fmt: skip
    await compare(device, [*program, isa.Halt()], random_floats(rng, rows * lanes * words))
    beat = device.config.beat_bytes
    program_bytes = 3 * isa.INSTRUCTION_BYTES
    written = rows * (words - 1) * lanes * 4
    assert await device.counter("BYTES_READ") == rows * row_bytes + program_bytes
    assert await device.counter("BYTES_WRITTEN") == written
    assert await device.counter("WRITE_BEATS") == written // beat
    cycles = await device.counter("CYCLES")
    assert await device.counter("LOAD_BUSY") < cycles
    assert 0 < await device.counter("STORE_BUSY") < cycles
    assert 0 < await device.counter("READ_IDLE") < cycles


@bench_test(deadline_cycles=60_000)
async def faults(bench: Bench) -> None:
    """Every fault stops the machine, leaves other memory alone, and a reset cures it."""
    device = TopDevice(bench)
    await device.prepare()
    rng = np.random.default_rng(bench.seed)
    lanes = device.config.lanes
    row = {"words": 2, "row_bytes": 8 * lanes}
    load = isa.Load(address=DATA, count=4, destination=0, destination_stride=2, **row)
    store = isa.Store(address=DATA + 0x4000, count=4, source=0, source_stride=2, **row)
    good = [*chain(load, store), isa.Halt()]
    halt = encode_program([isa.Halt()])
    replace = dataclasses.replace

    def program(*instructions: Instruction) -> bytes:
        return encode_program(instructions) + halt

    outside = BASE + SIZE
    cases: list[tuple[bytes, Fault, int]] = [
        (program(isa.Fence())[:32] + b"\x3f" + bytes(31), Fault.ILLEGAL_INSTRUCTION, 1),
        (halt[:3] + b"\x80" + halt[4:], Fault.ILLEGAL_INSTRUCTION, 0),
        (program(replace(load, words=0)), Fault.ILLEGAL_OPERAND, Opcode.LOAD),
        (program(replace(load, address=DATA + 1)), Fault.UNALIGNED_ADDRESS, DATA + 1),
        (program(replace(load, address=outside)), Fault.ADDRESS_OUT_OF_RANGE, outside),
        (program(replace(load, address=0)), Fault.ADDRESS_OUT_OF_RANGE, 0),
        (program(replace(store, address=BASE)), Fault.ADDRESS_OUT_OF_RANGE, BASE),
        (program(replace(store, address=outside)), Fault.ADDRESS_OUT_OF_RANGE, outside),
        (program(replace(load, address=FAILS)), Fault.READ_ERROR, FAILS),
        (program(replace(store, address=FAILS)), Fault.WRITE_ERROR, FAILS),
        (
            program(isa.Loop(count=64, body_end=2), replace(load, count=1, signal_a=31)),
            Fault.TOKEN_OVERFLOW,
            31,
        ),
        (
            program(*(isa.Loop(count=2, body_end=20 - i) for i in range(5))),
            Fault.LOOP_OVERFLOW,
            4,
        ),
    ]
    data = random_floats(rng, 64 * lanes)
    for raw, cause, address in cases:
        device.memory.data[:] = rng.integers(0, 256, SIZE, np.uint8)
        device.memory.data[DATA - BASE :][: data.size] = data
        await device.reset()
        await device.start(raw)
        while not int(device.dut.irq.value):
            await bench.cycles(10)
        before = device.memory.data.copy()
        assert await device.read("STATUS") == Status.FAULT
        assert await device.fault() == (cause, address)
        await bench.cycles(200)
        assert np.array_equal(before, device.memory.data), "all is quiet after a fault"
        await device.write("CONTROL", Control.START)
        assert await device.read("STATUS") == Status.FAULT
        await device.write("INTERRUPT_PENDING", Interrupt.FAULT)
        await device.reset()
        assert await device.fault() == (Fault.NONE, 0)
        await compare(device, good, data)


@bench_test(deadline_cycles=20_000)
async def resets_a_hung_program(bench: Bench) -> None:
    device = TopDevice(bench)
    await device.prepare()
    lanes = device.config.lanes
    row = {"words": 16, "row_bytes": 64 * lanes}
    load = isa.Load(address=DATA, count=4, destination=0, destination_stride=16, **row)
    hung = [load, dataclasses.replace(load, wait_a=9), isa.Halt()]
    data = random_floats(np.random.default_rng(bench.seed), 256 * lanes)
    for wait in (0, 20, 60, 100, 150, 400):
        await device.start(hung)
        await bench.cycles(wait)
        await device.reset()
        store = isa.Store(address=DATA + 0x4000, count=4, source=0, source_stride=16, **row)
        await compare(device, [*chain(load, store), isa.Halt()], data)


@pytest.fixture(scope="module")
def verilog() -> dict[str, str]:
    from weft_rtl.top import generate_verilog

    return {name: generate_verilog(preset(name)) for name in ("tiny",)}


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize(
    "name",
    [
        "identifies",
        "computes_scalars",
        "moves_rows",
        "faults",
        "resets_a_hung_program",
    ],
)
def test_top(name: str, stall: float, verilog: dict[str, str]) -> None:
    parameters = {"preset": "tiny", "stall": stall}
    run_cocotb(verilog["tiny"], __file__, name="weft_top", tests=name, parameters=parameters)
