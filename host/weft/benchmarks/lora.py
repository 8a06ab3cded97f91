# SPDX-License-Identifier: Apache-2.0
"""What an adapter beside the weights costs a decode step."""

from collections.abc import Sequence
from dataclasses import replace

from weft.benchmarks.random_model import random_adapter, random_checkpoint
from weft.benchmarks.result import Progress, Result, measure
from weft.compiler import compile_model
from weft.compiler.adapters import with_adapters
from weft.compiler.conventions import ADAPTER, chunk_scalars
from weft.devices import find_preset, open_device
from weft.forecast import forecast
from weft.model import ModelConfig
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner

__all__ = ["adapter_ratio"]

VOCAB_SIZE = 256
"""The head is left out; the embedding only has to have rows."""
POSITION = 31


def adapter_ratio(
    name: str,
    shape: ModelConfig,
    weights: str,
    layers: int,
    matrices: Sequence[str],
    rank: int,
    target: str,
    progress: Progress,
) -> Result:
    """Cycles of a decode step through ``layers`` layers with an adapter of some matrices / those of
    one without, with random weights, from start command to interrupt. There is no head, which would
    make the share smaller."""
    config = find_preset("default")
    slice_ = replace(shape, n_layers=layers, vocab_size=VOCAB_SIZE, max_context=POSITION + 1)
    compiled = with_adapters(
        compile_model(random_checkpoint(slice_), config, WeightFormat(weights)),
        {name: random_adapter(slice_, dict.fromkeys(matrices, rank))},
    )
    with open_device("rtl", config, memory_bytes=compiled.memory.size, progress=progress) as device:
        runner = ModelRunner(compiled, device)

        def step(adapter: str | None) -> dict[str, int]:
            return measure(
                device,
                lambda: runner.run_chunk([1], position=POSITION, head=False, adapter=adapter),
            )

        without, with_it = step(None), step(name)
    adapter = compiled.adapters[name]
    scalars = chunk_scalars(1, POSITION, head=False) | {ADAPTER: adapter.address}
    return Result(
        name=name,
        preset=config.name,
        value=with_it["cycles"] / without["cycles"],
        unit="ratio",
        target=target,
        cycles=with_it["cycles"],
        forecast=forecast(adapter.program.program, config, scalars).cycles,
        counters=with_it,
    )
