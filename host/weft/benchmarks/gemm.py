# SPDX-License-Identifier: Apache-2.0
"""Matrix products C[M, N] = A[M, K] * B[K, N], everything from and to DRAM.

A comes as float16 rows and is quantised on the way in, B as W8 tiles, C goes out as F32. A product
that fits the chip is done at once (`gemm_at_once`), or like a larger one in groups of rows
(`gemm_program`), whichever the forecast says is quicker.
"""

from dataclasses import dataclass

import numpy as np

from weft.benchmarks.gemm_at_once import at_once_plans, at_once_program
from weft.benchmarks.gemm_plan import GemmPlan
from weft.benchmarks.gemm_program import gemm_program
from weft.benchmarks.product import ProductPlan, random_operands, run_program, write_rows
from weft.benchmarks.result import Progress, Result, measure
from weft.compiler.memory_image import weight_tiles
from weft.devices import find_preset, open_device
from weft.forecast import forecast
from weft.quantize import WeightFormat
from weft_arch.config import Configuration
from weft_arch.device import Device
from weft_arch.isa import Instruction

__all__ = ["Gemm", "gemm_from_dram", "product_counters", "quickest_gemm", "run_gemm"]


@dataclass(frozen=True)
class Gemm:
    """A product and how it is done."""

    plan: ProductPlan
    program: list[Instruction]
    forecast: int
    """cycles that it is said to take"""


def quickest_gemm(config: Configuration, shape: tuple[int, int, int]) -> Gemm:
    """The M x N x K product in the way that the forecast says is quickest."""
    plan = GemmPlan.make(config, *shape)
    ways: list[tuple[ProductPlan, list[Instruction]]] = [(plan, gemm_program(plan))]
    ways += [(each, at_once_program(each)) for each in at_once_plans(config, *shape)]
    gemms = (Gemm(plan, program, forecast(program, config).cycles) for plan, program in ways)
    return min(gemms, key=lambda gemm: gemm.forecast)


def run_gemm(device: Device, gemm: Gemm, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """C = A * B on a device: A float16 [M, K], B float32 [N, K] (quantised here), C float32."""
    plan = gemm.plan
    tiles = weight_tiles(device.config, b, WeightFormat.W8)
    write_rows(device, plan.a, a)
    write_rows(device, plan.weights, tiles[plan.weight_order()])
    run_program(device, gemm.program, write_base=plan.c, write_limit=plan.end)
    raw = device.read_memory(plan.c, 4 * plan.rows * plan.columns)
    return raw.view("<f4").reshape(plan.rows, plan.columns)


def product_counters(
    config: Configuration, shape: tuple[int, int, int], progress: Progress
) -> tuple[Gemm, dict[str, int]]:
    """How an M x N x K product is done, and its counters from start command to interrupt."""
    gemm = quickest_gemm(config, shape)
    a, b = random_operands(*shape)
    size = gemm.plan.end
    with open_device("rtl", config, memory_bytes=size, progress=progress) as device:
        return gemm, measure(device, lambda: run_gemm(device, gemm, a, b))


def gemm_from_dram(
    name: str, shape: tuple[int, int, int], target: str, progress: Progress
) -> Result:
    """Cycles of the roofline / cycles of an M x N x K product.

    The roofline is the larger of MACs / cells and of all bytes of A, B and C / memory bandwidth.
    """
    config = find_preset("default")
    gemm, counters = product_counters(config, shape, progress)
    plan = gemm.plan
    weight_bytes = plan.n_tiles * plan.k_blocks * config.tile_bytes(8)
    moved = 2 * plan.rows * plan.depth + weight_bytes + 4 * plan.rows * plan.columns
    compute = plan.rows * plan.columns * plan.depth / config.cells
    return Result(
        name=name,
        preset=config.name,
        value=max(compute, moved / config.memory_bytes_per_cycle) / counters["cycles"],
        unit="fraction",
        target=target,
        cycles=counters["cycles"],
        forecast=gemm.forecast,
        counters=counters,
    )
