# SPDX-License-Identifier: Apache-2.0
"""Whole generations by the firmware give the tokens that the host's own loop gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compiler.models import compiled as compile_small
from tests.compiler.models import model_config, random_model
from tests.compiler.models import runner as run_small
from tests.firmware.board import (
    CONTEXT,
    TINY,
    Board,
    compiled,
    complete,
    connect,
    expected,
    firmware_engine,
    request,
)
from weft.engine import HostEngine
from weft.jobs import JobEngine
from weft.jobs.area import JobArea
from weft.model import load_model
from weft.runtime import ModelRunner
from weft.sampling import SamplingParams
from weft_arch.jobs import EndReason, Job

STORY = load_model().tokenizer.encode("Once upon a time there was a little girl")


@pytest.fixture(scope="module")
def engine() -> Iterator[JobEngine]:
    with Board() as board:
        yield firmware_engine(board)


@pytest.fixture
def board() -> Iterator[Board]:
    with Board() as made:
        yield made


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=0, max_tokens=10),
        SamplingParams(temperature=1.0, seed=1, max_tokens=10),
        SamplingParams(temperature=0.7, top_k=8, seed=2, max_tokens=10),
        SamplingParams(temperature=1.5, top_k=5, top_p=0.8, seed=3, max_tokens=10),
        SamplingParams(temperature=1.0, top_k=40, seed=4, max_tokens=10),
        SamplingParams(temperature=2.0, top_p=0.9, seed=5, max_tokens=10),
        SamplingParams(temperature=5.0, top_k=100, top_p=0.95, seed=(1 << 64) - 1, max_tokens=10),
        SamplingParams(temperature=0, max_tokens=1),
    ],
    ids=str,
)
def test_tokens_are_those_of_the_host(engine: JobEngine, params: SamplingParams) -> None:
    reference, one = expected(STORY, params), request(STORY, params)
    assert complete(engine, one, sequence=1) == reference.token_ids
    assert one.finish_reason == reference.finish_reason
    assert one.prefill.mac_cycles == reference.prefill.mac_cycles, "the work is counted alike"
    assert one.decode.bytes_read == reference.decode.bytes_read
    short = 0 < params.top_k <= TINY.top_k_entries  # the firmware then needs no logits in memory
    written = one.prefill.bytes_written + one.decode.bytes_written
    theirs = reference.prefill.bytes_written + reference.decode.bytes_written
    assert written == theirs - (4 * 768 * len(one.token_ids) if short else 0)
    assert one.steps == reference.steps == len(one.token_ids) - 1


def test_sampled_tokens_differ_between_seeds(engine: JobEngine) -> None:
    outputs = {
        tuple(complete(engine, request(STORY, SamplingParams(seed=seed, max_tokens=6))))
        for seed in range(4)
    }
    assert len(outputs) == 4


@pytest.mark.parametrize("count", [1, 4, 5, 6, 11, 23])
def test_prompts_of_any_length_run_in_chunks(engine: JobEngine, count: int) -> None:
    prompt = (STORY * 3)[:count]
    params = SamplingParams(temperature=0.9, seed=count, max_tokens=3)
    assert compiled().chip.chunk_rows == 5
    assert complete(engine, request(prompt, params)) == expected(prompt, params).token_ids


def test_chunks_of_a_job_change_no_token(board: Board) -> None:
    client = connect(board)
    outputs: list[list[int]] = []
    for rows in (0, 1, 3, 99):
        number = client.put(job(max_tokens=4, chunk_rows=rows), STORY, [])
        outputs.append(tokens(client, number))
        assert client.answer(number).reason == EndReason.LIMIT
    assert outputs == [outputs[0]] * 4
    assert len(outputs[0]) == 4


def test_the_end_of_the_context_ends_a_generation(engine: JobEngine) -> None:
    prompt = (STORY * 5)[: CONTEXT - 3]
    params = SamplingParams(temperature=0, max_tokens=None, ignore_eos=True)
    one = request(prompt, params)
    assert complete(engine, one) == expected(prompt, params).token_ids
    assert (len(one.token_ids), one.finish_reason) == (3, "length")


def test_the_context_is_told_apart_from_the_limit(board: Board) -> None:
    client = connect(board)
    prompt = (STORY * 5)[: CONTEXT - 2]
    for limit, reason in ((2, EndReason.LIMIT), (3, EndReason.CONTEXT)):
        number = client.put(job(max_tokens=limit), prompt, [])
        assert len(tokens(client, number)) == 2
        assert client.answer(number).reason == reason


def test_stop_tokens_end_a_generation(board: Board) -> None:
    client = connect(board)
    free = client.put(job(max_tokens=8), STORY, [])
    chosen = tokens(client, free)
    for stop in (chosen[0], chosen[3]):
        number = client.put(job(max_tokens=8), STORY, [767, stop])
        assert tokens(client, number) == chosen[: chosen.index(stop) + 1]
        assert client.answer(number).reason == EndReason.STOP_TOKEN


def test_stop_texts_cancel_the_job(engine: JobEngine) -> None:
    plain = SamplingParams(temperature=0, max_tokens=20)
    text = expected(STORY, plain).output(metrics=None).outputs[0].text  # type: ignore[arg-type]
    stopping = SamplingParams(temperature=0, max_tokens=20, stop=text[5:9])
    one, reference = request(STORY, stopping), expected(STORY, stopping)
    assert complete(engine, one) == reference.token_ids
    assert one.finish_reason == reference.finish_reason == "stop"
    assert len(one.token_ids) < 20
    assert complete(engine, request(STORY, plain)) == expected(STORY, plain).token_ids


def test_a_sequence_can_be_continued(board: Board) -> None:
    client = connect(board)
    first = client.put(job(max_tokens=3, sequence=2), STORY, [])
    said = tokens(client, first)
    more = STORY[:4]
    held = len(STORY) + len(said) - 1  # the last token has not been run
    second = client.put(job(max_tokens=3, sequence=2, position=held), [said[-1], *more], [])
    got = tokens(client, second)
    params = SamplingParams(temperature=0, max_tokens=3)
    assert got == expected([*STORY, *said, *more], params).token_ids


def test_requests_side_by_side(engine: JobEngine) -> None:
    params = [SamplingParams(temperature=1.0, seed=seed, max_tokens=5) for seed in (7, 8, 9)]
    requests = [request(STORY[: 3 + k], one) for k, one in enumerate(params)]
    for sequence, one in enumerate(requests):
        engine.begin(one, sequence)
    while running := {s: r for s, r in enumerate(requests) if not r.finish_reason}:
        engine.step(running)
    for k, one in enumerate(requests):
        engine.end(one)
        assert one.token_ids == expected(STORY[: 3 + k], params[k]).token_ids


def test_weights_that_stay_on_the_chip_are_brought_there_by_each_job() -> None:
    small = random_model(model_config(hidden_dim=32, vocab_size=40))
    model = compile_small(small, "resident")
    assert model.keep
    params, prompt = SamplingParams(temperature=0.8, seed=6, max_tokens=4), [5, 6, 7, 8, 9]
    wanted = complete(HostEngine(run_small(model)), request(prompt, params))
    with Board(model.config) as board:
        there = ModelRunner(model, board)
        engine = JobEngine.connect(there, board)
        assert engine is not None
        for _ in range(2):
            assert complete(engine, request(prompt, params)) == wanted
            there.prefill(prompt)  # the host has them brought there again, too
            board.device.reset()


def test_a_board_with_too_little_memory_runs_the_loop_on_the_host(board: Board) -> None:
    runner = ModelRunner(compiled(), board)
    board.memory_bytes = JobArea.after(compiled()).end - 1
    assert JobEngine.connect(runner, board) is None


def job(*, max_tokens: int, chunk_rows: int = 0, sequence: int = 0, position: int = 0) -> Job:
    return Job(
        number=0,
        model=0,
        prompt=0,
        prompt_count=0,
        max_tokens=max_tokens,
        chunk_rows=chunk_rows,
        sequence=sequence,
        position=position,
    )


def tokens(client, number: int) -> list[int]:
    found: list[int] = []
    while (token := client.next_token(number)) is not None:
        found.append(token)
    return found
