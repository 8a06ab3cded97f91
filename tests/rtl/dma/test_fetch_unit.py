# SPDX-License-Identifier: Apache-2.0
"""A program reaches the instruction memory whole."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch.config import Configuration, preset
from weft_arch.isa import INSTRUCTION_BYTES
from weft_rtl.dma.axi import axi4_signature, connect_flat, flat_members
from weft_rtl.dma.fetch_unit import FetchCommand, FetchUnit
from weft_rtl.dma.memory_port import MemoryPort
from weft_sim.axi_memory import AxiMemory
from weft_sim.bench import Bench, StreamDriver, bench_test, run_cocotb

SIZE = 1 << 16


class FetchPath(wiring.Component):
    """Fetch unit and memory port."""

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                **flat_members("m_axi", axi4_signature(config)),
                "i": In(stream.Signature(FetchCommand)),
                "o_write": Out(1),
                "o_index": Out(range(config.instruction_words)),
                "o_instruction": Out(8 * INSTRUCTION_BYTES),
                "o_done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = m.submodules.port = MemoryPort(self._config)
        unit = m.submodules.unit = FetchUnit(self._config)
        connect_flat(m, self, "m_axi", port.axi)
        connect(m, unit.read, port.fetch)
        connect(m, flipped(self.i), unit.i)
        m.d.comb += port.i_region_limit.eq(SIZE)
        for name in ("o_write", "o_index", "o_instruction", "o_done"):
            m.d.comb += getattr(self, name).eq(getattr(unit, name))
        return m


@bench_test(deadline_cycles=20_000)
async def fetches(bench: Bench) -> None:
    config = Configuration(**bench.parameters["config"])
    dut = bench.dut
    memory = AxiMemory(bench, "m_axi", SIZE, max_beats=config.max_burst_beats)
    memory.data[:] = np.random.default_rng(bench.seed).integers(0, 256, SIZE, np.uint8)
    driver = StreamDriver(bench, "i", FetchCommand)
    written: list[tuple[int, int]] = []
    done = [0]

    def watch() -> None:
        if int(dut.o_write.value):
            written.append((int(dut.o_index.value), int(dut.o_instruction.value)))
        done[0] += int(dut.o_done.value)

    bench.add_agent(watch)
    lengths = [1, 0, 7, config.instruction_words, 2]
    for k, length in enumerate(lengths):
        address = 0x1000 + k * 0x108
        driver.send({"address": address, "instructions": length})
        while done[0] < k + 1:
            await bench.cycles()
        raw = memory.data[address : address + INSTRUCTION_BYTES * length]
        expected = [
            (i, int.from_bytes(word.tobytes(), "little"))
            for i, word in enumerate(raw.reshape(-1, INSTRUCTION_BYTES))
        ]
        assert written == expected
        written.clear()


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_fetch_unit(stall: float) -> None:
    config = preset("default")
    run_cocotb(
        FetchPath(config), __file__, tests="fetches", parameters={"stall": stall, "config": config}
    )
