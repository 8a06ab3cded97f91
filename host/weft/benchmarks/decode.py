# SPDX-License-Identifier: Apache-2.0
"""Decode steps of a model: how busy the memory is."""

from collections.abc import Callable

from weft.benchmarks.random_model import random_checkpoint
from weft.benchmarks.result import Progress, Result, measure
from weft.compiler import compile_model
from weft.devices import find_preset, open_device
from weft.llm import LLM
from weft.model import ModelConfig
from weft.model.shapes import KNOWN_SHAPES
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft_arch.config import Configuration
from weft_arch.device import Device

__all__ = ["cycles_260k", "decode_random", "decode_shipped"]

PROMPT = "Once upon a time"
STEPS = 4


def decode_shipped(name: str, weights: str, target: str, progress: Progress) -> Result:
    """Bytes on the AXI data channels / (cycles * memory bytes per cycle) over a few greedy decode
    steps behind a short prompt, from start command to interrupt."""
    with LLM(device="rtl", weights=weights, device_options={"progress": progress}) as llm:
        runner = llm.runner
        ids = llm.tokenizer.encode(PROMPT)
        runner.prefill(ids)

        def steps() -> None:
            for step in range(STEPS):
                token = int(runner.top_k().token_ids[0])
                runner.run_chunk([token], position=len(ids) + step)

        return _bandwidth(name, target, llm.config, llm.device, steps)


def decode_random(
    name: str, shape: ModelConfig, weights: str, target: str, progress: Progress
) -> Result:
    """The same over one step at the last position of the context, with random weights."""
    config = find_preset("default")
    compiled = compile_model(random_checkpoint(shape), config, WeightFormat(weights))
    size = compiled.memory.size
    with open_device("rtl", config, memory_bytes=size, progress=progress) as device:
        runner = ModelRunner(compiled, device)
        last = shape.max_context - 1
        return _bandwidth(
            name, target, config, device, lambda: runner.run_chunk([1], position=last)
        )


def cycles_260k(name: str, weights: str, prompt: int, target: str, progress: Progress) -> Result:
    """Cycles of a model of the stories260K shape on `wide`: of a decode step at position 128, or of
    the prefill of a prompt, from start command to the last interrupt."""
    config = find_preset("wide")
    compiled = compile_model(
        random_checkpoint(KNOWN_SHAPES["stories260k"]), config, WeightFormat(weights)
    )
    size = compiled.memory.size
    with open_device("rtl", config, memory_bytes=size, progress=progress) as device:
        runner = ModelRunner(compiled, device)
        if prompt:
            counters = measure(device, lambda: runner.prefill(range(prompt)))
        else:
            counters = measure(device, lambda: runner.run_chunk([1], position=128))
    return Result(
        name=name,
        preset=config.name,
        value=counters["cycles"],
        unit="cycles",
        target=target,
        cycles=counters["cycles"],
        counters=counters,
    )


def _bandwidth(
    name: str, target: str, config: Configuration, device: Device, work: Callable[[], None]
) -> Result:
    counters = measure(device, work)
    moved = counters["bytes_read"] + counters["bytes_written"]
    return Result(
        name=name,
        preset=config.name,
        value=moved / (counters["cycles"] * config.memory_bytes_per_cycle),
        unit="fraction",
        target=target,
        cycles=counters["cycles"],
        counters=counters,
    )
