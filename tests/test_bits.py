# SPDX-License-Identifier: Apache-2.0
"""A sample of the bit-exactness matrix; the whole of it is `make verify`."""

from pathlib import Path

import pytest

from weft.compiler import CompiledModel, compile_model
from weft.devices import find_preset, open_device
from weft.lockstep import Lockstep, LockstepReport
from weft.model import LoadedModel, load_model
from weft.quantize import WeightFormat
from weft.sampling import SamplingParams
from weft_sim.memory_parameters import MemoryParameters

STORIES260K = Path(__file__).parents[2] / "shared" / "models" / "stories260K" / "stories260K.bin"
GREEDY = SamplingParams(temperature=0)
SAMPLED = SamplingParams(temperature=0.8, top_p=0.95, seed=11)
PROMPT = "Once upon a time there was a girl named Lily. She lived in a house with her dog."


def compare(
    model: LoadedModel,
    preset: str,
    weights: str,
    params: SamplingParams,
    *,
    prompt: str,
    tokens: int,
    kv_format: str = "auto",
    stall: float = 0.0,
    chunks: tuple[int | None, ...] = (None,),
) -> LockstepReport:
    """Run the RTL beside the reference; every chunk size must give the same bits."""
    config = find_preset(preset)
    compiled: CompiledModel = compile_model(
        model.checkpoint, config, WeightFormat(weights), kv_format=kv_format
    )
    size = compiled.memory.size
    memory = MemoryParameters(stall=stall, seed=5) if stall else None
    with (
        open_device("rtl", config, memory_bytes=size, memory=memory) as tested,
        open_device("reference", config, memory_bytes=size) as reference,
    ):
        lockstep = Lockstep(compiled, tested, reference)
        ids = model.tokenizer.encode(prompt)
        reports = [lockstep.run(ids, params, max_tokens=tokens, chunk=c) for c in chunks]
    assert all(report.tokens == tokens for report in reports)
    return reports[-1]


@pytest.mark.parametrize(
    ("preset", "weights", "params", "stall"),
    [
        ("tiny", "w8", GREEDY, 0.0),
        ("tiny", "w4", SAMPLED, 0.25),
        ("default", "w8", SAMPLED, 0.25),
        ("default", "w4", GREEDY, 0.0),
        ("tiny", "iq4_nl", GREEDY, 0.0),
        ("tiny", "fp4", SAMPLED, 0.25),
    ],
    ids=[
        "tiny-w8",
        "tiny-w4-stalls",
        "default-w8-stalls",
        "default-w4",
        "tiny-iq4_nl",
        "tiny-fp4-stalls",
    ],
)
def test_shipped_model(preset: str, weights: str, params: SamplingParams, stall: float) -> None:
    report = compare(
        load_model(),
        preset,
        weights,
        params,
        prompt=PROMPT,
        tokens=6,
        stall=stall,
        chunks=(None, 3),
    )
    assert report.kv_bytes > 0


@pytest.mark.parametrize("kv_format", ["k8v8", "k16v8"])
def test_context_of_several_kv_blocks(kv_format: str) -> None:
    report = compare(
        load_model(), "default", "w8", GREEDY, prompt=4 * PROMPT, tokens=3, kv_format=kv_format
    )
    assert report.tokens == 3


def test_wide_keys_with_stalls() -> None:
    compare(
        load_model(),
        "tiny",
        "w4",
        GREEDY,
        prompt=PROMPT,
        tokens=4,
        kv_format="k16v8",
        stall=0.25,
        chunks=(None, 3),
    )


@pytest.mark.skipif(not STORIES260K.exists(), reason="the stories260K checkpoint is not there")
@pytest.mark.parametrize(
    ("preset", "kv_format"), [("tiny", "k16v8"), ("tiny", "k8v8"), ("default", "k16v8")]
)
def test_stories260k(preset: str, kv_format: str) -> None:
    model, prompt = load_model(STORIES260K), "Once upon a time"
    chunks = (None, 1)
    compare(
        model, preset, "w8", GREEDY, prompt=prompt, tokens=40, kv_format=kv_format, chunks=chunks
    )
