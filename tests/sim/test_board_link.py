# SPDX-License-Identifier: Apache-2.0
"""The whole board, driven by the host over its serial line, against the reference."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.compiler.models import compiled, model_config, random_model, runner, tokens
from tests.rtl.soc.riscv import Program
from tests.sim.simulated import BOARD
from weft.link import LinkDevice, LinkError
from weft.link.faults import FaultInjector
from weft.runtime import ModelRunner
from weft_arch.config import preset
from weft_arch.soc import LINK_BASE, SOC_ID_VALUE, area, soc_offset
from weft_sim.board_line import BoardLine
from weft_sim.board_simulation import BoardSimulation

TINY = preset("tiny")


@pytest.fixture
def simulation() -> Iterator[BoardSimulation]:
    with BoardSimulation(BOARD) as simulated:
        yield simulated


def test_memory_and_registers(simulation: BoardSimulation) -> None:
    with LinkDevice(TINY, BoardLine(simulation), memory_bytes=BOARD.memory_bytes) as device:
        assert device.memory_bytes == 32 << 20
        rng = np.random.default_rng(1)
        ends = (0, 4093, (16 << 20) + 5, BOARD.memory_bytes - 777)
        for address in ends:
            data = rng.integers(0, 256, 777, dtype=np.uint8)
            device.write_memory(address, data)
            np.testing.assert_array_equal(device.read_memory(address, 777), data)
            np.testing.assert_array_equal(simulation.memory[address : address + 777], data)
        assert device.read_register(LINK_BASE + soc_offset("SOC_ID")) == SOC_ID_VALUE
        device.write_register(LINK_BASE + soc_offset("LEDS"), 0xA5)
        assert device.read_register(LINK_BASE + soc_offset("LEDS")) == 0xA5
        assert simulation.leds == 0xA5
        simulation.press(0x11)
        assert device.read_register(LINK_BASE + soc_offset("BUTTONS")) == 0x11
        with pytest.raises(LinkError, match=r"error when reading register 0x20000\.$"):
            device.read_register(0x2_0000)
        device.power_cycle()
        assert device.read_register(LINK_BASE + soc_offset("LEDS")) == 0xA5
        assert device.statistics.repeats == 0
        assert simulation.figures.broken_bytes == 0


def test_the_cpu_runs_its_firmware() -> None:
    """Waits for the doorbell, adds two words of the DRAM, and tells the host."""
    p = Program()
    p.li(5, area("SOC").base)
    p.li(6, area("DRAM").base + 0x100)
    wait = p.here
    p.load(7, 5, soc_offset("DOORBELL"))
    p.branch(7, 0, wait, kind=0)
    p.load(8, 6, 0)
    p.load(9, 6, 4)
    p.mul(9, 9, 8)
    p.store(9, 6, 8)
    p.addi(7, 0, 1)
    p.store(7, 5, soc_offset("NOTIFY"))
    p.stop()
    simulation = BoardSimulation(BOARD, firmware=p.image)
    with simulation, LinkDevice(TINY, BoardLine(simulation)) as device:
        device.write_memory(0x100, np.array([123_456, 789, 0], np.uint32).view(np.uint8))
        assert device.read_register(LINK_BASE + soc_offset("NOTIFY")) == 0
        device.write_register(LINK_BASE + soc_offset("CPU_CONTROL"), 0)  # the host held it
        device.write_register(LINK_BASE + soc_offset("DOORBELL"), 1)
        for _ in range(20):
            if device.read_register(LINK_BASE + soc_offset("NOTIFY")):
                break
        result = device.read_memory(0x108, 4).view(np.uint32)
        assert result[0] == 123_456 * 789


@pytest.mark.parametrize("rate", [0.0, 1 / 400])
def test_tokens_are_those_of_the_reference(simulation: BoardSimulation, rate: float) -> None:
    """A prompt in chunks and greedy steps, on a line that is good, and on one with faults."""
    model = compiled(random_model(model_config(n_layers=1)), config="tiny")
    expected, prompt = runner(model), tokens(20)
    # The image by the back door: sending it is what takes the time. The host still checks it.
    simulation.memory[model.base : model.base + model.image.size] = model.image
    faults = [FaultInjector.seeded(f"board/{way}", rate) for way in ("to", "from")]
    line = BoardLine(simulation, damage=(faults[0].damage, faults[1].damage))
    with LinkDevice(TINY, line, memory_bytes=model.memory.size) as device:
        real = ModelRunner(model, device)
        for one in (real, expected):
            one.prefill(prompt)
        for position in range(len(prompt), len(prompt) + 4):
            top, wanted = real.top_k(), expected.top_k()
            np.testing.assert_array_equal(top.token_ids, wanted.token_ids)
            np.testing.assert_array_equal(top.logits, wanted.logits)
            for one in (real, expected):
                one.run_chunk([int(wanted.token_ids[0])], position=position)
        assert (device.statistics.repeats > 0) == (rate > 0)
    assert (sum(f.total for f in faults) > 3) == (rate > 0)
