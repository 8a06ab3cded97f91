# SPDX-License-Identifier: Apache-2.0
"""For benches of the whole accelerator: host, memory, programs, comparison with the reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave
from numpy.typing import NDArray

from weft_arch import isa, registers
from weft_arch.config import Configuration, preset
from weft_arch.encoding import encode_program
from weft_arch.isa import (
    Instruction,
    VectorDestination,
    VectorOp,
    WeightFormat,
)
from weft_arch.layouts import pack_tiles
from weft_arch.registers import Control, Fault, Interrupt, Status
from weft_sim.bench import Bench, Stalls
from weft_sim.reference import ReferenceDevice

__all__ = [
    "BASE",
    "DATA",
    "FAILS",
    "SIZE",
    "ProgramBuilder",
    "TopDevice",
    "chain",
    "compare",
    "random_floats",
]

BASE = 0x1000_0000
SIZE = 0x4_0000
PROGRAM = BASE
DATA = BASE + 0x8000
"""What programs may write begins here; what they may read, at BASE."""
FAILS = BASE + SIZE - 0x1000
"""Beyond it the memory answers SLVERR, though the regions allow it."""


class Memory:
    """Bytes behind the AXI4 port. Reads and writes elsewhere are errors."""

    def __init__(self) -> None:
        self.data = np.zeros(SIZE, np.uint8)

    def _place(self, address: int, size: int) -> slice:
        if address < BASE or address + size > FAILS:
            raise IndexError(f"{address:#x} is outside the memory")
        return slice(address - BASE, address - BASE + size)

    async def read(self, address: int, size: int, **_: Any) -> bytes:
        return self.data[self._place(address, size)].tobytes()

    async def write(self, address: int, raw: bytes, **_: Any) -> None:
        self.data[self._place(address, len(raw))] = np.frombuffer(raw, np.uint8)


class TopDevice:
    """The accelerator as a host sees it."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.dut = bench, bench.dut
        self.config = preset(bench.parameters["preset"])
        self.memory = Memory()
        dut = bench.dut
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.axi: Any = AxiSlave(
            AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, target=self.memory
        )
        for name, channel in (
            ("aw", self.axi.write_if.aw_channel),
            ("w", self.axi.write_if.w_channel),
            ("b", self.axi.write_if.b_channel),
            ("ar", self.axi.read_if.ar_channel),
            ("r", self.axi.read_if.r_channel),
        ):
            stalls = Stalls(bench.stall, bench.random_for(name))
            channel.set_pause_generator(iter(stalls.now, None))

    async def read(self, name: str) -> int:
        """A register."""
        return await self.lite.read_dword(registers.offset(name))

    async def write(self, name: str, value: int) -> None:
        """Write a register."""
        await self.lite.write_dword(registers.offset(name), value)

    async def counter(self, name: str) -> int:
        """A 64-bit counter."""
        low = await self.read(f"{name}_LOW")
        return low | await self.read(f"{name}_HIGH") << 32

    async def prepare(self) -> None:
        """Regions and interrupts as all tests use them."""
        for name, value in (
            ("REGION_BASE", BASE),
            ("REGION_LIMIT", BASE + SIZE),
            ("WRITE_BASE", DATA),
            ("WRITE_LIMIT", BASE + SIZE),
            ("PROGRAM_BASE", PROGRAM),
            ("INTERRUPT_ENABLE", Interrupt.DONE | Interrupt.FAULT),
        ):
            await self.write(name, value)

    async def start(self, program: Sequence[Instruction] | bytes) -> None:
        """Put the program into memory and start it."""
        raw = program if isinstance(program, bytes) else encode_program(program)
        self.memory.data[: len(raw)] = np.frombuffer(raw, np.uint8)
        await self.write("PROGRAM_LENGTH", len(raw) // isa.INSTRUCTION_BYTES)
        await self.write("CONTROL", Control.START)

    async def run(self, program: Sequence[Instruction] | bytes) -> Status:
        """Start, wait for the interrupt, and return the status."""
        await self.start(program)
        while not int(self.dut.irq.value):
            await self.bench.cycles(10)
        status = Status(await self.read("STATUS"))
        await self.write("INTERRUPT_PENDING", 3)
        return status

    async def reset(self) -> None:
        """CONTROL.RESET, to its end."""
        await self.write("CONTROL", Control.RESET)
        while await self.read("STATUS"):
            pass

    async def fault(self) -> tuple[Fault, int]:
        """Cause and address."""
        return Fault(await self.read("FAULT_CAUSE")), await self.read("FAULT_ADDRESS")


async def reference_like(
    device: TopDevice, data: NDArray[np.uint8] | None = None
) -> ReferenceDevice:
    """The reference with the same registers and memory, and ``data`` at DATA in both."""
    reference = ReferenceDevice(device.config, memory_bytes=SIZE, memory_base=BASE)
    if data is not None:
        device.memory.data[DATA - BASE :][: data.size] = data
    for name in ("REGION_BASE", "REGION_LIMIT", "WRITE_BASE", "WRITE_LIMIT", "PROGRAM_BASE"):
        reference.write_register(registers.offset(name), await device.read(name))
    for index in range(1, isa.N_SCALARS):
        offset = registers.scalar_offset(index)
        reference.write_register(offset, await device.lite.read_dword(offset))
    reference.write_memory(BASE, device.memory.data.copy())
    return reference


async def compare(
    device: TopDevice, program: Sequence[Instruction], data: NDArray[np.uint8] | None = None
) -> None:
    """Run a program on both, and compare memory and scalars."""
    reference = await reference_like(device, data)
    assert await device.run(program) == Status.DONE, await device.fault()
    reference.write_memory(BASE, device.memory.data[:0x8000].copy())
    reference.write_register(registers.offset("PROGRAM_LENGTH"), len(program))
    reference.start()
    reference.wait()
    wrong = np.flatnonzero(reference.memory != device.memory.data)
    assert not wrong.size, f"{wrong.size} bytes differ, the first at {BASE + wrong[0]:#x}"
    for index in range(isa.N_SCALARS):
        offset = registers.scalar_offset(index)
        assert await device.lite.read_dword(offset) == reference.read_register(offset), index


def chain(*instructions: Instruction) -> list[Instruction]:
    """Each engine instruction waits for the one before it, through tokens 1, 2, ..."""
    result = []
    for index, instruction in enumerate(instructions):
        last = index == len(instructions) - 1
        result.append(
            dataclasses.replace(
                instruction, wait_a=index and index, signal_a=0 if last else index + 1
            )
        )
    return result


def random_floats(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """F32 values."""
    return rng.normal(size=size).astype("<f4").view(np.uint8)


class ProgramBuilder:
    """Writes a program for the vector memory's words 0 to 2047: where things go is counted up, and
    each instruction waits for the one before it unless it says otherwise."""

    def __init__(self, config: Configuration, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.instructions: list[Instruction] = []
        self._ahead: list[Instruction] = []
        self.data = bytearray()
        self._results = 0x1_0000
        self._token = 0
        self._last = 0

    def put(self, raw: NDArray[Any]) -> int:
        """Memory address of a copy of ``raw``."""
        address = DATA + len(self.data)
        self.data += raw.tobytes()
        self.data += bytes(-len(self.data) % 64)
        return address

    def room(self, size: int) -> int:
        """Memory address of ``size`` bytes for results."""
        address = DATA + self._results
        self._results += -(-size // 64) * 64
        return address

    def add(self, instruction: Instruction, *, waits: bool = True, aside: bool = False) -> None:
        """Append; with ``waits`` after the instruction before it is finished. What comes next does
        not wait for one that is ``aside``, but for the same as that one."""
        if waits and self.instructions:
            self._token = self._token % isa.N_TOKENS + 1
            signal = {"signal_b" if aside else "signal_a": self._token}
            before = self.instructions[self._last]
            self.instructions[self._last] = dataclasses.replace(before, **signal)
            instruction = dataclasses.replace(instruction, wait_a=self._token)
        if not aside:
            self._last = len(self.instructions)
        self.instructions.append(instruction)

    def load(self, rows: int, values: int, destination: int, scale: float = 1.0) -> None:
        """Rows of random floats to vector memory, one after the other."""
        words = values // self.config.lanes
        raw = (self.rng.normal(size=(rows, values)) * scale).astype("<f4")
        self.add(
            isa.Load(
                address=self.put(raw),
                count=rows,
                words=words,
                destination=destination,
                destination_stride=words,
                row_bytes=4 * values,
            )
        )

    def store(self, rows: int, values: int, source: int) -> None:
        """Rows of vector memory to memory."""
        words = values // self.config.lanes
        self.add(
            isa.Store(
                address=self.room(4 * rows * values),
                count=rows,
                words=words,
                source=source,
                source_stride=words,
                row_bytes=4 * values,
            )
        )

    def quantize(self, rows: int, values: int, a: int, d: int) -> None:
        """Rows of vector memory to the activation buffer."""
        words = values // self.config.lanes
        self.add(
            isa.Vector(
                operation=VectorOp.COPY,
                to=VectorDestination.ACTIVATIONS,
                count=rows,
                words=words,
                a=a,
                a_outer=words,
                d=d,
                d_outer=values // 32,
                group_words=self.config.words_per_block,
            )
        )

    def weights(self, n_tiles: int, k_blocks: int, bits: int) -> None:
        """A STREAM_WEIGHTS of a random matrix; waits for nothing."""
        rng, cols = self.rng, self.config.array_cols
        low, high = (0, 16) if bits == 4 else (-127, 128)
        shape = (n_tiles * cols, k_blocks, 32)
        codes = rng.integers(low, high, shape).astype(np.uint8 if bits == 4 else np.int8)
        scales = rng.uniform(0.001, 0.02, (n_tiles * cols, k_blocks)).astype(np.float16)
        tiles = pack_tiles(self.config, codes, scales, bits)
        fmt = WeightFormat.W4 if bits == 4 else WeightFormat.W8
        count = n_tiles * k_blocks
        self._ahead.append(isa.StreamWeights(address=self.put(tiles), count=count, format=fmt))

    async def compare(self, device: TopDevice) -> None:
        """Run and compare."""
        data = np.frombuffer(bytes(self.data), np.uint8)
        await compare(device, [*self._ahead, *self.instructions, isa.Halt()], data)
