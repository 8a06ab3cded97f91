# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from weft.errors import SamplingError
from weft.sampling_params import SamplingParams


def test_defaults_are_those_of_vllm():
    params = SamplingParams()
    assert (params.temperature, params.top_k, params.top_p) == (1.0, 0, 1.0)
    assert (params.seed, params.max_tokens, params.stop_texts) == (None, 16, ())
    assert not params.ignore_eos
    assert not params.greedy
    assert SamplingParams(temperature=0).greedy


def test_the_edges_of_every_range_are_accepted():
    SamplingParams(temperature=0.01, top_k=-1, top_p=1e-9, seed=0, max_tokens=1)
    SamplingParams(temperature=100, top_k=1 << 40, top_p=1, seed=2**64 - 1, max_tokens=None)
    assert SamplingParams(stop="end").stop_texts == ("end",)
    assert SamplingParams(stop=["a", "b"]).stop_texts == ("a", "b")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (
            "temperature",
            -1,
            r"temperature is -1, but must be 0 \(greedy\) or between 0\.01 and 100",
        ),
        ("temperature", 0.001, r"temperature is 0\.001, but must be 0"),
        ("temperature", 101.0, r"temperature is 101\.0, but must be"),
        ("temperature", float("nan"), r"temperature is nan, but must be a number\."),
        ("temperature", float("inf"), r"temperature is inf, but must be"),
        ("temperature", "hot", r"temperature is 'hot', but must be a number\."),
        ("temperature", True, r"temperature is True, but must be a number\."),
        ("top_k", -2, r"top_k is -2, but must be at least 1, or 0 or -1 for all tokens\."),
        ("top_k", 1.5, r"top_k is 1\.5, but must be an integer\."),
        ("top_p", 0, r"top_p is 0, but must be greater than 0 and at most 1\."),
        ("top_p", 1.01, r"top_p is 1\.01, but must be"),
        ("top_p", float("nan"), r"top_p is nan, but must be a number"),
        ("seed", -1, r"seed is -1, but must be between 0 and 18446744073709551615\."),
        ("seed", 1 << 64, r"seed is 18446744073709551616, but must be between"),
        ("seed", 1.0, r"seed is 1\.0, but must be an integer\."),
        ("max_tokens", 0, r"max_tokens is 0, but must be at least 1\."),
        ("max_tokens", "9", r"max_tokens is '9', but must be an integer\."),
        ("stop", "", r"stop holds '', but must hold texts of at least one character\."),
        ("stop", ["a", 3], r"stop holds 3, but must hold texts"),
        ("stop", 5, r"stop is 5, but must be a text or a list of texts\."),
        ("ignore_eos", 1, r"ignore_eos is 1, but must be True or False\."),
    ],
)
def test_a_bad_value_is_refused_with_a_sentence(field: str, value: Any, sentence: str):
    with pytest.raises(SamplingError, match=sentence):
        SamplingParams(**{field: value})
