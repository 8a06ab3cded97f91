# SPDX-License-Identifier: Apache-2.0
"""What goes wrong ends a job with a reason, and the next job goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.firmware.board import (
    CONTEXT,
    DEADLINE_STEPS,
    MEMORY_BYTES,
    Board,
    compiled,
    connect,
    expected,
    firmware_engine,
    request,
)
from weft.errors import SamplingError, WeftError
from weft.jobs import JobClient
from weft.jobs.area import describe
from weft.jobs.ends import failure_of
from weft.sampling import SamplingParams
from weft_arch import isa
from weft_arch.device import DeviceError, DeviceFault, DeviceTimeout
from weft_arch.encoding import encode_program
from weft_arch.jobs import EndReason, Job, JobAnswer, JobError, Rings
from weft_arch.registers import Fault, Status
from weft_arch.soc import WATCHDOG_EXPIRED, BootStage

PROMPT = [5, 6, 7, 8, 9, 10, 11]


@pytest.fixture
def board() -> Iterator[Board]:
    with Board() as made:
        yield made


def job(**changes: int) -> Job:
    return replace(Job(number=0, model=0, prompt=0, prompt_count=0, max_tokens=4), **changes)


def run(client: JobClient, **changes: int) -> JobAnswer:
    return client.answer(client.put(job(**changes), PROMPT, []))


def overwrite(board: Board, client: JobClient, **fields: int) -> None:
    """Change fields of the model's descriptor."""
    descriptor = replace(describe(compiled()), **fields)
    board.write_memory(client.area.model, descriptor.pack())


def load_program(board: Board, *program: isa.Instruction) -> None:
    raw = encode_program(list(program))
    board.write_memory(compiled().memory.regions["program"].base, raw)


def test_a_fault_is_reported_precisely_and_the_next_job_runs(board: Board) -> None:
    client = connect(board)
    good = board.read_memory(compiled().base, compiled().image.size)
    load_program(board, isa.Store(address=0, count=1, words=4), isa.Halt())
    answer = run(client)
    assert (answer.reason, answer.tokens) == (EndReason.FAULT, 0)
    assert (answer.fault_cause, answer.fault_address) == (Fault.ADDRESS_OUT_OF_RANGE, 0)
    assert (answer.position, answer.rows) == (0, 3), "the first of two chunks of 7 tokens"
    assert answer.status == Status.FAULT
    error = failure_of(answer, "board")
    assert isinstance(error, DeviceFault)
    assert str(error).endswith("address out of range at address 0x00000000.")
    board.write_memory(compiled().base, good)
    assert run(client).reason == EndReason.LIMIT


def test_a_program_that_hangs_ends_in_a_timeout(board: Board) -> None:
    client = connect(board)
    good = board.read_memory(compiled().base, compiled().image.size)
    hang = isa.Load(wait_a=3, address=0, count=1, words=4, row_bytes=64)
    load_program(board, hang, isa.Halt())
    answer = run(client, run_cycles=500_000)
    assert answer.reason == EndReason.TIMEOUT
    assert answer.status == Status.RUNNING
    error = failure_of(answer, "board")
    assert isinstance(error, DeviceTimeout)
    assert "the run of 3 tokens from position 0; the sequencer is at instruction " in str(error)
    board.write_memory(compiled().base, good)
    assert run(client).reason == EndReason.LIMIT


