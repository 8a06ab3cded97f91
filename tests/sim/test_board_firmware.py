# SPDX-License-Identifier: Apache-2.0
"""The whole board with its firmware: jobs over the serial line give the reference's tokens."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.compiler.models import compiled, model_config, random_model
from tests.firmware.board import complete
from tests.sim.simulated import BOARD
from weft.compiler import CompiledModel
from weft.engine import HostEngine
from weft.jobs import JobEngine
from weft.link import LinkDevice
from weft.link.faults import FaultInjector
from weft.model import load_model
from weft.request import Request
from weft.runtime import ModelRunner
from weft.sampling import SamplingParams
from weft_arch.config import preset
from weft_rtl.soc.firmware import build_firmware
from weft_sim.board_line import BoardLine
from weft_sim.board_simulation import BoardSimulation
from weft_sim.reference import ReferenceDevice

PROMPT = [5, 6, 7, 8, 9, 10, 11]
PARAMS = [
    SamplingParams(temperature=0, max_tokens=5, ignore_eos=True),
    SamplingParams(temperature=1.2, top_k=4, top_p=0.9, seed=4, max_tokens=5, ignore_eos=True),
]


@functools.cache
def model() -> CompiledModel:
    return compiled(random_model(model_config(n_layers=1)), config="tiny")


def request(params: SamplingParams) -> Request:
    return Request("", PROMPT, params, load_model().tokenizer, 40)


@functools.cache
def wanted(index: int) -> list[int]:
    """What the host gets from the reference, step by step."""
    device = ReferenceDevice(preset("tiny"), memory_bytes=1 << 20)
    return complete(HostEngine(ModelRunner(model(), device)), request(PARAMS[index]))


@contextmanager
def board(rate: float = 0.0) -> Iterator[tuple[LinkDevice, list[FaultInjector]]]:
    """The board with its firmware, and the model in its SDRAM, because sending that is what takes
    the time; the host checks it all the same."""
    faults = [FaultInjector.seeded(f"jobs/{way}", rate) for way in ("to", "from")]
    with BoardSimulation(BOARD, firmware=build_firmware().rom) as simulation:
        image = model().image
        simulation.memory[model().base : model().base + image.size] = image
        line = BoardLine(simulation, damage=(faults[0].damage, faults[1].damage))
        with LinkDevice(preset("tiny"), line) as device:
            yield device, faults


def test_the_firmware_gives_the_references_tokens() -> None:
    with board() as (device, _):
        engine = JobEngine.connect(ModelRunner(model(), device), device)
        assert engine is not None
        for index, params in enumerate(PARAMS):
            assert complete(engine, request(params)) == wanted(index)
        assert device.statistics.repeats == 0


@pytest.mark.slow
def test_a_thousand_faults_give_no_wrong_token() -> None:
    with board(1 / 250) as (device, faults):
        engine = JobEngine.connect(ModelRunner(model(), device), device)
        assert engine is not None
        jobs = 0
        while sum(f.total for f in faults) < 1000:
            assert complete(engine, request(PARAMS[jobs % 2])) == wanted(jobs % 2)
            jobs += 1
        assert jobs >= 4
