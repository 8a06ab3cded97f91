# SPDX-License-Identifier: Apache-2.0
"""Compiled models on the reference: bits that never change, and the float model as the judge."""

from typing import Any

import numpy as np
import pytest

from tests.compiler.models import compiled, model_config, random_model, runner, tokens
from weft.compiler import CompiledModel
from weft.errors import WeftError
from weft.evaluate import compare
from weft.float_model import FloatModel
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft.weight_plan import WeightPlan, dequantized
from weft_arch import registers
from weft_arch.device import DeviceFault
from weft_sim.reference import ReferenceDevice

PROMPT = tokens(38)  # across a boundary of kv blocks


def generated(of: ModelRunner, steps: int = 6) -> tuple[list[int], list[bytes]]:
    """Greedy tokens after the prompt and the logits' bits of each step."""
    position, ids, bits = len(PROMPT), [], []
    for _ in range(steps):
        top = of.top_k()
        logits = of.logits()[0]
        assert int(top.token_ids[0]) == int(logits.argmax())
        ids.append(int(top.token_ids[0]))
        bits.append(logits.tobytes())
        of.run_chunk([ids[-1]], position=position, store_logits=True)
        position += 1
    return ids, bits


@pytest.fixture(scope="module", params=[WeightFormat.W8, WeightFormat.W4])
def model(request: pytest.FixtureRequest) -> CompiledModel:
    return compiled(weights=request.param)


def test_chunks_change_no_bit(model: CompiledModel) -> None:
    seen = []
    for chunk in (None, 1, 2, 3, 7):
        one = runner(model)
        one.prefill(PROMPT, store_logits=True, chunk=chunk)
        seen.append((*generated(one), one.kv_cache().tobytes()))
    assert all(s == seen[0] for s in seen)


def test_presets_change_no_bit(model: CompiledModel) -> None:
    seen = []
    for preset in ("default", "tiny"):
        one = runner(compiled(config=preset, weights=model.weights))
        one.prefill(PROMPT, store_logits=True)
        seen.append(generated(one))
    assert seen[0] == seen[1]


def test_a_smaller_plan_changes_no_bit(model: CompiledModel) -> None:
    small = runner(compiled(weights=model.weights, chunk_rows=2, max_context=50))
    small.prefill(PROMPT, store_logits=True)
    whole = runner(model)
    whole.prefill(PROMPT, store_logits=True)
    assert generated(small) == generated(whole)


def test_scoring_gives_the_logits_of_generation(model: CompiledModel) -> None:
    scoring = runner(compiled(weights=model.weights, all_logits=True))
    scores = scoring.score(PROMPT)
    assert scores.shape == (len(PROMPT), model.model.vocab_size)
    one = runner(model)
    for position, token in enumerate(PROMPT):
        one.run_chunk([token], position=position, store_logits=True)
        np.testing.assert_array_equal(one.logits()[0], scores[position])


def test_sequences_do_not_disturb_each_other() -> None:
    both = runner(compiled(max_sequences=2))
    alone = [runner(compiled()) for _ in range(2)]
    ids = [PROMPT, tokens(21, seed=5)]
    for start in range(0, 38, 9):  # chunks of both in turn
        for sequence in (0, 1):
            part = ids[sequence][start : start + 9]
            if part:
                where = {"position": start, "store_logits": True}
                both.run_chunk(part, sequence=sequence, **where)
                alone[sequence].run_chunk(part, **where)
                np.testing.assert_array_equal(both.logits(), alone[sequence].logits())
    for sequence in (0, 1):
        np.testing.assert_array_equal(both.kv_cache(sequence), alone[sequence].kv_cache())


def test_the_head_may_be_left_out(model: CompiledModel) -> None:
    one = runner(model)
    one.run_chunk(PROMPT[:3], position=0, head=True, store_logits=True)
    before = (one.top_k().logits.tobytes(), one.logits().tobytes())
    one.run_chunk(PROMPT[3:6], position=3, head=False)
    assert (one.top_k().logits.tobytes(), one.logits().tobytes()) == before


