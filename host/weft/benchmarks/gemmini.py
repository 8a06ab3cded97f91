# SPDX-License-Identifier: Apache-2.0
"""Head to head with Gemmini: matrix products on a memory of 16 bytes per cycle and a latency of 20.

Both have 256 multipliers of 8 bits. Gemmini's cycles were measured on its own RTL (16 x 16, int8
result written back, first command to idle). Here A comes as float16 and C goes out as float32, so
the memory moves two and four times as many of their bytes.
"""

from weft.benchmarks.gemm import product_counters
from weft.benchmarks.result import Progress, Result
from weft.devices import find_preset

__all__ = ["GEMMINI_CYCLES", "gemmini"]

GEMMINI_CYCLES = {
    (16, 16, 16): 230,
    (64, 64, 64): 2_061,
    (128, 128, 128): 10_699,
    (256, 256, 256): 69_575,
    (512, 512, 512): 531_391,
    (64, 128, 192): 8_203,
    (1, 256, 256): 8_337,
    (1, 64, 512): 4_241,
}
"""(M, N, K) to Gemmini's cycles."""


def gemmini(name: str, progress: Progress) -> list[Result]:
    """Cycles of every product, from start command to interrupt; the target is Gemmini's."""
    config = find_preset("wide")
    results: list[Result] = []
    for shape, theirs in GEMMINI_CYCLES.items():
        gemm, counters = product_counters(config, shape, progress)
        cycles = counters["cycles"]
        results.append(
            Result(
                name=f"{name} {' x '.join(map(str, shape))}",
                preset=config.name,
                value=cycles,
                unit="cycles",
                target=f"{theirs:,}",
                cycles=cycles,
                forecast=gemm.forecast,
                counters=counters,
            )
        )
    return results
