# SPDX-License-Identifier: Apache-2.0
"""Batches: several sequences in one step, each with the bits that it has alone."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.compiler.models import compiled, model_config, random_model, runner, tokens
from weft.benchmarks.result import measure
from weft.compiler import CompiledModel
from weft.compiler.conventions import batch_scalars
from weft.devices import open_device
from weft.errors import WeftError
from weft.forecast import forecast
from weft.quantize import WeightFormat
from weft.runtime import BatchRow, ModelRunner
from weft_sim.memory_parameters import MemoryParameters

LENGTHS = (5, 31, 33, 2, 40)
"""Prompts before the first step; steps cross a boundary of kv blocks."""
STEPS = ((0, 1, 2), (2, 0, 1, 3), (3, 1), (4,), (1, 4, 3, 2, 0), (0, 4))
"""Sequences of each step: they join, leave, come back and change places."""


def ids_of(sequence: int) -> list[int]:
    return list(tokens(LENGTHS[sequence] + len(STEPS), seed=sequence))


def alone(model: CompiledModel, sequence: int) -> tuple[list[bytes], bytes]:
    """Logits after the prompt and each further token, and the KV cache, of a run of its own."""
    one, ids, length = runner(model), ids_of(sequence), LENGTHS[sequence]
    one.prefill(ids[:length])
    logits: list[bytes] = []
    for position in range(length, length + sum(sequence in step for step in STEPS)):
        one.run_chunk([ids[position]], position=position, store_logits=True)
        logits.append(one.logits()[0].tobytes())
    return logits, one.kv_cache().tobytes()


def together(batched: ModelRunner) -> list[tuple[list[bytes], bytes]]:
    """The same of all sequences, which join a step when it first needs them."""
    logits: list[list[bytes]] = [[] for _ in LENGTHS]
    for step in STEPS:
        rows: list[BatchRow] = []
        for sequence in step:
            ids, length = ids_of(sequence), LENGTHS[sequence]
            if not logits[sequence]:
                batched.prefill(ids[:length], sequence=sequence)
            position = length + len(logits[sequence])
            rows.append(BatchRow(sequence=sequence, position=position, token_id=ids[position]))
        batched.run_batch(rows)
        for sequence, row in zip(step, batched.logits(len(rows)), strict=True):
            logits[sequence].append(row.tobytes())
    return [(rows, batched.kv_cache(s).tobytes()) for s, rows in enumerate(logits)]


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({}, "w8"),
        ({"head_dim": 8, "n_heads": 8, "n_kv_heads": 4}, "w4"),
        ({"head_dim": 48, "n_heads": 2, "n_kv_heads": 1, "dim": 96}, "w8"),
        ({"head_dim": 64, "n_heads": 6, "n_kv_heads": 2}, "w4"),
    ],
)
def test_a_batch_changes_no_bit(changes: dict[str, Any], weights: str) -> None:
    model = compiled(
        random_model(model_config(**changes)), weights=WeightFormat(weights), max_sequences=5
    )
    assert model.batch is not None
    assert model.batch.chip.chunk_rows == 5
    found = together(runner(model))
    for sequence, (logits, cache) in enumerate(found):
        expected, expected_cache = alone(model, sequence)
        assert logits == expected, f"sequence {sequence}"
        assert cache == expected_cache, f"sequence {sequence}"


@pytest.mark.parametrize("preset", ["tiny", "default"])
def test_the_rtl_has_the_same_bits(preset: str) -> None:
    model = compiled(config=preset, max_sequences=5)
    size, memory = model.memory.size, MemoryParameters(stall=0.25, seed=3)
    with open_device("rtl", model.config, memory_bytes=size, memory=memory) as device:
        found = together(ModelRunner(model, device))
    assert found == together(runner(model))


def test_a_batch_takes_the_cycles_that_are_forecast() -> None:
    model = compiled(max_sequences=8)
    assert model.batch is not None
    with open_device("rtl", model.config, memory_bytes=model.memory.size) as device:
        batched = ModelRunner(model, device)
        for count in (8, 1):
            places = [(k, 3 * k) for k in range(count)]
            rows = [BatchRow(sequence=s, position=p, token_id=1) for s, p in places]
            cycles = measure(device, partial(batched.run_batch, rows))["cycles"]
            predicted = forecast(model.batch.program, model.config, batch_scalars(places)).cycles
            assert abs(predicted - cycles) <= 0.02 * cycles, count


def test_large_vocabularies_go_through_two_buffers() -> None:
    """Pairs of segments: none before the last one, one, and a loop of several."""
    for vocab_size in (60, 1000, 2500):
        changed = model_config(vocab_size=vocab_size)
        model = compiled(random_model(changed), max_sequences=2)
        batched, rows = (
            runner(model),
            [BatchRow(sequence=k, position=0, token_id=k) for k in (0, 1)],
        )
        batched.run_batch(rows)
        logits = batched.logits(2)
        for k in (0, 1):
            one = runner(model)
            one.run_chunk([k], position=0, store_logits=True)
            np.testing.assert_array_equal(one.logits()[0], logits[k])


def test_bad_batches_get_a_sentence() -> None:
    def row(sequence: int, position: int = 0, token_id: int = 0) -> BatchRow:
        return BatchRow(sequence=sequence, position=position, token_id=token_id)

    one = runner(compiled(max_sequences=3))
    for rows, sentence in (
        ([], r"^a batch has 0 rows; it must have 1 to 3\.$"),
        ([row(k) for k in range(4)], r"^a batch has 4 rows; it must have 1 to 3\.$"),
        ([row(1), row(1, 1)], r"^a batch has two rows of the same sequence; it may have one"),
        ([row(3)], r"^sequence 3 is outside the 3 that the model is compiled for\.$"),
        ([row(0, 80)], r"^positions 80 to 80 are outside the context of 80\.$"),
        ([row(0, token_id=100)], r"^token id 100 is outside the vocabulary of 100\.$"),
    ):
        with pytest.raises(WeftError, match=sentence):
            one.run_batch(rows)
    with pytest.raises(WeftError, match=r"^a batch has 1 rows; it must have 1 to 1\.$"):
        runner(compiled()).run_batch([row(0)])


def test_a_model_without_room_for_two_rows_has_no_batch() -> None:
    wide = model_config(dim=3584, hidden_dim=1024, n_layers=1)
    assert compiled(random_model(wide), "tiny", max_sequences=4).batch is None