def test_a_step_costs_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first step of a decode, the host writes nothing but the token and START."""
    one = runner(compiled())
    one.prefill(PROMPT)
    one.run_chunk([1], position=38)
    written: list[int] = []
    write = one.device.write_register

    def recorded(offset: int, value: int) -> None:
        written.append(offset)
        write(offset, value)

    monkeypatch.setattr(one.device, "write_register", recorded)
    one.run_chunk([2], position=39)
    assert written == [registers.offset("CONTROL")]


def test_top_k_is_the_head_of_the_logits() -> None:
    one = runner(compiled(random_model(model_config(vocab_size=9001))))
    one.prefill(PROMPT, store_logits=True)
    logits, top = one.logits()[0], one.top_k()
    order = np.argsort(-logits, kind="stable")[: top.token_ids.size]
    np.testing.assert_array_equal(top.token_ids, order)
    np.testing.assert_array_equal(top.logits, logits[order])


def test_bad_chunks_get_a_sentence() -> None:
    one = runner(compiled())
    for ids, position, sentence in (
        ([], 0, r"^a chunk has 0 tokens; it must have 1 to 64\.$"),
        ([0] * 65, 0, r"^a chunk has 65 tokens; it must have 1 to 64\.$"),
        ([0, 0], 79, r"^positions 79 to 80 are outside the context of 80\.$"),
        ([0], -1, r"^positions -1 to -1 are outside the context of 80\.$"),
        ([100], 0, r"^token id 100 is outside the vocabulary of 100\.$"),
        ([-1], 0, r"^token id -1 is outside the vocabulary of 100\.$"),
    ):
        with pytest.raises(WeftError, match=sentence):
            one.run_chunk(ids, position=position)
    sentence = r"^sequence 1 is outside the 1 that the model is compiled for\.$"
    with pytest.raises(WeftError, match=sentence):
        one.run_chunk([0], position=0, sequence=1)


def test_a_model_that_does_not_fit_the_devices_memory() -> None:
    of = compiled()
    sentence = rf"^the model needs {of.memory.size} bytes of memory; the device has 4096\.$"
    with pytest.raises(WeftError, match=sentence):
        ModelRunner(of, ReferenceDevice(of.config, memory_bytes=4096))


def test_after_a_fault_the_next_request_runs() -> None:
    one, other = runner(compiled()), runner(compiled())
    one.prefill(PROMPT)
    limit = one.device.read_register(registers.offset("WRITE_LIMIT"))
    one.device.write_register(registers.offset("WRITE_LIMIT"), 0)
    with pytest.raises(DeviceFault):
        one.prefill(PROMPT)
    one.device.write_register(registers.offset("WRITE_LIMIT"), limit)
    one.prefill(PROMPT, store_logits=True)
    other.prefill(PROMPT, store_logits=True)
    assert generated(one) == generated(other)


GATE = frozenset({"w_gate"})
ALL = frozenset({"wq", "wk", "wv", "wo", "w_up", "w_down"}) | GATE
GPT2: dict[str, Any] = {
    "positions": "learned",
    "norm": "layer",
    "feed_forward": "plain",
    "activation": "gelu_tanh",
    "biases": ALL - GATE,
    "n_kv_heads": 4,
}
SHAPES: dict[str, dict[str, Any]] = {
    "ordinary": {},
    "hidden_dim is no multiple of 32": {"hidden_dim": 72},
    "hidden_dim is no multiple of the array": {"hidden_dim": 100},
    "four heads to a slot": {"head_dim": 8, "n_heads": 8, "n_kv_heads": 4},
    "no query groups": {"head_dim": 8, "n_heads": 4, "n_kv_heads": 4},
    "one KV head": {"head_dim": 32, "n_heads": 4, "n_kv_heads": 1},
    "groups of three": {"head_dim": 32, "n_heads": 6, "n_kv_heads": 2},
    "two blocks to a head": {"head_dim": 64, "n_heads": 2, "n_kv_heads": 2},
    "a block and a half to a head": {"head_dim": 48, "n_heads": 6, "n_kv_heads": 3},
    "two heads to three blocks": {"head_dim": 48, "n_heads": 4, "n_kv_heads": 4},
    "two groups to three blocks": {"head_dim": 48, "n_heads": 8, "n_kv_heads": 2},
    "four heads to three blocks": {"head_dim": 24, "n_heads": 4, "n_kv_heads": 4},
    "less than a block to a head": {"head_dim": 24, "n_heads": 4, "n_kv_heads": 2},
    "heads that do not fill a slot": {"head_dim": 8, "n_heads": 4, "n_kv_heads": 2},
    "more than two blocks": {"head_dim": 80, "n_heads": 2, "n_kv_heads": 2},
    "three blocks to a head": {"head_dim": 96, "n_heads": 2, "n_kv_heads": 1},
    "four blocks to a head": {"head_dim": 128, "n_heads": 1, "n_kv_heads": 1},
    "dim is 96": {"dim": 96},
    "dim is no multiple of 32": {"dim": 40},
    "one layer, wide heads": {"n_layers": 1, "dim": 32, "head_dim": 32, "n_kv_heads": 4},
    "vocabulary is no multiple of the array": {"vocab_size": 101},
    "vocabulary of several segments": {"vocab_size": 5003, "n_layers": 1},
    "untied": {"tied_embeddings": False},
    "gelu_tanh": {"activation": "gelu_tanh"},
    "gelu_erf": {"activation": "gelu_erf"},
    "other constants": {"norm_eps": 1e-6, "rope_theta": 500000.0},
    "biases of queries, keys and values": {"biases": frozenset({"wq", "wk", "wv"})},
    "a bias of one of two": {"biases": frozenset({"wv", "w_up"}), "hidden_dim": 100},
    "biases everywhere": {"biases": ALL},
    "LayerNorm": {"norm": "layer"},
    "LayerNorm behind": {"norm": "layer", "norm_order": "sandwich", "biases": ALL},
    "norms before and behind": {"norm_order": "sandwich", "embedding_scale": 8.0},
    "norms of heads": {"qk_norm": True},
    "norms of small heads": {"qk_norm": True, "head_dim": 8, "n_heads": 8, "n_kv_heads": 4},
    "norms of large heads": {"qk_norm": True, "head_dim": 80, "n_heads": 2, "n_kv_heads": 2},
    "no gate": {"feed_forward": "plain", "activation": "gelu_tanh"},
    "no gate, an odd width": {"feed_forward": "plain", "hidden_dim": 100, "biases": ALL - GATE},
    "learned positions": {"positions": "learned"},
    "learned positions, heads that do not fill a slot": {
        "positions": "learned", "head_dim": 24, "n_heads": 4, "n_kv_heads": 2
    },
    "learned positions, four heads to a slot": {
        "positions": "learned", "head_dim": 8, "n_heads": 8, "n_kv_heads": 4
    },
    "half of each head rotated": {"rope_frequencies": (1.0, 0.3, 0.1, 0.03, 0.0, 0.0, 0.0, 0.0)},
    "a factor of the rotations": {"rope_frequencies": (0.5,) * 8, "rope_factor": 1.2},
    "another scale of scores": {"query_scale": 0.1},
    "a window": {"sliding_window": 80},
    "like Qwen3": {"qk_norm": True, "n_heads": 4, "n_kv_heads": 1, "head_dim": 32},
    "like GPT-2": GPT2,
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_models_of_odd_shapes_are_computed_right(name: str) -> None:
    """Against float arithmetic on the same 8-bit weights. Quantised activations alone cost about
    0.005; a mistake anywhere in the compiler costs a hundred times as much."""
    config = model_config(**SHAPES[name])
    model = random_model(config)
    ids = tokens(70, config.vocab_size)
    plan = WeightPlan(layers=WeightFormat.W8, lm_head=WeightFormat.W8, token_embedding=None)
    judge = FloatModel(dequantized(model, plan)).logits(ids)
    scores = runner(compiled(model, all_logits=True)).score(ids)
    result = compare([(ids, judge, scores)])
    assert result.mean_kl < 0.015
    assert result.top1_agreement > 0.85


@pytest.mark.parametrize("name", ["ordinary", "four heads to a slot", "two blocks to a head"])
def test_shapes_agree_between_presets(name: str) -> None:
    model = random_model(model_config(**SHAPES[name]))
    ids = tokens(40)
    scores = [runner(compiled(model, p, all_logits=True)).score(ids) for p in ("tiny", "default")]
    np.testing.assert_array_equal(scores[0], scores[1])