def test_a_reset_from_outside_is_noticed(board: Board) -> None:
    client = connect(board)
    number = client.put(job(), PROMPT, [])
    board.firmware.step(2)  # takes the job, starts the first run
    board.device.reset()
    answer = client.answer(number)
    assert (answer.reason, answer.status, answer.rows) == (EndReason.LOST_RUN, 0, 3)
    assert "was reset by somebody else" in str(failure_of(answer, "board"))
    assert run(client).reason == EndReason.LIMIT


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"magic": 0}, JobError.MODEL),
        ({"version": 2}, JobError.MODEL),
        ({"fingerprint": 1 << 63}, JobError.FINGERPRINT),
        ({"chunk_rows": 0}, JobError.SHAPE),
        ({"vocab_size": (1 << 18) + 1}, JobError.SHAPE),
        ({"max_context": 0}, JobError.SHAPE),
        ({"head_register": 16}, JobError.SHAPE),
        ({"top_k_entries": 65}, JobError.SHAPE),
        ({"ids": 2}, JobError.ADDRESS),
        ({"logits": MEMORY_BYTES - 4}, JobError.ADDRESS),
        ({"top_k": 0xFFFF_FFFC}, JobError.ADDRESS),
        ({"max_context": len(PROMPT)}, JobError.PROMPT_LENGTH),
        ({"vocab_size": 11}, JobError.PROMPT_TOKEN),
        ({"max_sequences": 0}, JobError.SHAPE),
    ],
    ids=str,
)
def test_bad_models_are_refused(board: Board, fields: dict[str, int], error: JobError) -> None:
    client = connect(board)
    overwrite(board, client, **fields)
    answer = run(client)
    assert (answer.reason, answer.detail, answer.tokens) == (EndReason.BAD_JOB, error, 0)
    assert isinstance(failure_of(answer, "board"), WeftError)
    overwrite(board, client)
    assert run(client).reason == EndReason.LIMIT


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"sequence": 3}, JobError.SEQUENCE),
        ({"max_tokens": 0}, JobError.LIMIT),
        ({"position": CONTEXT - len(PROMPT)}, JobError.PROMPT_LENGTH),
        ({"position": 0xFFFF_FFFF}, JobError.PROMPT_LENGTH),
        ({"inverse_temperature": 5, "top_p": 0}, JobError.SAMPLING),
        ({"inverse_temperature": 5, "top_p": 65537}, JobError.SAMPLING),
    ],
    ids=str,
)
def test_bad_jobs_are_refused(board: Board, fields: dict[str, int], error: JobError) -> None:
    client = connect(board)
    answer = run(client, **fields)
    assert (answer.reason, answer.detail) == (EndReason.BAD_JOB, error)
    assert run(client).reason == EndReason.LIMIT


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda j: replace(j, number=7), JobError.NUMBER),
        (lambda j: replace(j, model=1), JobError.ADDRESS),
        (lambda j: replace(j, model=MEMORY_BYTES), JobError.ADDRESS),
        (lambda j: replace(j, prompt=MEMORY_BYTES - 4), JobError.ADDRESS),
        (lambda j: replace(j, prompt_count=0), JobError.PROMPT_EMPTY),
        (lambda j: replace(j, prompt_count=0xFFFF_FFFF), JobError.PROMPT_LENGTH),
        (lambda j: replace(j, stop_count=65), JobError.STOPS),
        (lambda j: replace(j, stops=3, stop_count=1), JobError.ADDRESS),
    ],
)
def test_slots_that_were_damaged_are_refused(
    board: Board, change: Callable[[Job], Job], error: JobError
) -> None:
    client = connect(board)
    number = client.put(job(), PROMPT, [])  # the CPU has not run since
    slot = client.area.slot(number)
    put = Job.unpack(board.read_memory(slot, Job.size()).tobytes())
    board.write_memory(slot, change(put).pack())
    answer = client.answer(number)
    assert (answer.reason, answer.detail) == (EndReason.BAD_JOB, error)
    assert run(client).reason == EndReason.LIMIT


@pytest.mark.parametrize("bits", [0x7F80_0000, 0x7FC0_0001, 0xFFFF_FFFF])
def test_logits_that_are_no_numbers_end_the_job(board: Board, bits: int) -> None:
    client = connect(board)
    # The program ends at once, so the list of the likeliest tokens is what stands there.
    load_program(board, isa.Halt())
    base = compiled().memory.regions["top_k"].base
    board.write_memory(base, np.array([bits, 3], "<u4").tobytes())
    answer = run(client)
    assert (answer.reason, answer.detail) == (EndReason.BAD_LOGITS, bits)
    error = failure_of(answer, "board")
    assert isinstance(error, SamplingError)
    assert str(error).endswith("among others, so no token can be chosen.")


@pytest.mark.parametrize("steps", [0, 1, 3, 5, 9])
def test_a_job_is_cancelled_wherever_it_is(board: Board, steps: int) -> None:
    client = connect(board)
    params = SamplingParams(temperature=0, max_tokens=20)
    number = client.put(job(max_tokens=20), PROMPT, [])
    for _ in range(steps):
        board.firmware.step(1)
    client.cancel(number)
    answer = client.answer(number)
    assert answer.reason == EndReason.CANCELLED
    assert answer.tokens < 5
    assert failure_of(answer, "board") is None
    again = client.put(job(max_tokens=20), PROMPT, [])
    got = [client.next_token(again) for _ in range(5)]
    assert got == expected(PROMPT, params).token_ids[:5]


