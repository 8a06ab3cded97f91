# SPDX-License-Identifier: Apache-2.0
"""The attention of the benchmarks is attention."""

import numpy as np
import pytest

from weft.benchmarks.attention import HEAD_DIM, AttentionPlan, run_attention
from weft.devices import open_device
from weft_arch.config import preset


@pytest.mark.parametrize("length", [64, 160, 512])
def test_attention(length: int) -> None:
    plan = AttentionPlan(preset("default"), length)
    chunks = plan.chunks()
    assert sorted(p for a, rows in chunks for p in range(a, a + rows)) == list(range(length))
    inputs = np.random.default_rng(length).standard_normal((3, length, HEAD_DIM)).astype(np.float16)
    with open_device("reference", plan.config, memory_bytes=plan.end) as device:
        found = run_attention(device, plan, inputs)[1]
    q, k, v = inputs.astype(np.float64)
    scores = np.where(np.tri(length) > 0, q @ k.T / HEAD_DIM**0.5, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    exact = weights / weights.sum(axis=1, keepdims=True) @ v
    # Keys and values have 8 bits with an exponent per 32 and 64 channels.
    assert np.abs(found - exact).max() < 0.06
    assert np.sqrt(np.mean((found - exact) ** 2)) < 0.01
