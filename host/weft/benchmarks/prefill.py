# SPDX-License-Identifier: Apache-2.0
"""A prompt through some layers of a model: how busy the array is."""

from dataclasses import replace

from weft.benchmarks.random_model import random_checkpoint
from weft.benchmarks.result import Progress, Result, measure
from weft.compiler import compile_model
from weft.compiler.conventions import chunk_scalars
from weft.devices import find_preset, open_device
from weft.forecast import forecast
from weft.model import ModelConfig
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft_arch.config import Configuration

__all__ = ["encode", "prefill_layers"]

VOCAB_SIZE = 256
"""The head is left out; the embedding only has to have rows."""


def prefill_layers(
    name: str,
    shape: ModelConfig,
    weights: str,
    layers: int,
    prompt: int,
    target: str,
    progress: Progress,
) -> Result:
    """Array cycles that carry an activation row / cycles, of ``layers`` layers with random weights
    over a prompt, from the first start command to the last interrupt."""
    config = find_preset("default")
    slice_ = replace(shape, n_layers=layers, vocab_size=VOCAB_SIZE, max_context=prompt)
    compiled = compile_model(random_checkpoint(slice_), config, WeightFormat(weights))
    size = compiled.memory.size
    with open_device("rtl", config, memory_bytes=size, progress=progress) as device:
        runner = ModelRunner(compiled, device)
        chunks = runner.chunks(prompt)

        def run() -> None:
            for start, end in chunks:
                ids = [position % VOCAB_SIZE for position in range(start, end)]
                runner.run_chunk(ids, position=start, head=False)

        counters = measure(device, run)
    predicted = sum(
        forecast(
            compiled.chunk_program(end - start)[1],
            config,
            chunk_scalars(end - start, start, head=False),
        ).cycles
        for start, end in chunks
    )
    return _utilisation(name, config, target, counters, predicted)


def encode(
    name: str, shape: ModelConfig, weights: str, length: int, target: str, progress: Progress
) -> Result:
    """Array cycles that carry an activation row / cycles, of an encoder with random weights over a
    text, from the start command to the interrupt."""
    config = find_preset("default")
    model = replace(shape, vocab_size=VOCAB_SIZE, max_context=length)
    compiled = compile_model(random_checkpoint(model), config, WeightFormat(weights))
    size = compiled.memory.size
    with open_device("rtl", config, memory_bytes=size, progress=progress) as device:
        runner = ModelRunner(compiled, device)
        ids = [position % VOCAB_SIZE for position in range(length)]
        counters = measure(device, lambda: runner.encode(ids))
    _, program = compiled.chunk_program(length)
    predicted = forecast(program, config, compiled.text_scalars(length)).cycles
    return _utilisation(name, config, target, counters, predicted)


def _utilisation(
    name: str, config: Configuration, target: str, counters: dict[str, int], predicted: int
) -> Result:
    return Result(
        name=name,
        preset=config.name,
        value=counters["mac_cycles"] / counters["cycles"],
        unit="fraction",
        target=target,
        cycles=counters["cycles"],
        forecast=predicted,
        counters=counters,
    )
