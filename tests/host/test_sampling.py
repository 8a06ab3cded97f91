# SPDX-License-Identifier: Apache-2.0
import math
import struct
from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.errors import SamplingError
from weft.sampling import EXP2_TABLE, Sampler, SamplingParams, splitmix64, splitmix64_mix

LOGITS = st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=40)


def fixed_point(logit: float) -> int:
    """floor(logit * 65536), limited, from the bits of a float32 by integer operations alone."""
    (bits,) = struct.unpack("<I", struct.pack("<f", logit))
    sign, exponent, mantissa = bits >> 31, (bits >> 23) & 255, bits & 0x7FFFFF
    value = mantissa | (1 << 23) if exponent else mantissa
    shift = max(exponent, 1) - 127 - 23 + 16
    value = -value if sign else value
    value = value << shift if shift >= 0 else value >> -shift  # >> rounds towards minus infinity
    return min(max(value, -(1 << 31)), (1 << 31) - 1)


def choose(logits: list[float], params: SamplingParams, seed: int, step: int) -> int:
    """The definition of `weft.sampling` in integers, the way firmware would write it."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    if params.temperature == 0:
        return order[0]
    if params.top_k > 0:
        order = order[: params.top_k]
    inverse = round(1048576 * 1.4426950408889634 / params.temperature)
    first = fixed_point(logits[order[0]])
    weights: list[int] = []
    for token_id in order:
        y = ((first - fixed_point(logits[token_id])) * inverse) >> 20
        assert 0 <= y < 1 << 64
        i, f = (y >> 8) & 255, y & 255
        weight = EXP2_TABLE[i] - (((EXP2_TABLE[i] - EXP2_TABLE[i + 1]) * f) >> 8)
        weights.append(weight >> (y >> 16))
    total, kept, running = sum(weights), 0, 0
    while (running + weights[kept]) << 16 < max(1, round(params.top_p * 65536)) * total:
        running += weights[kept]
        kept += 1
    weights = weights[: kept + 1]
    drawn = (splitmix64(splitmix64_mix(seed), step) * sum(weights)) >> 64
    for token_id, weight in zip(order, weights, strict=False):
        if drawn < weight:
            return token_id
        drawn -= weight
    raise AssertionError("no token was drawn")


@settings(max_examples=500, deadline=None)
@given(
    logits=LOGITS,
    temperature=st.just(0.0) | st.floats(0.01, 100),
    top_k=st.integers(-1, 50),
    top_p=st.floats(1e-6, 1),
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, 1 << 20),
)
def test_choice_follows_the_definition_in_integers(
    logits: list[float], temperature: float, top_k: int, top_p: float, seed: int, step: int
):
    params = SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    expected = choose(logits, params, seed, step)
    array = np.array(logits, np.float32)
    assert Sampler(params).sample(array, step) == expected
    assert Sampler(params).sample(array.astype(np.float64), step) == expected
    if top_k > 0:  # a device that sorts need not send more than top_k candidates
        order = np.argsort(-array, kind="stable")[:top_k]
        assert Sampler(params).sample_sorted(array[order], order.tolist(), step) == expected


def test_the_random_numbers_are_those_of_splitmix64():
    """The widely published first outputs for this seed."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [splitmix64(1234567, step) for step in range(3)] == expected


