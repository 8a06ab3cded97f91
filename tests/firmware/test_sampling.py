# SPDX-License-Identifier: Apache-2.0
"""The firmware chooses the tokens that `weft.sampling` chooses, from the same bits."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from weft.errors import SamplingError
from weft.sampling import Sampler, SamplingParams
from weft_arch.config import preset
from weft_sim.native_firmware import NativeFirmware
from weft_sim.reference import ReferenceDevice

Logits = np.ndarray
REFUSED = -1


class Chooser:
    """Both sides of a comparison."""

    def __init__(self) -> None:
        self.device = ReferenceDevice(preset("tiny"), memory_bytes=1 << 20)
        self.firmware = NativeFirmware(self.device)

    def of_all(self, logits: Logits, params: SamplingParams, step: int) -> tuple[int, int]:
        """(the firmware's, the host's) choice among all logits, of which the firmware takes the
        likeliest from the accelerator's list where it is greedy."""
        if params.greedy and np.isfinite(logits.max()):
            return self.of_list(logits, params, step)
        sampler = Sampler(params)
        self.device.write_memory(64, logits.astype("<f4").view(np.uint8))
        try:
            expected = sampler.sample(logits, step)
        except SamplingError:
            expected = REFUSED
        return self._sample(sampler, logits.size, step, of_list=False), expected

    def of_list(self, logits: Logits, params: SamplingParams, step: int) -> tuple[int, int]:
        """The same from a list of the 8 likeliest tokens, as the accelerator leaves it."""
        order = np.argsort(-logits, kind="stable")[:8]
        records = np.zeros(8, [("value", "<f4"), ("index", "<u4")])
        records["value"], records["index"] = np.float32(-3.4e38), 0xFFFF_FFFF
        records["value"][: order.size], records["index"][: order.size] = logits[order], order
        self.device.write_memory(64, records.view(np.uint8))
        sampler = Sampler(params)
        return self._sample(sampler, 8, step, of_list=True), sampler.sample(logits, step)

    def _sample(self, sampler: Sampler, count: int, step: int, *, of_list: bool) -> int:
        return self.firmware.sample(
            64,
            count,
            of_list=of_list,
            seed=sampler.seed,
            inverse_temperature=sampler.inverse_temperature,
            top_p=sampler.top_p,
            top_k=max(sampler.params.top_k, 0),
            step=step,
        )


@pytest.fixture(scope="module")
def chooser() -> Iterator[Chooser]:
    made = Chooser()
    yield made
    made.device.close()


def some_logits(rng: np.random.Generator, count: int) -> Logits:
    """Logits of several kinds: spread, close together, with ties, huge, with minus infinity."""
    kind = rng.integers(8)
    if kind == 0:
        return rng.normal(0, 5, count).astype(np.float32)
    if kind == 1:
        return rng.integers(-3, 3, count).astype(np.float32)
    if kind == 2:
        return np.where(rng.random(count) < 0.5, 0.0, -0.0).astype(np.float32)
    if kind == 3:
        return rng.normal(0, 1e-3, count).astype(np.float32)
    if kind == 4:
        return (rng.normal(0, 1, count) * 10.0 ** rng.integers(-40, 38, count)).astype(np.float32)
    if kind == 6:  # in descending order, close together: windows fill from the back
        return (np.arange(count, 0, -1) * 1e-4).astype(np.float32)[::-1].copy()
    if kind == 5:
        mixed = rng.normal(0, 2, count).astype(np.float32)
        mixed[rng.random(count) < 0.5] = -np.inf
        mixed[rng.integers(count)] = 1.0
        return mixed
    return np.full(count, rng.normal() * 1e5, np.float32)


def some_params(rng: random.Random, most_k: int) -> SamplingParams:
    return SamplingParams(
        temperature=rng.choice([0.0, 0.01, 0.5, 0.8, 1.0, 3.0, 20.0, 100.0]),
        top_k=rng.choice([0, 1, 2, most_k // 2, most_k]),
        top_p=rng.choice([1.0, 1e-9, 0.1, 0.5, 0.9, 0.95, 0.99999]),
        seed=rng.getrandbits(64),
    )


@pytest.mark.parametrize("seed", range(4))
def test_choices_among_all_logits_are_those_of_the_host(chooser: Chooser, seed: int) -> None:
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    for _ in range(150):
        count = rng.choice([1, 2, 7, 33, 768, 2000])
        logits, params = some_logits(numbers, count), some_params(rng, count + 2)
        step = rng.choice([0, 1, 77, 1 << 20])
        got, expected = chooser.of_all(logits, params, step)
        assert got == expected, (seed, count, params)


@pytest.mark.parametrize("seed", range(4))
def test_choices_from_the_list_are_those_of_the_host(chooser: Chooser, seed: int) -> None:
    rng, numbers = random.Random(seed), np.random.default_rng(100 + seed)
    for _ in range(200):
        count = rng.choice([1, 5, 8, 9, 768])
        logits, params = some_logits(numbers, count), some_params(rng, 8)
        if not params.greedy and not params.top_k:
            continue  # needs all logits
        got, expected = chooser.of_list(logits, params, rng.randrange(100))
        assert got == expected, (seed, count, params)


def test_every_step_of_a_seed_draws_anew(chooser: Chooser) -> None:
    logits = np.zeros(768, np.float32)
    params = SamplingParams(seed=5)
    pairs = [chooser.of_all(logits, params, step) for step in range(50)]
    assert all(got == expected for got, expected in pairs)
    assert len({got for got, _ in pairs}) > 40


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_logits_that_are_no_numbers_are_refused(
    chooser: Chooser, bad: float, temperature: float
) -> None:
    logits = np.zeros(40, np.float32)
    logits[33] = bad
    params = SamplingParams(temperature=temperature, seed=1)
    assert chooser.of_all(logits, params, 0) == (REFUSED, REFUSED)
    logits[:] = -np.inf
    assert chooser.of_all(logits, params, 0) == (REFUSED, REFUSED)


def test_a_vocabulary_of_the_largest_size_does_not_overflow(chooser: Chooser) -> None:
    """All of 2**17 equal logits: the sums reach 2**48."""
    logits = np.ones(1 << 17, np.float32)
    for top_p in (1.0, 0.5):
        got, expected = chooser.of_all(logits, SamplingParams(top_p=top_p, seed=3), 9)
        assert got == expected
