# SPDX-License-Identifier: Apache-2.0
"""Rings that are full, wrap around and count past 2**32."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.firmware.board import Board, connect, expected
from tests.firmware.test_failures import PROMPT, job, until
from weft.sampling import SamplingParams
from weft_arch.jobs import EndReason
from weft_arch.soc import soc_offset

LED_FULL = 16


@pytest.fixture
def board() -> Iterator[Board]:
    with Board() as made:
        yield made


@pytest.mark.parametrize("first_number", [0, 0xFFFF_FFFD])
def test_jobs_go_round_a_ring_of_two(board: Board, first_number: int) -> None:
    client = connect(board, job_entries=2, token_entries=4, first_number=first_number)
    tokens = expected(PROMPT, SamplingParams(temperature=0, max_tokens=3)).token_ids
    for _ in range(4):
        numbers = [client.put(job(max_tokens=3), PROMPT, []) for _ in range(2)]
        for number in numbers:
            got = [client.next_token(number) for _ in range(4)]
            assert got == [*tokens, None]
            assert client.answer(number).number == number
    assert client.open_jobs == 0
    state = client._state()
    assert state.job_tail == state.job_taken == (first_number + 8) & 0xFFFF_FFFF
    assert state.token_head == (first_number + 8 * 4) & 0xFFFF_FFFF


def test_more_jobs_than_slots_wait_for_room(board: Board) -> None:
    client = connect(board, job_entries=2, token_entries=8)
    numbers = [client.put(job(max_tokens=2), PROMPT, []) for _ in range(7)]
    assert [client.answer(n).reason for n in numbers] == [EndReason.LIMIT] * 7


def test_a_full_token_ring_stops_the_firmware_and_loses_nothing(board: Board) -> None:
    client = connect(board, token_entries=2)
    number = client.put(job(max_tokens=6), PROMPT, [])
    until(board, lambda: client._state().token_head == 2)
    for _ in range(20):
        board.firmware.step()
    assert client._state().token_head == 2
    assert board.firmware.read_register(soc_offset("LEDS")) & LED_FULL
    tokens = expected(PROMPT, SamplingParams(temperature=0, max_tokens=6)).token_ids
    assert [client.next_token(number) for _ in range(7)] == [*tokens, None]
    assert not board.firmware.read_register(soc_offset("LEDS")) & LED_FULL


def test_a_job_is_cancelled_while_the_ring_is_full(board: Board) -> None:
    client = connect(board, token_entries=2)
    number = client.put(job(max_tokens=6), PROMPT, [])
    until(board, lambda: client._state().token_head == 2)
    board.firmware.step()
    client.cancel(number)
    answer = client.answer(number)
    assert (answer.reason, answer.tokens) == (EndReason.CANCELLED, 2)


@pytest.mark.parametrize("seed", range(3))
def test_a_host_that_is_slow_at_random_gets_every_token(board: Board, seed: int) -> None:
    rng = random.Random(seed)
    client = connect(board, job_entries=2, token_entries=4, first_number=rng.getrandbits(32))
    params = SamplingParams(temperature=0, max_tokens=5)
    tokens = expected(PROMPT, params).token_ids
    for _ in range(4):
        number = client.put(job(max_tokens=5), PROMPT, [])
        got: list[int | None] = []
        while len(got) < 6:
            for _ in range(rng.choice([0, 0, 1, 7, 40])):
                board.firmware.step(1)
            got.append(client.next_token(number))
        assert got == [*tokens, None]
        client.answer(number)
