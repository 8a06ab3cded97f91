# SPDX-License-Identifier: Apache-2.0
"""The CPU with its memories: programs that reach every area, errors, reset in mid-access."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from cocotbext.axi import AxiLiteBus, AxiLiteRam

from weft_arch.config import preset
from weft_arch.soc import LINK_BASE, area
from weft_rtl.soc.cpu import Cpu
from weft_rtl.soc.cpu_core import BUS_ERROR_INTERRUPT, cpu_core_verilog
from weft_rtl.soc.cpu_memory import rom_words
from weft_rtl.verilog_text import to_verilog
from weft_sim.axi_memory import AxiMemory
from weft_sim.bench import Bench, Stalls, bench_test, run_cocotb

sys.path.insert(0, str(Path(__file__).parent))
from riscv import Program

TINY = preset("tiny")
ROM, RAM, DRAM = area("ROM").base, area("RAM").base, area("DRAM").base
RAM_END = RAM + area("RAM").bytes
ACCELERATOR, SOC = area("ACCELERATOR").base, area("SOC").base
A, B, C, P, Q, COUNT, END = 5, 6, 7, 8, 9, 10, 11
MSTATUS, MIE, MTVEC, MCAUSE = 0x300, 0x304, 0x305, 0x342
INTERRUPTS_MASK, INTERRUPTS_PENDING = 0xBC0, 0xFC0
WORDS = 24
VALUES = [(0x9E37_79B9 * k) & 0xFFFF_FFFF for k in range(1, WORDS + 1)]
WILD = (0x0000_6000, 0x0000_8000, RAM_END, 0x2000_0000, 0xE000_0000, 0x4002_0000)
"""Addresses that nobody has; the last one is in the DRAM's area and beyond the DRAM."""


