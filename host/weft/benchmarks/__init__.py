# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: named pieces of work, measured by the hardware's own counters."""

from weft.benchmarks.registry import BENCHMARKS, Benchmark, Result, run_benchmark

__all__ = ["BENCHMARKS", "Benchmark", "Result", "run_benchmark"]
