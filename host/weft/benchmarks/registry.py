# SPDX-License-Identifier: Apache-2.0
"""Which benchmarks there are."""

from collections.abc import Callable
from dataclasses import dataclass

from weft.benchmarks import decode, gemm, speed
from weft.benchmarks.random_model import STORIES_15M
from weft.benchmarks.result import Progress, Result
from weft.errors import WeftError, shown

__all__ = ["BENCHMARKS", "Benchmark", "Result", "run_benchmark"]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A named piece of work."""

    doc: str
    run: Callable[[Progress], Result]


BENCHMARKS: dict[str, Benchmark] = {
    "decode_shipped": Benchmark(
        doc="decode of the shipped model, w8: fraction of the memory bandwidth",
        run=lambda report: decode.decode_shipped("decode_shipped", "w8", "90 %", report),
    ),
    "decode_shipped_w4": Benchmark(
        doc="decode of the shipped model, w4: fraction of the memory bandwidth",
        run=lambda report: decode.decode_shipped("decode_shipped_w4", "w4", "90 %", report),
    ),
    "decode_15m_w8": Benchmark(
        doc="a step of the stories15M shape at position 255, w8: fraction of the memory bandwidth",
        run=lambda report: decode.decode_random(
            "decode_15m_w8", "default", STORIES_15M, "w8", "97 %", report
        ),
    ),
    "decode_15m_w4": Benchmark(
        doc="the same, w4: fraction of the memory bandwidth",
        run=lambda report: decode.decode_random(
            "decode_15m_w4", "default", STORIES_15M, "w4", "97 %", report
        ),
    ),
    "gemm_256_dram": Benchmark(
        doc="256 x 256 x 256 matrix product from and to DRAM: fraction of useful MAC cycles",
        run=lambda report: gemm.gemm_from_dram("gemm_256_dram", 256, report),
    ),
    "simulator": Benchmark(
        doc="simulated cycles per second of the default preset on this machine",
        run=speed.simulator_speed,
    ),
}


def run_benchmark(name: str, progress: Progress) -> Result:
    """Run one; a `WeftError` lists the names there are."""
    if name not in BENCHMARKS:
        known = ", ".join(BENCHMARKS)
        raise WeftError(f"benchmark {shown(name)} is unknown; there are {known}.")
    return BENCHMARKS[name].run(progress)