def tour() -> bytes:
    """Copies words from ROM through RAM to DRAM and back to registers; bytes and halves; mul."""
    p = Program()
    table = 0x400

    def copy(source: int, to: int, count: int) -> None:
        p.li(P, source)
        p.li(Q, to)
        p.li(END, source + 4 * count)
        loop = p.here
        p.load(A, P)
        p.store(A, Q)
        p.addi(P, P, 4)
        p.addi(Q, Q, 4)
        p.branch(P, END, loop)

    copy(table, RAM_END - 0x100, WORDS)
    copy(RAM_END - 0x100, DRAM + 0x1000, WORDS)
    p.li(P, DRAM + 0x1000)
    p.li(Q, RAM)
    for k in range(8):  # bytes one by one through RAM to DRAM
        p.load(A, P, k, kind=4)
        p.store(A, Q, k + 1, kind=0)
    p.load(A, Q, 4)
    p.li(P, DRAM + 0x2004)
    p.store(A, P)
    p.load(A, Q, 2, kind=1)
    p.store(A, P, 6, kind=1)
    p.load(B, Q, 4)
    p.mul(C, B, B)
    p.store(C, P, 12)
    p.li(P, ACCELERATOR + 0x40)
    p.store(A, P)
    p.li(P, SOC + 0x10)
    p.store(C, P)
    p.load(B, P)
    p.get_csr(A, INTERRUPTS_PENDING)
    p.store(A, P, 8)
    p.store(B, P, 4)  # the last one: the bench waits for it
    p.stop()
    p.data([0] * (table // 4 - len(p.words)))
    p.data(VALUES)
    return p.image


def wild() -> bytes:
    """Loads from the address in the DRAM's first word, or jumps to it if the second word says so.
    The trap leaves its cause in the DRAM; without a trap, what was loaded is left there."""
    p = Program()
    p.li(COUNT, DRAM)
    p.li(A, 0x200)
    p.set_csr(MTVEC, A)
    p.li(A, 1 << BUS_ERROR_INTERRUPT)
    p.set_csr(INTERRUPTS_MASK, A)
    p.li(A, 1 << 11)
    p.set_csr(MIE, A)
    p.li(A, 1 << 3)
    p.set_csr(MSTATUS, A)
    p.load(P, COUNT)
    p.load(C, COUNT, 4)
    p.branch(C, 0, 0x100)
    p.load(A, P)
    for _ in range(8):
        p.addi(0, 0, 0)
    p.branch(A, COUNT, 0x208)
    p.data([0x13] * (0x100 // 4 - len(p.words)))
    p.jump(P)
    p.data([0x13] * (0x200 // 4 - len(p.words)))
    p.get_csr(A, MCAUSE)
    p.addi(0, 0, 0)
    p.store(A, COUNT, 8)
    p.li(Q, SOC + 0x14)
    p.store(COUNT, Q)
    p.stop()
    return p.image


class System:
    def __init__(self, bench: Bench) -> None:
        self.memory = AxiMemory(bench, "axi_", 1 << 17, max_beats=1, latency=12)
        self.registers = AxiLiteRam(
            AxiLiteBus.from_prefix(bench.dut, "registers_"),
            bench.dut.clk,
            bench.dut.rst,
            size=LINK_BASE + 0x100,
        )
        for interface, name in (("write", "aw"), ("write", "w"), ("write", "b"), ("read", "ar")):
            stalls = Stalls(bench.stall, bench.random_for(name))
            port = getattr(getattr(self.registers, f"{interface}_if"), f"{name}_channel")
            port.set_pause_generator(iter(stalls.now, None))
        bench.dut.i_interrupts.value = 2
        bench.dut.i_reset.value = 0

    def word(self, at: int) -> int:
        return int.from_bytes(self.memory.data[at : at + 4].tobytes(), "little")


async def finished(bench: Bench, system: System) -> None:
    while system.registers.read_dword(LINK_BASE + 0x14) == 0:
        await bench.cycles(10)


def check_tour(system: System) -> None:
    assert [system.word(0x1000 + 4 * k) for k in range(WORDS)] == VALUES
    raw = bytes(1) + b"".join(v.to_bytes(4, "little") for v in VALUES[:2])
    middle = int.from_bytes(raw[4:8], "little")
    assert system.word(0x2004) == middle
    assert system.word(0x2008) == int.from_bytes(raw[2:4], "little") << 16
    assert system.word(0x2010) == middle * middle & 0xFFFF_FFFF
    assert system.registers.read_dword(LINK_BASE + 0x14) == middle * middle & 0xFFFF_FFFF
    assert system.registers.read_dword(LINK_BASE + 0x10) == middle * middle & 0xFFFF_FFFF
    assert system.registers.read_dword(LINK_BASE + 0x18) & 3 in (0, 2)
    half = int.from_bytes(raw[2:4], "little")
    signed = (half ^ 0x8000) - 0x8000
    assert system.registers.read_dword(0x40) == signed & 0xFFFF_FFFF


@bench_test(deadline_cycles=60_000)
async def reaches_everything(bench: Bench) -> None:
    system = System(bench)
    await finished(bench, system)
    check_tour(system)


@bench_test(deadline_cycles=400_000)
async def begins_anew_after_reset(bench: Bench) -> None:
    """Resets at every time, also in the middle of an access, whose answer nobody must get."""
    system = System(bench)
    for _ in range(60):
        await bench.cycles(bench.random.randrange(30, 1500))
        bench.dut.i_reset.value = 1
        await bench.cycles(bench.random.randrange(1, 12))
        bench.dut.i_reset.value = 0
    await bench.cycles(100)
    system.memory.data[:] = 0
    system.registers.write_dword(LINK_BASE + 0x14, 0)
    bench.dut.i_reset.value = 1
    await bench.cycles(3)
    bench.dut.i_reset.value = 0
    system.registers.write_dword(LINK_BASE + 0x14, 0)
    await finished(bench, system)
    check_tour(system)


@bench_test(deadline_cycles=60_000)
async def traps_where_nobody_is(bench: Bench) -> None:
    system = System(bench)
    system.memory.bad.add(0x2_0000)
    interrupt, illegal = 0x8000_000B, 2
    cases = [(address, 0, interrupt) for address in WILD]
    cases += [(address, 1, illegal) for address in (0x6000, 0x8000, RAM, DRAM)]
    cases += [(DRAM + 12, 0, 0x1234), (0x1FC, 0, 0x13)]
    system.memory.data[12:14] = (0x34, 0x12)
    for address, jumps, found in cases:
        bench.dut.i_reset.value = 1
        await bench.cycles(3)
        words = np.array([address, jumps, 0], np.uint32)
        system.memory.data[:12] = words.view(np.uint8)
        system.registers.write_dword(LINK_BASE + 0x14, 0)
        bench.dut.i_reset.value = 0
        await finished(bench, system)
        assert system.word(8) == found, f"{address:#x}, jumps {jumps}"


def design(image: bytes) -> str:
    return to_verilog(Cpu(TINY, image), "Cpu") + cpu_core_verilog()


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_cpu(stall: float) -> None:
    run_cocotb(
        design(tour()),
        __file__,
        name="Cpu",
        tests=["reaches_everything", "begins_anew_after_reset"],
        parameters={"stall": stall},
    )


def test_cpu_traps() -> None:
    run_cocotb(design(wild()), __file__, name="Cpu", tests="traps_where_nobody_is")


def test_a_firmware_that_is_too_long_is_refused() -> None:
    sentence = r"^the firmware has 32769 bytes; the ROM has 32768, and it must fit$"
    with pytest.raises(ValueError, match=sentence):
        rom_words(bytes(32769), 32768)
    assert rom_words(b"\x01\x02\x03\x04\x05", 8) == [0x0403_0201, 5]
