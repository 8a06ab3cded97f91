# SPDX-License-Identifier: Apache-2.0
"""How many cycles small pieces of work take, exactly: a change of any of them is to be meant.

Nothing here depends on values, so a number that moves is a change of the hardware, of the compiler
or of a benchmark's program. If it is for the better, or is worth it, write the new number down.
"""

import numpy as np
import pytest

from tests.compiler.models import compiled
from weft.benchmarks.attention import HEAD_DIM, AttentionPlan, run_attention
from weft.benchmarks.gemm import product_counters
from weft.benchmarks.result import measure
from weft.devices import open_device
from weft.quantize import WeightFormat
from weft.runtime import BatchRow, ModelRunner
from weft_arch.config import preset
from weft_sim.toolchain import silent

DEFAULT = preset("default")


@pytest.mark.parametrize(
    ("shape", "cycles"),
    [((64, 64, 64), 3396), ((64, 128, 96), 6131), ((96, 128, 256), 17056), ((1, 64, 128), 1358)],
)
def test_products(shape: tuple[int, int, int], cycles: int) -> None:
    assert product_counters(DEFAULT, shape, silent)[1]["cycles"] == cycles


def test_attention() -> None:
    plan = AttentionPlan(DEFAULT, 96)
    inputs = np.zeros((3, 96, HEAD_DIM), np.float16)
    with open_device("rtl", DEFAULT, memory_bytes=plan.end) as device:
        assert run_attention(device, plan, inputs)[0]["cycles"] == 8500


@pytest.mark.parametrize(
    ("weights", "kv_format", "decode", "prefill"),
    [("w8", "k8v8", 10448, 10829), ("w4", "k8v8", 6296, 8877), ("w8", "k16v8", 10720, 11161)],
)
def test_a_model(weights: str, kv_format: str, decode: int, prefill: int) -> None:
    model = compiled(None, "default", WeightFormat(weights), kv_format=kv_format)
    with open_device("rtl", DEFAULT, memory_bytes=model.memory.size) as device:
        runner = ModelRunner(model, device)
        found = [
            measure(device, lambda: runner.run_chunk(range(8), position=0))["cycles"],
            measure(device, lambda: runner.run_chunk([1], position=8))["cycles"],
        ]
    assert found == [prefill, decode]


@pytest.mark.parametrize(("sequences", "cycles"), [(1, 11269), (8, 15858)])
def test_a_batch(sequences: int, cycles: int) -> None:
    model = compiled(None, "default", max_sequences=8, kv_format="k8v8")
    rows = [BatchRow(sequence=k, position=8, token_id=1) for k in range(sequences)]
    with open_device("rtl", DEFAULT, memory_bytes=model.memory.size) as device:
        runner = ModelRunner(model, device)
        assert measure(device, lambda: runner.run_batch(rows))["cycles"] == cycles
