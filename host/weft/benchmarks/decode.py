# SPDX-License-Identifier: Apache-2.0
"""Steps of models: how busy the memory is, and how many cycles they take."""

from collections.abc import Sequence

from weft.benchmarks.random_model import random_checkpoint
from weft.benchmarks.result import Progress, Result, measure
from weft.compiler import CompiledModel, compile_model
from weft.compiler.conventions import batch_scalars, chunk_scalars
from weft.devices import find_preset, open_device
from weft.forecast import forecast
from weft.kv_format import KVFormat
from weft.llm import LLM
from weft.model import ModelConfig
from weft.model.shapes import KNOWN_SHAPES
from weft.quantize import WeightFormat
from weft.runtime import BatchRow, ModelRunner
from weft_arch.config import Configuration

__all__ = ["batch_ratio", "cycles_260k", "decode_random", "decode_shipped", "resident_260k"]

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

        counters = measure(llm.device, steps)
        first = len(ids)
        steps_taken = [(k, k + 1) for k in range(first, first + STEPS)]
        predicted = _forecast(llm.compiled, steps_taken)
        return _bandwidth(name, target, llm.config, counters, predicted)


def decode_random(
    name: str, shape: ModelConfig, weights: str, target: str, progress: Progress
) -> Result:
    """The same over one step at the last position of the context, with random weights."""
    config = find_preset("default")
    compiled = compile_model(random_checkpoint(shape), config, WeightFormat(weights))
    last = shape.max_context - 1
    size = compiled.memory.size
    with open_device("rtl", config, memory_bytes=size, progress=progress) as device:
        runner = ModelRunner(compiled, device)
        counters = measure(device, lambda: runner.run_chunk([1], position=last))
    return _bandwidth(name, target, config, counters, _forecast(compiled, [(last, last + 1)]))


def batch_ratio(
    name: str, shape: ModelConfig, sequences: int, position: int, target: str, progress: Progress
) -> Result:
    """Cycles of a step of several sequences at a position / those of a step of one, with random
    weights, from start command to interrupt."""
    config = find_preset("default")
    compiled = compile_model(
        random_checkpoint(shape), config, WeightFormat.W8, max_sequences=sequences
    )
    places = [(sequence, position) for sequence in range(sequences)]
    rows = [BatchRow(sequence=s, position=p, token_id=1) for s, p in places]
    size = compiled.memory.size
    with open_device("rtl", config, memory_bytes=size, progress=progress) as device:
        runner = ModelRunner(compiled, device)
        one = measure(device, lambda: runner.run_chunk([1], position=position))
        several = measure(device, lambda: runner.run_batch(rows))
    assert compiled.batch is not None
    return Result(
        name=name,
        preset=config.name,
        value=several["cycles"] / one["cycles"],
        unit="ratio",
        target=target,
        cycles=several["cycles"],
        forecast=forecast(compiled.batch.program, config, batch_scalars(places)).cycles,
        counters=several,
    )


def cycles_260k(
    name: str, weights: str, kv_format: KVFormat, prompt: int, target: str, progress: Progress
) -> Result:
    """Cycles of a model of the stories260K shape on `wide`: of a decode step at position 128, or of
    the prefill of a prompt, from start command to the last interrupt."""
    config = find_preset("wide")
    shape = KNOWN_SHAPES["stories260k"]
    compiled = compile_model(
        random_checkpoint(shape), config, WeightFormat(weights), kv_format=kv_format
    )
    size = compiled.memory.size
    with open_device("rtl", config, memory_bytes=size, progress=progress) as device:
        runner = ModelRunner(compiled, device)
        if prompt:
            counters = measure(device, lambda: runner.prefill(range(prompt)))
            chunks = runner.chunks(prompt)
        else:
            counters = measure(device, lambda: runner.run_chunk([1], position=128))
            chunks = [(128, 129)]
    return Result(
        name=name,
        preset=config.name,
        value=counters["cycles"],
        unit="cycles",
        target=target,
        cycles=counters["cycles"],
        forecast=_forecast(compiled, chunks),
        counters=counters,
    )


def resident_260k(name: str, progress: Progress) -> list[Result]:
    """Cycles of a decode step at position 128 of a model of the stories260K shape whose weights are
    on the chip and whose keys have 8 bits, from start command to interrupt; and the bytes of
    weights that it reads from memory: what the weight stream received, less keys and values."""
    config, position = find_preset("resident"), 128
    shape = KNOWN_SHAPES["stories260k"]
    compiled = compile_model(
        random_checkpoint(shape), config, WeightFormat.W8, kv_format=KVFormat.K8V8
    )
    with open_device("rtl", config, memory_bytes=compiled.memory.size, progress=progress) as device:
        runner = ModelRunner(compiled, device)
        runner.keep_weights()
        counters = measure(device, lambda: runner.run_chunk([1], position=position))
    predicted = forecast(compiled.program, config, chunk_scalars(1, position))
    figures = {
        name: (counters["cycles"], "cycles", ""),
        f"{name}_weight_bytes": (
            counters["stream_bytes"] - predicted.bytes_by_kind["keys and values"],
            "bytes",
            "0",
        ),
    }
    return [
        Result(
            name=each,
            preset=config.name,
            value=value,
            unit=unit,
            target=target,
            cycles=counters["cycles"],
            forecast=predicted.cycles,
            counters=counters if each == name else {},
        )
        for each, (value, unit, target) in figures.items()
    ]


def _forecast(compiled: CompiledModel, chunks: Sequence[tuple[int, int]]) -> int:
    """Cycles that chunks of positions (first, end) are said to take; the head runs for the last one
    and for single tokens."""
    cycles = 0
    for chunk in chunks:
        rows, head = chunk[1] - chunk[0], chunk == chunks[-1]
        scalars = chunk_scalars(rows, chunk[0], head=head or rows == 1)
        cycles += forecast(compiled.chunk_program(rows)[1], compiled.config, scalars).cycles
    return cycles


def _bandwidth(
    name: str, target: str, config: Configuration, counters: dict[str, int], predicted: int
) -> Result:
    moved = counters["bytes_read"] + counters["bytes_written"]
    return Result(
        name=name,
        preset=config.name,
        value=moved / (counters["cycles"] * config.memory_bytes_per_cycle),
        unit="fraction",
        target=target,
        cycles=counters["cycles"],
        forecast=predicted,
        counters=counters,
    )
