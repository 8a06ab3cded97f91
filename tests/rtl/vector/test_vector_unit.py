# SPDX-License-Identifier: Apache-2.0
"""The vector unit with its vector memory, against the reference model's VECTOR and REDUCE.

Random instructions run back to back. Other clients take read and write cycles of the vector memory,
destinations stall, and the softmax unit writes row scalars in between. After each instruction all
that it wrote is compared.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch import float24, isa
from weft_arch.config import PRESETS, Configuration
from weft_arch.encoding import encode
from weft_arch.isa import OperandB, Reduce, Vector, VectorDestination, VectorOp
from weft_arch.registers import Fault
from weft_rtl.interfaces import (
    ResolvedInstruction,
    activation_write,
    engine_signature,
    quantized_group,
    row_scalar_write,
    strobe_signature,
    vector_write,
)
from weft_rtl.memory.vector_memory import VectorMemory
from weft_rtl.vector.vector_unit import VectorUnit
from weft_sim.bench import (
    Bench,
    Packer,
    Stalls,
    StreamChecker,
    StreamDriver,
    StreamMonitor,
    bench_test,
    run_cocotb,
)
from weft_sim.reference.state import MachineState, Memory, Resolved
from weft_sim.reference.vector import reduce, vector

CONFIGURATIONS = {
    "4_lanes": PRESETS["tiny"],
    "8_lanes": PRESETS["default"],
    "16_lanes": dataclasses.replace(
        PRESETS["default"], name="wide", array_cols=16, beat_bytes=16, activation_bits=12
    ),
}
UPPER = 128
"""Row scalars from here on are the softmax unit's."""