def test_cancelling_one_job_leaves_the_others_alone(board: Board) -> None:
    client = connect(board)
    numbers = [client.put(job(), PROMPT, []) for _ in range(3)]
    client.cancel(numbers[1])
    reasons = [client.answer(number).reason for number in numbers]
    assert reasons == [EndReason.LIMIT, EndReason.CANCELLED, EndReason.LIMIT]


def test_an_error_of_a_job_is_the_error_of_its_request(board: Board) -> None:
    engine = firmware_engine(board)
    load_program(board, isa.Store(address=0, count=1, words=4), isa.Halt())
    with pytest.raises(WeftError, match=r"address out of range at address 0x00000000\.$"):
        engine.begin(request(PROMPT, SamplingParams()), 0)


def until(board: Board, condition: Callable[[], bool]) -> None:
    for _ in range(DEADLINE_STEPS):
        if condition():
            return
        board.firmware.step(1)
    raise AssertionError("the test has hung")


def test_the_watchdog_ends_a_job_as_interrupted(board: Board) -> None:
    client = connect(board)
    assert not board.firmware.expire_watchdog(), "it is off while there is nothing to do"
    number = client.put(job(max_tokens=30), PROMPT, [])
    following = client.put(job(), PROMPT, [])
    until(board, lambda: client._state().token_head == 2)
    assert board.firmware.expire_watchdog()
    answer = client.answer(number)
    assert answer.reason == EndReason.INTERRUPTED
    assert answer.detail & 0xFF == BootStage.WORKING
    assert answer.detail & WATCHDOG_EXPIRED
    sentence = "The CPU of board was reset during a job, by its watchdog."
    assert str(failure_of(answer, "board")) == sentence
    assert client.answer(following).reason == EndReason.LIMIT
    assert board.cpu is not None
    assert board.cpu.read("BOOT_STATUS") & WATCHDOG_EXPIRED


def test_a_reset_between_the_answer_and_the_end_loses_nothing(board: Board) -> None:
    client = connect(board, token_entries=4)
    number = client.put(job(max_tokens=4), PROMPT, [])
    until(board, lambda: client._state().token_head == 4)  # no room for END
    board.firmware.step(4)
    board.firmware.restart()
    answer = client.answer(number)
    assert (answer.reason, answer.tokens) == (EndReason.LIMIT, 4)
    assert run(client).reason == EndReason.LIMIT


def test_a_trap_is_told(board: Board) -> None:
    client = connect(board)
    number = client.put(job(), PROMPT, [])
    assert board.cpu is not None
    board.cpu.write("MAILBOX", MEMORY_BYTES)  # where nothing is
    board.firmware.restart()
    with pytest.raises(DeviceError, match=r"has stopped: stage TRAP, detail 139\.$"):
        client.answer(number)


def test_what_is_no_ring_is_not_attached(board: Board) -> None:
    assert board.cpu is not None
    rings = Rings(
        memory_base=0,
        memory_bytes=MEMORY_BYTES,
        job_ring=1024,
        job_entries=4,
        token_ring=4096,
        token_entries=4,
    )
    for wrong in (
        {"magic": 5},
        {"version": 2},
        {"job_entries": 3},
        {"token_entries": 1},
        {"token_entries": 0},
        {"job_ring": MEMORY_BYTES - 1023},
        {"token_ring": 4098},
    ):
        board.cpu.hold()
        board.write_memory(512, replace(rings, **wrong).pack())
        board.cpu.start(512)
        board.firmware.step()
        assert board.cpu.stage() == (BootStage.READY, 1), wrong
    board.cpu.hold()
    board.write_memory(512, rings.pack() + bytes(64))
    board.cpu.start(512)
    board.firmware.step()
    assert board.cpu.stage() == (BootStage.READY, 0)


def test_another_accelerator_is_not_served(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft_arch.registers.VERSION_VALUE", 0x0002_0000)
    with pytest.raises(DeviceError, match="has stopped: stage NO_ACCELERATOR, detail 0"):
        connect(board)