def test_the_table_is_the_floor_of_the_exact_powers():
    with localcontext() as context:
        context.prec = 60
        for i, value in enumerate(EXP2_TABLE):
            exact = Decimal(2) ** (Decimal(31) - Decimal(i) / 256)
            assert value == int(exact) or (i % 256 == 0 and value == 2 ** (31 - i // 256))


def test_choices_of_known_logits_never_change():
    """A change here changes every seeded text ever made."""
    logits = np.array([(7919 * i * i % 8192 - 4096) / 1024 for i in range(50)], np.float32)
    sampler = Sampler(SamplingParams(temperature=0.9, top_k=20, top_p=0.95, seed=42))
    expected = [11, 41, 41, 49, 6, 31, 31, 41, 32, 31, 32, 8]
    assert [sampler.sample(logits, step) for step in range(12)] == expected


def test_frequencies_are_those_of_softmax():
    logits = np.array([1.0, 0.0, 2.5, -1.0, 2.0], np.float32)
    for temperature in (0.5, 1.0, 2.0):
        sampler = Sampler(SamplingParams(temperature=temperature, seed=7))
        n = 20_000
        counts = Counter(sampler.sample(logits, step) for step in range(n))
        weights = np.exp(logits.astype(np.float64) / temperature)
        for token_id, share in enumerate(weights / weights.sum()):
            deviation = math.sqrt(n * share * (1 - share))
            assert abs(counts[token_id] - n * share) < 4.5 * deviation + 1


def test_the_fewest_tokens_that_reach_top_p_are_kept():
    logits = np.log(np.array([0.1, 0.5, 0.3, 0.1], np.float32))
    chosen = {}
    for top_p in (0.4, 0.49, 0.6, 0.79, 0.85, 1.0):
        sampler = Sampler(SamplingParams(top_p=top_p, seed=1))
        chosen[top_p] = {sampler.sample(logits, step) for step in range(300)}
    assert chosen[0.4] == chosen[0.49] == {1}
    assert chosen[0.6] == chosen[0.79] == {1, 2}
    assert chosen[0.85] == {0, 1, 2}  # of equals the lowest id
    assert chosen[1.0] == {0, 1, 2, 3}


@given(logits=LOGITS, seed=st.integers(0, 99))
def test_one_candidate_is_the_greedy_choice(logits: list[float], seed: int):
    array = np.array(logits, np.float32)
    greedy = Sampler(SamplingParams(temperature=0)).sample(array, 0)
    assert greedy == int(array.argmax())
    assert Sampler(SamplingParams(top_k=1, seed=seed)).sample(array, 3) == greedy
    assert Sampler(SamplingParams(top_p=1e-6, seed=seed)).sample(array, 3) == greedy


def test_equal_logits_are_ordered_by_token_id():
    array = np.array([0.0, 1.0, -0.0, 1.0, 1.0], np.float32)
    sampler = Sampler(SamplingParams(top_k=2, seed=5))
    assert {sampler.sample(array, step) for step in range(100)} == {1, 3}
    zeros = np.array([-0.0, 0.0, -0.0], np.float32)
    sampler = Sampler(SamplingParams(top_k=2, seed=5))
    assert {sampler.sample(zeros, step) for step in range(100)} == {0, 1}


def test_a_seed_repeats_and_no_seed_does_not():
    logits = np.zeros(1000, np.float32)
    again = [Sampler(SamplingParams(seed=9)).sample(logits, step) for step in range(20)]
    assert again == [Sampler(SamplingParams(seed=9)).sample(logits, step) for step in range(20)]
    assert again != [Sampler(SamplingParams(seed=8)).sample(logits, step) for step in range(20)]
    fresh = Sampler(SamplingParams())
    assert fresh.seed != Sampler(SamplingParams()).seed
    repeated = Sampler(SamplingParams(seed=fresh.seed))
    assert repeated.sample(logits, 4) == fresh.sample(logits, 4)


def test_forbidden_tokens_are_never_chosen():
    logits = np.full(10, -np.inf, np.float32)
    logits[[3, 6]] = -30000.0, -30001.0
    sampler = Sampler(SamplingParams(temperature=100.0, seed=2))
    assert {sampler.sample(logits, step) for step in range(200)} == {3, 6}


@pytest.mark.parametrize(
    ("logits", "sentence"),
    [
        ([0.0, math.nan], "logits are nan among others, so no token can be chosen"),
        ([0.0, math.inf], "logits are inf among others"),
        ([-math.inf, -math.inf], "logits are all minus infinity"),
        ([], "logits are all minus infinity"),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_unfit_logits_are_refused(logits: list[float], sentence: str, temperature: float):
    sampler = Sampler(SamplingParams(temperature=temperature, seed=0))
    with pytest.raises(SamplingError, match=sentence):
        sampler.sample(np.array(logits, np.float32), 0)


def test_weights_are_within_two_parts_in_a_hundred_thousand():
    """The error of the whole definition against exact arithmetic, at temperature 1."""
    sampler = Sampler(SamplingParams(seed=0))
    logits = -np.arange(0, 6, 1 / 512).astype(np.float32)
    weights = sampler._weights(logits)  # pyright: ignore[reportPrivateUsage]
    for logit, weight in zip(logits.tolist(), weights.tolist(), strict=True):
        exact = math.exp(logit) * 2**31
        assert abs(Fraction(weight) / Fraction(exact) - 1) < 2e-5