class Surroundings(wiring.Component):
    """The vector unit and the vector memory, whose other clients only take cycles.

    Members: ``engine`` and the streams of the vector unit; ``load`` fills the memory; ``o_written``
    is what the vector unit writes; ``i_take_read`` and ``i_take_write`` keep it off the memory.
    """

    def __init__(self, config: Configuration) -> None:
        self._config = config
        write = vector_write(config)
        super().__init__(
            {
                "engine": Out(engine_signature()),
                "load": In(stream.Signature(write)),
                "o_written": Out(strobe_signature(write)),
                "i_take_read": In(1),
                "i_take_write": In(1),
                "i_row_scalar": In(strobe_signature(row_scalar_write())),
                "o_activation_write": Out(stream.Signature(activation_write(config))),
                "o_groups": Out(stream.Signature(quantized_group())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = VectorUnit(self._config)
        m.submodules.memory = memory = VectorMemory(self._config)
        for name in ("engine", "i_row_scalar", "o_activation_write", "o_groups"):
            connect(m, getattr(unit, name), flipped(getattr(self, name)))
        connect(m, unit.read, memory.vector_read)
        connect(m, unit.o_write, memory.vector_write)
        connect(m, flipped(self.load), memory.load_write)
        m.d.comb += [
            self.o_written.valid.eq(unit.o_write.valid & unit.o_write.ready),
            self.o_written.payload.eq(unit.o_write.payload),
            memory.compute_read.request.valid.eq(self.i_take_read),
            memory.compute_write.valid.eq(self.i_take_write),
            # the last word is nobody's
            memory.compute_write.payload.address.eq((1 << 14) - 1),
        ]
        return m


def resolved(instruction: isa.Instruction) -> dict[str, Any]:
    """The payload of the engine's instruction stream; no scalar registers are used."""
    word = int.from_bytes(encode(instruction), "little")
    return {
        "opcode": int(instruction.opcode),
        "address": instruction.address,
        "count": instruction.count,
        "arguments": word >> isa.ARGUMENT_BASE,
    }


def random_floats(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """F24 values of every kind: similar ones, integers, zeros, extremes."""
    x = rng.standard_normal(shape) * 2.0 ** rng.integers(-3, 4, (shape[0], 1))
    kind = rng.integers(0, 40, shape)
    x = np.where(kind == 0, 0.0, x)
    x = np.where(kind == 1, np.rint(x * 4) / 4, x)
    wild = np.ldexp(x, rng.integers(-120, 121, shape))
    x = np.where((kind == 2) & (rng.integers(0, 4, (shape[0], 1)) == 0), wild, x)
    return float24.round_to_f24(x)


def random_loops(rng: random.Random) -> dict[str, int]:
    return {
        "count": rng.choice([0, 1, 1, 1, 2, 3, 5]),
        "inner": rng.choice([1, 1, 2, 3, 6]),
        "words": rng.choice([1, 1, 2, 3, 4, 8, 13, 32]),
        "a": rng.randrange(512),
        "a_outer": rng.randrange(64),
        "a_inner": rng.randrange(64),
    }


def random_reduce(rng: random.Random, config: Configuration) -> Reduce:
    scale = float(rng.choice([1.0, 1 / 64, -0.3, rng.uniform(-2, 2)]))
    offset = float(rng.choice([0.0, 1e-5, -1.5]))
    return Reduce(
        operation=rng.choice(list(isa.ReduceOp)),
        post=rng.choice(list(isa.ReducePost)),
        d=rng.randrange(32),
        d_outer=rng.randrange(14),
        d_inner=rng.randrange(5),
        address=int(float24.encode(float24.round_to_f24(scale))),
        offset=int(float24.encode(float24.round_to_f24(offset))),
        **random_loops(rng),
    )


def random_vector(rng: random.Random, config: Configuration) -> Vector:
    fields: dict[str, int] = random_loops(rng)
    operation = rng.choice(list(VectorOp))
    operand_b = rng.choice(list(OperandB))
    to = rng.choice([VectorDestination.VECTOR_MEMORY, *VectorDestination])
    fields |= {
        "activation": rng.choice(list(isa.Activation)),
        "b": rng.randrange(512),
        "b_outer": rng.randrange(64),
        "b_inner": rng.randrange(64),
        "d": 1024 + rng.randrange(512),
        "d_outer": rng.randrange(100),
        "d_inner": rng.randrange(33),
    }
    if operation == VectorOp.ROPE:
        fields["address"] = rng.randrange(512)
    elif operand_b == OperandB.ROW_SCALAR:
        fields |= {"b": rng.randrange(16), "b_outer": rng.randrange(9), "b_inner": rng.randrange(9)}
    elif operand_b == OperandB.IMMEDIATE:
        value = rng.choice([0.0, 1.0, -2.5, rng.uniform(-4, 4)])
        pattern = int(float24.encode(float24.round_to_f24(value)))
        fields["address"] = rng.choice([pattern, pattern, 0x7FA000, 0x807FFF]) | 0x55 << 24
    per_block = config.words_per_block
    if to == VectorDestination.VECTOR_MEMORY:
        if rng.random() < 0.3:  # in place
            fields |= {"a": 1024, "d": 1024, "a_inner": 40, "d_inner": 40}
            fields |= {"a_outer": 256, "d_outer": 256}
    else:
        fields["d"] = rng.randrange(64)
        fields["wide_keys"] = rng.randrange(2)
        blocks = 1 if to != VectorDestination.VALUES else rng.randint(1, 63 // per_block)
        fields["group_words"] = blocks * per_block
        if rng.random() < 0.4:
            fields["fill"] = 1
            fields["words"] = rng.randint(1, fields["group_words"])
            room = min(fields["group_words"] - fields["words"], 31)
            fields["group_offset"] = rng.randint(0, room)
        else:
            fields["words"] = fields["group_words"] * rng.randint(1, 4)
    return Vector(operation=operation, operand_b=operand_b, to=to, **fields)


def dump_row_scalars(ones: int) -> Vector:
    """Makes all row scalars visible in vector memory."""
    return Vector(
        operation=VectorOp.MUL, operand_b=OperandB.ROW_SCALAR, count=4, inner=64, words=1, a=ones,
        b_outer=64, b_inner=1, d=2048, d_outer=64, d_inner=1,
    )  # fmt: skip


class Harness:
    """The bench around `Surroundings`: memory image, disturbances, model, comparison."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.config = config = CONFIGURATIONS[bench.parameters["configuration"]]
        self.state = MachineState(config, Memory(np.zeros(0, np.uint8), 0, config.beat_bytes))
        self.driver = StreamDriver(bench, "engine__instruction", ResolvedInstruction, stall=0)
        self.load = StreamDriver(bench, "load", vector_write(config), stall=0)
        self.groups = StreamMonitor(bench, "o_groups", quantized_group())
        self.blocks = StreamMonitor(bench, "o_activation_write", activation_write(config))
        self.expected: list[isa.Instruction] = []
        self._pause = 0  # cycles without a row scalar from the softmax unit
        self.accepted_cycles: list[int] = []
        self.done_cycles: list[int] = []
        self.faults: list[dict[str, int]] = []
        self.strobes = False
        self.words = np.zeros((config.vector_memory_words, config.lanes), np.int64)
        self._write = Packer(vector_write(config))
        self._seen_blocks = self._seen_groups = 0
        self._groups_due: list[str] = []
        self._rng = bench.random_for("disturbances")
        self._stalls = [Stalls(bench.stall, self._rng) for _ in range(3)]
        dut = bench.dut
        dut.i_take_read.value = 0
        dut.i_take_write.value = 0
        dut.i_row_scalar__valid.value = 0
        bench.add_agent(self._at_edge)
        bench.add_report(lambda: f"{len(self.done_cycles)} of {len(self.expected)} done")

    async def fill(self, values: np.ndarray) -> None:
        """Write the first words of the memory."""
        patterns = float24.encode(values).astype(np.int64)
        self.words[: len(values)] = patterns
        self.state.vectors[: len(values)] = values
        rows = patterns.tolist()
        self.load.send_all({"address": k, "data": row} for k, row in enumerate(rows))
        await self.load.drained()
        await self.bench.cycles(2)

    async def run(self, instructions: list[isa.Instruction]) -> None:
        """Run to the end of the last one."""
        self.expected += instructions
        self.driver.send_all(resolved(i) for i in instructions)
        while len(self.done_cycles) < len(self.expected):
            await self.bench.cycles(5)
        while self._groups_due:  # the last one may wait for the store unit
            await self.bench.cycles(1)
            self._compare_groups(instructions[-1])

    def _at_edge(self) -> None:
        dut = self.bench.dut
        if int(dut.o_written__valid.value):
            write = self._write.unpack(int(dut.o_written__payload.value))
            self.words[write["address"] % len(self.words)] = write["data"]
        if int(dut.engine__instruction__valid.value) and int(dut.engine__instruction__ready.value):
            self.accepted_cycles.append(self.bench.cycle)
        if int(dut.engine__done.value):
            self._compare(self.expected[len(self.done_cycles)])
            self.done_cycles.append(self.bench.cycle)
        fault = int(dut.engine__fault.value)
        if fault & 1:
            packer = Packer(engine_signature().members["fault"].shape)
            self.faults.append(packer.unpack(fault))
        if self.bench.stall:
            dut.i_take_read.value = int(self._stalls[0].now())
            dut.i_take_write.value = int(self._stalls[1].now())
            # As the softmax unit does: a row in four cycles at most.
            strobe = not (self._stalls[2].now() or self._pause)
            self._pause = 3 if strobe else max(0, self._pause - 1)
            strobe &= self.strobes
            dut.i_row_scalar__valid.value = int(strobe)
            if strobe:
                address = self._rng.randrange(UPPER, 256)
                pattern = 0x3F0000 + self._rng.getrandbits(15)
                dut.i_row_scalar__payload.value = pattern << 8 | address
                self.state.row_scalars[address] = float24.decode(np.array(pattern))

    def _compare(self, instruction: isa.Instruction) -> None:
        run = vector if isinstance(instruction, Vector) else reduce
        state = self.state
        run(state, Resolved(instruction, instruction.address, instruction.count, 0, 0))
        wanted = float24.encode(state.vectors.astype(np.float32)).astype(np.int64)
        if not np.array_equal(self.words, wanted):
            place = tuple(int(k[0]) for k in np.nonzero(self.words != wanted))
            raise AssertionError(
                f"after {instruction}: word, lane {place} is {self.words[place]:#x}, expected "
                f"{wanted[place]:#x}; {int((self.words != wanted).sum())} differ"
            )
        self._groups_due += [
            str({"codes": [int(c) for c in codes], "exponent": exponent})
            for codes, exponent in state.groups
        ]
        state.groups.clear()
        self._compare_groups(instruction)
        assert len(self._groups_due) <= 1, f"{len(self._groups_due)} groups late at {instruction}"
        # a block may be written twice; those not written by this instruction are 0 in both
        codes, exponents = np.zeros_like(state.codes), np.zeros_like(state.exponents)
        for write in self.blocks.received[self._seen_blocks :]:
            address = write["address"] % len(codes)
            codes[address] = write["block"]["codes"]
            exponents[address] = write["block"]["exponent"]
        self._seen_blocks = len(self.blocks.received)
        assert np.array_equal(codes, state.codes), f"codes of {instruction}"
        assert np.array_equal(exponents, state.exponents), f"exponents of {instruction}"
        state.codes[:] = 0
        state.exponents[:] = 0

    def _compare_groups(self, instruction: isa.Instruction) -> None:
        """Those that came since the last time are the next ones due."""
        groups = self.groups.received[self._seen_groups :]
        self._seen_groups += len(groups)
        assert [str(g) for g in groups] == self._groups_due[: len(groups)], f"by {instruction}"
        del self._groups_due[: len(groups)]


@bench_test(deadline_cycles=120_000)
async def runs_instructions(bench: Bench) -> None:
    harness = Harness(bench)
    rng = bench.random
    values = random_floats(np.random.default_rng(bench.seed), (1536, harness.config.lanes))
    values[1535] = 1.0
    StreamChecker(bench, "engine__instruction")
    await harness.fill(values)
    for _ in range(bench.parameters["rounds"]):
        program = []
        for _ in range(12):
            write = random_reduce if rng.random() < 0.3 else random_vector
            program.append(write(rng, harness.config))
        harness.strobes = True
        await harness.run(program)
        harness.strobes = False
        await bench.cycles(3)
        await harness.run([dump_row_scalars(1535)])
    assert not harness.faults


PLAIN = {"count": 1, "words": 16, "a": 0, "d": 1024}
TIMED: dict[str, tuple[isa.Instruction, int]] = {
    "copy": (Vector(operation=VectorOp.COPY, **PLAIN), 16 + 11),
    "scale": (Vector(operation=VectorOp.MUL, operand_b=OperandB.ROW_SCALAR, **PLAIN), 16 + 11),
    "multiply": (Vector(operation=VectorOp.MUL, b=64, **PLAIN), 32 + 11),
    "add_scalar": (Vector(operation=VectorOp.ADD, operand_b=OperandB.IMMEDIATE, **PLAIN), 16 + 15),
    "add": (Vector(operation=VectorOp.ADD, b=64, **PLAIN), 32 + 15),
    "rope": (Vector(operation=VectorOp.ROPE, b=64, address=64, **PLAIN), 48 + 15),
    "activate": (Vector(operation=VectorOp.ACTIVATE, **PLAIN), 32 + 18),
    "quantize": (
        Vector(operation=VectorOp.COPY, to=VectorDestination.ACTIVATIONS, group_words=4, **PLAIN),
        16 + 20,
    ),
    "reduce": (Reduce(operation=isa.ReduceOp.SUM_SQUARES, **PLAIN | {"d": 5}), 16 + 49),
    "reduce_rows": (
        Reduce(operation=isa.ReduceOp.SUM, **PLAIN | {"d": 5, "count": 3}),
        3 * 16 + 2 * 11 + 49,
    ),
    "nothing": (Vector(**PLAIN | {"count": 0}), 2),
}
"""Instructions for 8 lanes, and the cycles from their transfer to ``done``."""


@bench_test(deadline_cycles=10_000)
async def takes_known_times(bench: Bench) -> None:
    harness = Harness(bench)
    await harness.fill(random_floats(np.random.default_rng(1), (256, harness.config.lanes)))
    await harness.run([instruction for instruction, _ in TIMED.values()])
    cycles = [
        done - accepted
        for accepted, done in zip(harness.accepted_cycles, harness.done_cycles, strict=True)
    ]
    wanted = {name: n for name, (_, n) in TIMED.items()}
    assert str(dict(zip(TIMED, cycles, strict=True))) == str(wanted)
    # the next one is accepted as the one before finishes
    assert harness.accepted_cycles[1:] == harness.done_cycles[:-1]


def test_latencies() -> None:
    run_cocotb(
        Surroundings(CONFIGURATIONS["8_lanes"]),
        __file__,
        tests="takes_known_times",
        parameters={"configuration": "8_lanes"},
    )


GROUP = {"count": 1, "words": 4, "to": VectorDestination.ACTIVATIONS, "group_words": 4}
ILLEGAL = [
    Vector(count=1, words=0),
    Vector(count=0, words=0),
    Vector(count=1, words=1, inner=0),
    Reduce(count=1, words=0),
    Reduce(count=1, words=3, inner=0),
    Vector(**GROUP | {"group_words": 0}),
    Vector(**GROUP | {"group_words": 6}),
    Vector(**GROUP | {"group_words": 8, "words": 8}),
    Vector(**GROUP | {"words": 5}),
    Vector(**GROUP | {"words": 3, "inner": 4}),
    Vector(**GROUP | {"fill": 1, "words": 5}),
    Vector(**GROUP | {"fill": 1, "words": 3, "group_offset": 2}),
]


@bench_test(deadline_cycles=10_000)
async def refuses_bad_operands(bench: Bench) -> None:
    harness = Harness(bench)
    for k, instruction in enumerate(ILLEGAL):
        harness.driver.send(resolved(instruction))
        await bench.cycles(60)
        assert len(harness.faults) == k + 1, instruction
        fault = harness.faults[-1]
        wanted = {"valid": 1, "cause": Fault.ILLEGAL_OPERAND, "address": instruction.opcode}
        assert fault == wanted, instruction
        assert not int(bench.dut.engine__instruction__ready.value)
        assert not int(bench.dut.engine__busy.value)
        await bench.reset()
        await bench.cycles(2)
        # it works again, and an instruction that does nothing may have any group
        await harness.run([Vector(**GROUP), Vector(**GROUP | {"count": 0, "group_words": 0})])
        assert len(harness.faults) == k + 1
    assert harness.groups.received == []


def test_bad_operands() -> None:
    run_cocotb(
        Surroundings(CONFIGURATIONS["8_lanes"]),
        __file__,
        tests="refuses_bad_operands",
        parameters={"configuration": "8_lanes"},
    )


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_instructions(configuration: str, stall: float) -> None:
    run_cocotb(
        Surroundings(CONFIGURATIONS[configuration]),
        __file__,
        tests="runs_instructions",
        parameters={"configuration": configuration, "stall": stall, "rounds": 12},
    )
