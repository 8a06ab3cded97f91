# SPDX-License-Identifier: Apache-2.0
"""How fast the simulator runs on this machine."""

import time

from weft.benchmarks.result import Progress, Result, measure
from weft.llm import LLM

__all__ = ["simulator_speed"]

STEPS = 3


def simulator_speed(progress: Progress) -> Result:
    """Cycles per second of processor time over decode steps of the shipped model, one thread."""
    with LLM(device="rtl", device_options={"progress": progress}) as llm:
        ids = llm.tokenizer.encode("Once upon a time")
        llm.runner.prefill(ids)
        start = time.process_time()
        cycles = measure(llm.device, lambda: _decode(llm, len(ids)))["cycles"]
        seconds = time.process_time() - start
    return Result(
        name="simulator",
        preset=llm.config.name,
        value=cycles / seconds,
        unit="cycles/s",
        target="80,000",
        cycles=cycles,
    )


def _decode(llm: LLM, position: int) -> None:
    for step in range(STEPS):
        llm.runner.run_chunk([1], position=position + step)
