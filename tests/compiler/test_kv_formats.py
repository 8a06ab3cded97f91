# SPDX-License-Identifier: Apache-2.0
"""Formats of the KV cache: who has wide keys, what they cost and change, and what they do not."""

from typing import Any

import numpy as np
import pytest

from tests.compiler.models import BERT, compiled, model_config, random_model, runner, tokens
from weft.errors import ModelError
from weft.evaluate import compare
from weft.float_model import FloatModel
from weft.kv_format import AUTO, KVFormat, choose_kv_format
from weft.quantize import WeightFormat
from weft.runtime import BatchRow
from weft.weight_plan import WeightPlan, dequantized
from weft_arch.config import preset
from weft_arch.isa import Instruction
from weft_arch.layouts import KVLayout

SHAPES: dict[str, dict[str, Any]] = {
    "several heads in a block": {"head_dim": 16},
    "a head is a slot": {"head_dim": 32, "n_heads": 2, "n_kv_heads": 1},
    "heads that end inside a block": {"head_dim": 48, "n_heads": 3, "n_kv_heads": 3},
    "heads of two blocks": {"head_dim": 64, "n_heads": 2, "n_kv_heads": 2},
}
IDS = tokens(38)  # across a boundary of kv blocks


def wide_instructions(program: tuple[Instruction, ...]) -> list[str]:
    return [i.opcode.name for i in program if getattr(i, "wide_keys", 0)]


@pytest.mark.parametrize(
    ("name", "head_dim", "expected"),
    [
        (AUTO, 8, KVFormat.K16V8),
        (AUTO, 24, KVFormat.K16V8),
        (AUTO, 32, KVFormat.K8V8),
        (AUTO, 48, KVFormat.K8V8),
        ("k8v8", 8, KVFormat.K8V8),
        ("k16v8", 64, KVFormat.K16V8),
    ],
)
def test_narrow_heads_have_wide_keys(name: str, head_dim: int, expected: KVFormat) -> None:
    assert choose_kv_format(name, model_config(head_dim=head_dim)) is expected


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(
        ModelError, match="the KV format is 'q8', but must be one of auto, k8v8, k16v8"
    ):
        compiled(kv_format="q8")


@pytest.mark.parametrize("name", SHAPES)
def test_all_instructions_of_a_slot_say_so(name: str) -> None:
    model = random_model(model_config(**SHAPES[name]))
    assert wide_instructions(compiled(model, kv_format="k8v8").program) == []
    found = wide_instructions(compiled(model, kv_format="k16v8").program)
    assert set(found) == {"VECTOR", "STORE_KV", "STREAM_KV", "ATTEND"}
    assert found.count("VECTOR") == 1, "only keys have planes"
    assert found.count("STORE_KV") == 2, "values are behind the keys"


@pytest.mark.parametrize(("k_blocks", "share"), [(1, 34 / 67), (4, 136 / 265)])
def test_wide_keys_take_the_bytes_of_their_second_plane(k_blocks: int, share: float) -> None:
    narrow, wide = (KVLayout(preset("default"), k_blocks, wide) for wide in (False, True))
    assert wide.value_bytes == narrow.value_bytes
    assert wide.block_bytes / narrow.block_bytes == pytest.approx(1 + share)


@pytest.mark.parametrize("name", SHAPES)
def test_chunks_presets_and_batches_change_no_bit(name: str) -> None:
    model = random_model(model_config(**SHAPES[name]))
    seen: list[tuple[bytes, bytes]] = []
    for config, chunk in (("default", None), ("default", 7), ("tiny", 1)):
        one = runner(compiled(model, config, kv_format="k16v8"))
        one.prefill(IDS[:-1], chunk=chunk)
        one.run_chunk(IDS[-1:], position=len(IDS) - 1, store_logits=True)
        seen.append((one.logits()[0].tobytes(), one.kv_cache().tobytes()))
    assert seen[1] == seen[0]
    assert seen[2][0] == seen[0][0]  # tiles of the other preset lie otherwise in memory
    both = runner(compiled(model, kv_format="k16v8", max_sequences=2))
    for sequence in (0, 1):
        both.prefill(IDS[:-1] if sequence else IDS[1:4], sequence=sequence)
    rows = [(1, len(IDS) - 1), (0, 3)]
    both.run_batch([BatchRow(sequence=s, position=p, token_id=IDS[-1]) for s, p in rows])
    assert (both.logits(2)[0].tobytes(), both.kv_cache(1).tobytes()) == seen[0]


@pytest.mark.parametrize("name", SHAPES)
def test_wide_keys_are_nearer_to_float(name: str) -> None:
    model = random_model(model_config(**SHAPES[name]))
    plan = WeightPlan(layers=WeightFormat.W8, lm_head=WeightFormat.W8, token_embedding=None)
    expected = FloatModel(dequantized(model, plan)).logits(IDS)
    kl = {}
    for form in KVFormat:
        one = runner(compiled(model, kv_format=form, all_logits=True))
        kl[form] = compare([(IDS, expected, one.score(IDS))]).mean_kl
    print({form.value: f"{value:.6f}" for form, value in kl.items()})
    assert kl[KVFormat.K16V8] < kl[KVFormat.K8V8]


def test_encoders_take_both() -> None:
    model = random_model(model_config(**BERT))
    expected = FloatModel(model).hidden_states(IDS)
    error = {}
    ways: tuple[dict[str, Any], ...] = ({}, {"chunk_rows": 7}, {"config": "tiny"})
    for form in KVFormat:
        hidden = [runner(compiled(model, kv_format=form, **more)).encode(IDS) for more in ways]
        assert all(np.array_equal(other, hidden[0]) for other in hidden[1:])
        error[form] = np.linalg.norm(hidden[0] - expected)
    assert error[KVFormat.K16V8] < error[KVFormat.K8V8]
