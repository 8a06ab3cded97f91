# SPDX-License-Identifier: Apache-2.0
"""The matrix products of the benchmarks are right, whatever the shape."""

import numpy as np
import pytest

from weft.benchmarks.gemm import Gemm, quickest_gemm, run_gemm
from weft.benchmarks.gemm_at_once import at_once_plans, at_once_program
from weft.benchmarks.gemm_on_chip import END, SIZE, run_on_chip
from weft.benchmarks.gemm_plan import GemmPlan
from weft.benchmarks.gemm_program import gemm_program
from weft.benchmarks.product import random_operands
from weft.devices import open_device
from weft.errors import WeftError
from weft.forecast import forecast
from weft.quantize import WeightFormat, quantize
from weft_arch.config import preset

SHAPES = [
    (64, 128, 64),  # two pieces of K
    (64, 128, 96),  # an odd number of pieces
    (96, 64, 160),  # one slice that is first and last would not do: there are two at least
    (32, 192, 32),  # one piece
    (32, 64, 512),
    (16, 16, 16),  # less than a block of K
    (1, 64, 96),
    (128, 64, 64),  # two groups with a set of buffers each
]


def expect_close(found: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Against float64 on the same 8-bit weights.

    A block's exponent is a power of two, so a step of its 10-bit codes is up to 1/256 of its
    largest value; rounding costs half of that.
    """
    weights = quantize(b, WeightFormat.W8).dequantize().astype(np.float64)
    exact = a.astype(np.float64)
    block = min(32, a.shape[1])
    blocks = np.abs(exact).reshape(len(a), -1, block).max(axis=2).repeat(block, axis=1)
    bound = (blocks / 512) @ np.abs(weights).T + 1e-3
    assert np.all(np.abs(found - exact @ weights.T) <= bound)


@pytest.mark.parametrize("name", ["tiny", "default"])
@pytest.mark.parametrize("shape", SHAPES)
def test_products(name: str, shape: tuple[int, int, int]) -> None:
    """In groups of rows; and where that is possible at once, in every way."""
    config, (a, b) = preset(name), random_operands(*shape)
    groups = GemmPlan.make(config, *shape)
    gemms = [Gemm(groups, gemm_program(groups), 0)]
    gemms += [Gemm(plan, at_once_program(plan), 0) for plan in at_once_plans(config, *shape)]
    with open_device("reference", config, memory_bytes=groups.end) as device:
        for gemm in gemms:
            expect_close(run_gemm(device, gemm, a, b), a, b)


def test_the_quickest_way() -> None:
    """A small product is done at once; what does not fit the chip is not."""
    config = preset("default")
    groups, small = GemmPlan.make(config, 64, 64, 64), quickest_gemm(config, (64, 64, 64))
    assert small.forecast < forecast(gemm_program(groups), config).cycles
    assert list(at_once_plans(config, 256, 256, 256)) == []
    large = quickest_gemm(config, (256, 256, 256))
    assert large.plan == GemmPlan.make(config, 256, 256, 256)


def test_product_on_the_chip() -> None:
    a, b = random_operands(SIZE, SIZE, SIZE)
    with open_device("reference", preset("default"), memory_bytes=END) as device:
        expect_close(run_on_chip(device, a, b)[1], a[SIZE // 2 :], b)


def test_programs_fit_the_instruction_memory() -> None:
    config = preset("default")
    for shape in ((256, 256, 256), (1024, 1024, 1024), (64, 1024, 1024)):
        assert len(quickest_gemm(config, shape).program) <= config.instruction_words


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(WeftError, match="33 x 24 x 32 is not in multiples of 1, 16 and 32"):
        GemmPlan.make(preset("default"), 33, 24, 32)
    with pytest.raises(WeftError, match="131072 channels do not fit preset default"):
        GemmPlan.make(preset("default"), 32, 64, 1 << 17)
