# SPDX-License-Identifier: Apache-2.0
"""Adapters on the device: the side path is the merged model, within what quantising costs."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.compiler.models import compiled, model_config, random_model, runner, tokens
from weft.benchmarks.random_model import random_adapter
from weft.compiler import CompiledModel
from weft.compiler.adapters import balanced, with_adapters
from weft.compiler.conventions import Token, chunk_scalars
from weft.compiler.hazards import check_hazards
from weft.devices import open_device
from weft.errors import CompileError, WeftError
from weft.float_model import FloatModel
from weft.model import Checkpoint, ModelConfig
from weft.model.lora import HEAD, Adapter, LowRank, merged
from weft.quantize import WeightFormat
from weft.runtime import BatchRow, ModelRunner
from weft_arch.config import preset
from weft_sim.memory_parameters import MemoryParameters

ALL = ("wq", "wk", "wv", "wo", "w_gate", "w_up", "w_down")
QV = {"wq": 8, "wv": 8}
SEVEN = dict(zip(ALL, (16, 3, 33, 8, 40, 64, 5), strict=True))
"""A rank of its own for each matrix: within a tile, a block, across both."""


def adapted(
    changes: dict[str, Any] | None = None,
    ranks: dict[str, dict[str, int]] | None = None,
    **more: Any,
) -> tuple[Checkpoint, dict[str, Adapter], CompiledModel]:
    """A small model with adapters of these ranks beside it."""
    shape = model_config(**(changes or {}))
    model = random_model(shape)
    chosen = {"qv": QV, "seven": SEVEN} if ranks is None else ranks
    adapters = {
        name: random_adapter(shape, of, seed=seed) for seed, (name, of) in enumerate(chosen.items())
    }
    return model, adapters, with_adapters(compiled(model, **more), adapters)


def logits(model: CompiledModel, ids: list[int], adapter: str | None = None) -> np.ndarray:
    """Of every position; the model must be compiled for all."""
    return runner(model).score(ids, adapter=adapter)


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative, of the root of the mean square."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({}, "w8"),
        ({"head_dim": 48, "n_heads": 2, "n_kv_heads": 1, "dim": 96}, "w8"),
        ({"biases": frozenset({"wq", "wk", "wv"}), "hidden_dim": 200}, "w8"),
        ({"feed_forward": "plain", "activation": "gelu_tanh", "norm": "layer"}, "w8"),
        ({"norm_order": "sandwich", "qk_norm": True}, "w8"),
        ({}, "w4"),
    ],
)
def test_the_side_path_is_the_merged_model(changes: dict[str, Any], weights: str) -> None:
    """The device's logits are at most a tenth further from the float model's with the adapter
    merged than they are, without an adapter, from those of the float model."""
    has = model_config(**changes).matrices
    ranks = {"qv": QV, "seven": {name: r for name, r in SEVEN.items() if name in has}}
    model, adapters, made = adapted(changes, ranks, weights=WeightFormat(weights), all_logits=True)
    ids = list(tokens(40))
    base = FloatModel(model).logits(ids)
    bound = 1.1 * error(logits(made, ids), base)
    for name, adapter in adapters.items():
        expected = FloatModel(merged(model, adapter)).logits(ids)
        found = error(logits(made, ids, name), expected)
        assert found <= bound
        assert error(base, expected) > bound  # so leaving the adapter out would be noticed


@pytest.mark.parametrize("kv_format", ["k8v8", "k16v8"])
def test_chunks_change_no_bit(kv_format: str) -> None:
    _, _, made = adapted(kv_format=kv_format)
    ids = list(tokens(50))
    for adapter in made.adapters:
        found: set[tuple[bytes, bytes]] = set()
        for chunk in (1, 7, 32, None):
            one = runner(made)
            one.prefill(ids, store_logits=True, chunk=chunk, adapter=adapter)
            found.add((one.logits().tobytes(), one.kv_cache().tobytes()))
        assert len(found) == 1


def test_an_adapter_whose_b_is_zero_changes_no_bit() -> None:
    model, adapters, _ = adapted(all_logits=True)
    for name, adapter in adapters.items():
        zeros = {
            key: replace(change, b=np.zeros_like(change.b))
            for key, change in adapter.changes.items()
        }
        nothing = {name: Adapter(name=name, changes=zeros)}
        made = with_adapters(compiled(model, all_logits=True), nothing)
        ids = list(tokens(40))
        assert logits(made, ids, name).tobytes() == logits(made, ids).tobytes()


def test_the_model_itself_stays_what_it_is() -> None:
    """With adapters beside it: the same image, program, results; and between runs with them."""
    model, _, made = adapted(max_sequences=3)
    plain = compiled(model, max_sequences=3)
    assert made.image.tobytes() == plain.image.tobytes()
    assert made.program == plain.program
    assert made.batch == plain.batch
    ids = list(tokens(20))
    expected = runner(plain)
    expected.prefill(ids, store_logits=True)
    one = runner(made)
    for sequence, adapter in enumerate(("seven", None, "qv")):
        one.prefill(ids, sequence=sequence, store_logits=True, adapter=adapter)
        same = one.logits().tobytes() == expected.logits().tobytes()
        assert same == (adapter is None)
    assert one.kv_cache(1).tobytes() == expected.kv_cache().tobytes()


def test_adapters_with_the_same_side_path_share_programs() -> None:
    _, _, made = adapted(
        ranks={"a": {"wq": 5}, "b": {"wq": 8}, "c": {"wq": 9}, "d": {"wv": 8}}, max_sequences=2
    )
    numbers = {name: adapter.program.number for name, adapter in made.adapters.items()}
    assert numbers == {"a": 0, "b": 0, "c": 1, "d": 2}
    regions = sorted(made.memory.regions.values(), key=lambda region: region.base)
    assert all(a.end <= b.base for a, b in pairwise(regions))
    beside = [region for name, region in made.memory.regions.items() if "adapter" in name]
    assert len(beside) == 3 * 2 + 4
    assert min(region.base for region in beside) >= made.memory.write_end
    assert {region.base for region in beside} == set(made.adapter_images)


def test_ranks_and_layers_may_differ_from_matrix_to_matrix() -> None:
    """What an adapter leaves out in a layer, or has of a smaller rank there, is zero."""
    model, adapters, _ = adapted(ranks={"a": {"wq": 20, "w_down": 6}})
    changes = dict(adapters["a"].changes)
    del changes[0, "w_down"]
    few = changes[1, "wq"]
    changes[1, "wq"] = replace(few, a=few.a[:3], b=few.b[:, :3])
    adapter = Adapter(name="a", changes=changes)
    made = with_adapters(compiled(model, all_logits=True), {"a": adapter})
    ids = list(tokens(30))
    bound = 1.1 * error(logits(made, ids), FloatModel(model).logits(ids))
    assert error(logits(made, ids, "a"), FloatModel(merged(model, adapter)).logits(ids)) <= bound


def serve(served: ModelRunner) -> list[bytes]:
    """Two sequences of one adapter, two of another and one of none: prompts, then steps."""
    names = ("qv", "qv", "seven", "seven", None)
    lengths = (5, 9, 31, 12, 4)
    found: list[bytes] = []
    ids = [list(tokens(40, seed=k)) for k in range(len(names))]
    for sequence, (adapter, length) in enumerate(zip(names, lengths, strict=True)):
        prompt = ids[sequence][:length]
        served.prefill(prompt, sequence=sequence, store_logits=True, adapter=adapter)
        found.append(served.logits().tobytes())
    for step in range(3):
        for adapter in ("seven", None, "qv"):
            rows = [
                BatchRow(sequence=s, position=lengths[s] + step, token_id=ids[s][lengths[s] + step])
                for s, name in enumerate(names)
                if name == adapter
            ]
            if len(rows) > 1:
                served.run_batch(rows, adapter=adapter)
                found += [row.tobytes() for row in served.logits(len(rows))]
    return found + [served.kv_cache(sequence).tobytes() for sequence in range(len(names))]


def test_a_batch_changes_no_bit() -> None:
    _, _, made = adapted(max_sequences=8)
    names = ("qv", "qv", "seven", "seven", None)
    *found, _ = serve(runner(made))
    caches = found[-4:]
    lengths = (5, 9, 31, 12)
    for sequence in range(4):
        one = runner(made)
        ids, length = list(tokens(40, seed=sequence)), lengths[sequence]
        one.prefill(ids[:length], adapter=names[sequence])
        for position in range(length, length + 3):
            one.run_chunk([ids[position]], position=position, adapter=names[sequence])
        assert one.kv_cache().tobytes() == caches[sequence]


@pytest.mark.parametrize("token", [Token.LOW_RANK, Token.LOW_RANK_CODES])
def test_the_loss_of_a_token_is_found(token: Token) -> None:
    """As in test_hazards.py, for the tokens that only adapters use."""
    _, _, made = adapted()
    fields = ("wait_a", "wait_b", "signal_a", "signal_b")
    for adapter in made.adapters.values():
        chip = adapter.program.chip
        program = [
            replace(i, **{f: 0 for f in fields if getattr(i, f) == token})
            for i in adapter.program.program
        ]
        with pytest.raises(CompileError, match=r"which an earlier instruction of another engine"):
            check_hazards(
                program,
                made.config,
                scalars=chunk_scalars(chip.chunk_rows, 3, logit_rows=chip.logit_rows),
                write_base=made.memory.read_only_end,
                write_limit=made.memory.write_end,
            )


@pytest.mark.parametrize("stall", [0.0, 0.25])
def test_the_rtl_has_the_same_bits(stall: float) -> None:
    _, _, made = adapted(config="tiny", max_sequences=5)
    memory = MemoryParameters(stall=stall, seed=3)
    size = made.memory.size
    with open_device("rtl", made.config, memory_bytes=size, memory=memory) as device:
        found = serve(ModelRunner(made, device))
    assert found == serve(runner(made))


def test_weights_that_stay_on_the_chip_take_adapters_from_memory() -> None:
    changes = {"n_layers": 1, "hidden_dim": 64}
    model, adapters, made = adapted(changes, config="resident")
    assert made.memory.resident
    ids = list(tokens(20))
    streamed = with_adapters(compiled(model, config="wide"), adapters)
    assert not streamed.memory.resident
    for adapter in adapters:
        one, other = runner(made), runner(streamed)
        for each in (one, other):
            each.prefill(ids, store_logits=True, adapter=adapter)
        assert one.logits().tobytes() == other.logits().tobytes()


def test_a_power_of_two_moves_between_the_factors() -> None:
    a, b = np.full((2, 4), 0.75, np.float32), np.full((3, 2), 3e-6, np.float32)
    change = LowRank(a=a, b=b, scale=2.0)
    new_a, new_b = balanced(change)
    np.testing.assert_array_equal(new_a, a * 2.0**-8)
    np.testing.assert_array_equal(new_b, (np.float64(b) * 2.0**9).astype(np.float32))
    zero = LowRank(a=a, b=np.zeros((3, 2), np.float32), scale=2.0)
    np.testing.assert_array_equal(balanced(zero)[0], a)


def one_change(layer: int, name: str, rank: int, value: float = 0.1) -> dict[str, Adapter]:
    shape: ModelConfig = model_config()
    outputs, inputs = (shape.model_shapes() | shape.layer_shapes())[name]
    change = LowRank(
        a=np.full((rank, inputs), value, np.float32),
        b=np.full((outputs, rank), value, np.float32),
        scale=1.0,
    )
    return {"it's": Adapter(name="x", changes={(layer, name): change})}


@pytest.mark.parametrize(
    ("adapter", "sentence"),
    [
        (
            one_change(HEAD, "token_embedding", 4),
            r"^adapter \"it's\": it changes token_embedding, which has no side path on the device; "
            r"merge it into the weights instead\.$",
        ),
        (
            one_change(0, "wq", 257),
            r"rank 257 of wq is not one of a side path, .* 1 to 256; merge",
        ),
        (
            one_change(1, "wq", 4, 1e9),
            r"layers\.1\.wq: a weight of magnitude 1e\+09 can",
        ),
    ],
)
def test_adapters_that_cannot_be_resident_get_a_sentence(
    adapter: dict[str, Adapter], sentence: str
) -> None:
    with pytest.raises(CompileError, match=sentence):
        with_adapters(compiled(), adapter)


def test_a_program_that_is_too_long_gets_a_sentence() -> None:
    small = replace(preset("default"), instruction_words=128)
    sentence = (
        r"^adapter 'seven': the program with the adapter has 1\d\d instructions; preset default "
        r"takes 128\.$"
    )
    with pytest.raises(CompileError, match=sentence):
        adapted(config=small)


def test_a_name_that_is_not_there_gets_a_sentence() -> None:
    _, _, made = adapted()
    with pytest.raises(WeftError, match=r"^adapter 'no' is not resident; there are: qv, seven\.$"):
        runner(made).prefill([1], adapter="no")
