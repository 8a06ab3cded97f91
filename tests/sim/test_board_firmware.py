# SPDX-License-Identifier: Apache-2.0
"""The whole board with its firmware: jobs over the serial line give the reference's tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.firmware.board import CONTEXT, TINY, compiled, complete, expected, request
from tests.sim.simulated import BOARD
from weft.jobs import JobEngine
from weft.link import LinkDevice
from weft.link.faults import FaultInjector
from weft.llm import LLM
from weft.runtime import ModelRunner
from weft.sampling import SamplingParams
from weft_rtl.soc.firmware import build_firmware
from weft_sim.board_line import BoardLine
from weft_sim.board_ports import PtyPort
from weft_sim.board_server import BoardServer
from weft_sim.board_simulation import BoardSimulation

PROMPT = [5, 6, 7, 8, 9, 10, 11]
PARAMS = [
    SamplingParams(temperature=0, max_tokens=4),
    SamplingParams(temperature=1.2, top_k=4, top_p=0.9, seed=4, max_tokens=4),
]


@contextmanager
def board_with_model() -> Iterator[BoardSimulation]:
    """With its firmware, and the model in its SDRAM: sending that is what takes the time."""
    with BoardSimulation(BOARD, firmware=build_firmware().rom) as simulation:
        model = compiled()
        simulation.memory[model.base : model.base + model.image.size] = model.image
        yield simulation


def test_the_firmware_gives_the_references_tokens() -> None:
    with board_with_model() as simulation, LinkDevice(TINY, BoardLine(simulation)) as device:
        engine = JobEngine.connect(ModelRunner(compiled(), device), device)
        assert engine is not None
        for params in PARAMS:
            wanted = expected(PROMPT, params).token_ids
            assert complete(engine, request(PROMPT, params)) == wanted
        assert device.statistics.repeats == 0


@pytest.mark.slow
def test_a_thousand_faults_give_no_wrong_token() -> None:
    with board_with_model() as simulation:
        faults = [FaultInjector.seeded(f"jobs/{way}", 1 / 40) for way in ("to", "from")]
        line = BoardLine(simulation, damage=(faults[0].damage, faults[1].damage))
        with LinkDevice(TINY, line) as device:
            engine = JobEngine.connect(ModelRunner(compiled(), device), device)
            assert engine is not None
            jobs = 0
            while sum(f.total for f in faults) < 1000:
                params = PARAMS[jobs % 2]
                wanted = expected(PROMPT, params).token_ids
                assert complete(engine, request(PROMPT, params)) == wanted
                jobs += 1
        assert jobs >= 2


def test_generate_over_a_pseudo_terminal() -> None:
    """As ``weft generate -d serial:...`` does it, on a board that another thread simulates."""
    stop = threading.Event()
    with board_with_model() as simulation:
        port = PtyPort()
        server = BoardServer(simulation, port)

        def serve() -> None:
            while not stop.is_set():
                server.step()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        params = SamplingParams(temperature=0, max_tokens=3)
        options = {"preset": "tiny", "max_model_len": CONTEXT, "max_num_seqs": 3}
        try:
            with LLM(device=server.address, **options) as board:
                (found,) = board.generate("Once upon a time", params)
        finally:
            stop.set()
            thread.join(60)
            port.close()
    with LLM(device="reference", **options) as reference:
        (wanted,) = reference.generate("Once upon a time", params)
    assert found.outputs[0].token_ids == wanted.outputs[0].token_ids
