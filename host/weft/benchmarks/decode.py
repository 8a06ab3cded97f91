# SPDX-License-Identifier: Apache-2.0
"""Decode steps of a model: how busy the memory is."""

from weft.benchmarks.result import Progress, Result, read_counters
from weft.llm import LLM

__all__ = ["decode_shipped"]

PROMPT = "Once upon a time"
STEPS = 4


def decode_shipped(name: str, weights: str, progress: Progress) -> Result:
    """Bytes on the AXI data channels / (cycles * memory bytes per cycle) over a few greedy decode
    steps behind a short prompt, from start command to interrupt."""
    with LLM(device="rtl", weights=weights, device_options={"progress": progress}) as llm:
        runner, config = llm.runner, llm.config
        ids = llm.tokenizer.encode(PROMPT)
        runner.prefill(ids)
        before = read_counters(llm.device)
        for step in range(STEPS):
            token = int(runner.top_k().token_ids[0])
            runner.run_chunk([token], position=len(ids) + step)
        after = read_counters(llm.device)
    counters = {key: after[key] - before[key] for key in after}
    moved = counters["bytes_read"] + counters["bytes_written"]
    return Result(
        name=name,
        preset=config.name,
        value=moved / (counters["cycles"] * config.memory_bytes_per_cycle),
        unit="fraction",
        target="70 %",
        cycles=counters["cycles"],
        counters=counters,
    )
