# SPDX-License-Identifier: Apache-2.0
"""A board in this process, without a line: the reference, and the firmware beside it."""

from __future__ import annotations

import functools
from types import TracebackType

import numpy as np

from weft.compiler import CompiledModel, compile_model
from weft.engine import Engine, HostEngine
from weft.jobs import JobClient, JobEngine
from weft.jobs.area import JobArea
from weft.link.board_cpu import BoardCpu
from weft.model import load_model
from weft.quantize import WeightFormat
from weft.request import Request
from weft.runtime import ModelRunner
from weft.sampling import SamplingParams
from weft_arch.config import Configuration, preset
from weft_arch.soc import LINK_BASE
from weft_sim.native_firmware import NativeFirmware
from weft_sim.reference import ReferenceDevice

TINY = preset("tiny")
MEMORY_BYTES = 4 << 20
CONTEXT = 48
DEADLINE_STEPS = 3000
"""Looks at the CPU after which a test has hung."""


class Board:
    """A `weft.jobs.client.BoardDevice`; `cpu` is the host's side, `firmware` the CPU itself."""

    def __init__(self, config: Configuration = TINY) -> None:
        self.device = ReferenceDevice(config, memory_bytes=MEMORY_BYTES)
        self.firmware = NativeFirmware(self.device)
        self.name, self.config, self.wait_cycles = "board", config, 1_000_000
        self.memory_bytes, self.memory_base = MEMORY_BYTES, 0
        self.cpu = BoardCpu.find(self)
        self.steps = 0

    def read_memory(self, address: int, size: int) -> np.ndarray:
        return self.device.read_memory(address, size)

    def write_memory(self, address: int, data: np.ndarray | bytes) -> None:
        self.device.write_memory(address, data)

    def read_register(self, offset: int) -> int:
        if offset >= LINK_BASE:
            return self.firmware.read_register(offset - LINK_BASE)
        return self.device.read_register(offset)

    def write_register(self, offset: int, value: int) -> None:
        if offset >= LINK_BASE:
            self.firmware.write_register(offset - LINK_BASE, value)
        else:
            self.device.write_register(offset, value)

    def start(self) -> None:
        self.device.start()

    def wait(self, cycle_limit: int | None = None) -> int:
        return self.device.wait(cycle_limit)

    def wait_interrupt(self, cycles: int) -> bool:
        del cycles
        self.firmware.step()
        self.steps += 1
        assert self.steps < DEADLINE_STEPS, "the test has hung"
        return self.firmware.notify

    def reset(self) -> None:
        self.device.reset()

    def close(self) -> None:
        self.device.close()

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@functools.cache
def compiled() -> CompiledModel:
    """The shipped model with a short context, for three sequences."""
    checkpoint = load_model().checkpoint
    return compile_model(
        checkpoint, TINY, WeightFormat("w8"), max_context=CONTEXT, max_sequences=3, chunk_rows=5
    )


def connect(
    board: Board, *, job_entries: int = 4, token_entries: int = 256, first_number: int = 0
) -> JobClient:
    """A board with the model, its firmware waiting for jobs."""
    ModelRunner(compiled(), board)
    area = JobArea(
        base=JobArea.after(compiled()).base,
        max_context=CONTEXT,
        job_entries=job_entries,
        token_entries=token_entries,
    )
    assert board.cpu is not None
    return JobClient(board, board.cpu, compiled(), area, first_number=first_number)


def request(prompt_ids: list[int], params: SamplingParams) -> Request:
    return Request("", prompt_ids, params, load_model().tokenizer, CONTEXT - len(prompt_ids))


def complete(engine: Engine, one: Request, sequence: int = 0) -> list[int]:
    """A request's tokens."""
    engine.begin(one, sequence)
    while not one.finish_reason:
        engine.step({sequence: one})
    engine.end(one)
    return one.token_ids


def firmware_engine(board: Board) -> JobEngine:
    engine = JobEngine.connect(ModelRunner(compiled(), board), board)
    assert engine is not None
    return engine


@functools.cache
def _host() -> HostEngine:
    return HostEngine(ModelRunner(compiled(), ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES)))


def expected(prompt_ids: list[int], params: SamplingParams) -> Request:
    """The request as this host runs it step by step on the reference."""
    one = request(prompt_ids, params)
    complete(_host(), one)
    return one
