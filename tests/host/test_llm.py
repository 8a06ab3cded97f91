# SPDX-License-Identifier: Apache-2.0
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weft import LLM, RequestOutput, SamplingParams, WeftError
from weft.float_model import FloatModel
from weft.outputs import Metrics
from weft.runtime import Counters
from weft_arch.config import preset
from weft_arch.registers import offset

GREEDY = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)
SEEDED = SamplingParams(temperature=1.0, seed=7, max_tokens=12, ignore_eos=True)
PROMPT = "Tom ran to"


@pytest.fixture
def llm(make_folder: Callable[..., Path]) -> Iterator[LLM]:
    with LLM(make_folder(), device="reference", preset="tiny") as made:
        yield made


def test_a_prompt_is_completed(llm: LLM):
    (output,) = llm.generate(PROMPT, GREEDY)
    assert output.prompt == PROMPT
    assert output.prompt_token_ids == llm.tokenizer.encode(PROMPT)
    assert len(output.token_ids) == 12
    assert output.finish_reason == "length"
    assert output.text == output.outputs[0].text
    both = llm.tokenizer.decode([*output.prompt_token_ids, *output.token_ids])
    assert both == llm.tokenizer.decode(output.prompt_token_ids) + output.text


def test_greedy_tokens_are_those_of_the_float_model_while_it_is_sure(llm: LLM):
    (output,) = llm.generate(PROMPT, GREEDY)
    model = FloatModel(llm.loaded.checkpoint)
    ids = output.prompt_token_ids + output.token_ids
    logits = model.logits(ids[:-1])[len(output.prompt_token_ids) - 1 :]
    for row, chosen in zip(logits, output.token_ids, strict=True):
        assert row.max() - row[chosen] < 0.5


def test_prompts_are_completed_one_by_one_in_order(llm: LLM):
    prompts = [PROMPT, "Lily", "Hi"]
    together = llm.generate(prompts, GREEDY)
    assert [o.prompt for o in together] == prompts
    for prompt, output in zip(prompts, together, strict=True):
        (alone,) = llm.generate(prompt, GREEDY)
        assert alone.token_ids == output.token_ids


def test_more_prompts_than_sequences_join_as_others_leave(make_folder: Callable[..., Path]):
    prompts = [PROMPT, "Lily", "Hi", "Tom ran", "Lily ran to the farm."]
    params = [
        SamplingParams(temperature=0.9, seed=k, max_tokens=3 + 4 * k, ignore_eos=True)
        for k in range(5)
    ]
    with LLM(make_folder(), device="reference", preset="tiny", max_num_seqs=2) as llm:
        together = llm.generate(prompts, params)
        for prompt, one, output in zip(prompts, params, together, strict=True):
            (alone,) = llm.generate(prompt, one)
            assert alone.outputs == output.outputs


def test_streams_side_by_side_do_not_disturb_each_other(make_folder: Callable[..., Path]):
    with LLM(make_folder(), device="reference", preset="tiny", max_num_seqs=2) as llm:
        expected = [llm.generate(text, GREEDY)[0].token_ids for text in (PROMPT, "Lily")]
        streams = [llm.stream(text, GREEDY) for text in (PROMPT, "Lily")]
        found: list[list[int]] = [[], []]
        for items in zip(*streams, strict=True):
            for ids, item in zip(found, items, strict=True):
                ids += [] if item.token_id is None else [item.token_id]
        assert found == expected
        streams = [llm.stream(PROMPT, GREEDY) for _ in range(3)]
        next(streams[0])
        next(streams[1])
        with pytest.raises(WeftError, match=r"^all 2 sequences are in use; finish a stream first"):
            next(streams[2])
        with pytest.raises(WeftError, match=r"^all 2 sequences are in use; finish a stream first"):
            llm.generate(PROMPT, GREEDY)


def test_each_prompt_may_have_its_own_parameters(llm: LLM):
    one, two = llm.generate([PROMPT, PROMPT], [GREEDY, SEEDED])
    assert one.token_ids == llm.generate(PROMPT, GREEDY)[0].token_ids
    assert two.token_ids == llm.generate(PROMPT, SEEDED)[0].token_ids
    with pytest.raises(
        WeftError, match=r"^there are 1 sampling parameters for 2 prompts; give one"
    ):
        llm.generate([PROMPT, PROMPT], [GREEDY])


def test_defaults_are_those_of_sampling_params(llm: LLM):
    (output,) = llm.generate(PROMPT)
    assert len(output.token_ids) <= 16
    assert llm.generate([], GREEDY) == []


def test_a_seed_repeats_its_tokens_and_others_differ(llm: LLM):
    first = llm.generate(PROMPT, SEEDED)[0].token_ids
    llm.generate("something in between", SEEDED)
    assert llm.generate(PROMPT, SEEDED)[0].token_ids == first
    other = SamplingParams(temperature=1.0, seed=8, max_tokens=12, ignore_eos=True)
    assert llm.generate(PROMPT, other)[0].token_ids != first
    fresh = SamplingParams(temperature=1.0, max_tokens=12, ignore_eos=True)
    tries = {tuple(llm.generate(PROMPT, fresh)[0].token_ids) for _ in range(3)}
    assert len(tries) > 1


def test_seeded_tokens_do_not_depend_on_the_preset(make_folder: Callable[..., Path]):
    folder, seen = make_folder(), []
    for name in ("tiny", "default"):
        with LLM(folder, device="reference", preset=name) as llm:
            seen.append(llm.generate(PROMPT, SEEDED)[0].token_ids)
    assert seen[0] == seen[1]


def test_a_stream_is_the_completion_in_pieces(llm: LLM):
    *tokens, last = llm.stream(PROMPT, GREEDY)
    assert last.token_id is None
    assert isinstance(last.output, RequestOutput)
    assert [t.token_id for t in tokens] == last.output.token_ids
    assert all(t.output is None for t in tokens)
    assert "".join(t.text for t in [*tokens, last]) == last.output.text
    assert last.output.token_ids == llm.generate(PROMPT, GREEDY)[0].token_ids


def test_an_abandoned_stream_leaves_nothing_behind(llm: LLM):
    expected = llm.generate(PROMPT, GREEDY)[0].token_ids
    stream = llm.stream("Lily ran to the farm. Tom ran", GREEDY)
    next(stream)
    del stream
    assert llm.generate(PROMPT, GREEDY)[0].token_ids == expected


def test_generation_ends_at_a_stop_text(llm: LLM):
    whole = llm.generate(PROMPT, GREEDY)[0].text
    stop = whole[len(whole) // 2 :][:2]
    params = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True, stop=[stop, "never"])
    (output,) = llm.generate(PROMPT, params)
    assert output.finish_reason == "stop"
    assert output.text == whole[: whole.index(stop)]
    assert len(output.token_ids) <= 12
    *_, last = llm.stream(PROMPT, params)
    assert last.output is not None
    assert last.output.text == output.text


def test_generation_ends_with_the_end_of_text(llm: LLM):
    ids = llm.generate(PROMPT, GREEDY)[0].token_ids
    end = ids[4]
    first = ids.index(end)

    class Ending:
        """The tokenizer, with a token of the output as its end of text."""

        eos_ids = (end,)
        encode, decode = llm.tokenizer.encode, llm.tokenizer.decode

    llm.tokenizer = Ending()  # type: ignore[assignment]
    (output,) = llm.generate(PROMPT, SamplingParams(temperature=0, max_tokens=12))
    assert output.finish_reason == "stop"
    assert output.token_ids == ids[: first + 1]
    assert output.text == "".join(t.text for t in llm.stream(PROMPT, GREEDY))[: len(output.text)]
    (output,) = llm.generate(PROMPT, GREEDY)
    assert output.token_ids == ids, "ignore_eos goes on"


def test_generation_ends_with_the_context(make_folder: Callable[..., Path]):
    params = SamplingParams(temperature=0, max_tokens=None, ignore_eos=True)
    with LLM(make_folder(), device="reference", preset="tiny", max_model_len=9) as llm:
        assert llm.max_model_len == 9
        (output,) = llm.generate(PROMPT, params)
        assert len(output.prompt_token_ids) + len(output.token_ids) == 9
        assert output.finish_reason == "length"


def test_a_prompt_that_does_not_fit_is_refused_before_anything_runs(llm: LLM):
    long = "Tom ran to the park. " * 30
    n = len(llm.tokenizer.encode(long))
    sentence = f"the prompt has {n} tokens; the context of 64 must hold them and at least one more."
    before = llm.runner.counters()
    with pytest.raises(WeftError, match=f"^{re.escape(sentence)}$"):
        llm.generate([PROMPT, long], GREEDY)
    with pytest.raises(WeftError, match=f"^{re.escape(sentence)}$"):
        llm.stream(long, GREEDY)
    assert llm.runner.counters() == before


def test_an_empty_prompt_needs_a_beginning_of_text(llm: LLM):
    assert len(llm.generate("", GREEDY)[0].prompt_token_ids) == 1
    llm.tokenizer.encode = lambda text: []  # type: ignore[method-assign]
    with pytest.raises(
        WeftError, match=r"^the prompt is empty, and this model has no token to begin"
    ):
        llm.generate("", GREEDY)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"weights": "w2"},
            "weights are 'w2', but must be one of w8, w4, w4s, int4, fp4, nf4, iq4_nl.",
        ),
        ({"preset": "big"}, "unknown preset 'big'; there are tiny, default, wide, resident."),
        (
            {"device": "fpga"},
            "device 'fpga' is unknown; there are reference, replay, rtl, serial, tcp.",
        ),
        (
            {"kv_format": "fp8"},
            "the KV format is 'fp8', but must be one of auto, k8v8, k16v8.",
        ),
        (
            {"max_model_len": 65},
            "max_model_len is 65, but must be between 1 and the 64 positions of the model.",
        ),
        (
            {"max_model_len": 0},
            "max_model_len is 0, but must be between 1 and the 64 positions of the model.",
        ),
    ],
)
def test_bad_arguments_get_a_sentence(make_folder, arguments, sentence: str):
    with pytest.raises(WeftError, match=f"^{re.escape(sentence)}$"):
        LLM(make_folder(), **({"device": "reference"} | arguments))


def test_a_device_that_stops_is_an_error_and_the_next_request_runs(llm: LLM):
    expected = llm.generate(PROMPT, GREEDY)[0].token_ids
    limit = llm.device.read_register(offset("WRITE_LIMIT"))
    llm.device.write_register(offset("WRITE_LIMIT"), 0)
    with pytest.raises(WeftError, match=r"^The device stopped the program: address out of range"):
        llm.generate(PROMPT, GREEDY)
    llm.device.write_register(offset("WRITE_LIMIT"), limit)
    assert llm.generate(PROMPT, GREEDY)[0].token_ids == expected


METRICS = [
    "prompt_tokens",
    "completion_tokens",
    "cycles",
    "cycles_per_token",
    "dram_read_bytes",
    "dram_write_bytes",
    "mac_utilization",
    "bandwidth_utilization",
    "clock_hz",
    "tokens_per_second",
    "device",
    "preset",
]


def test_the_json_object_has_the_documented_fields(llm: LLM):
    (output,) = llm.generate(PROMPT, GREEDY)
    fields = output.to_json()
    assert list(fields) == ["prompt", "text", "token_ids", "finish_reason", "metrics"]
    assert list(fields["metrics"]) == METRICS
    assert fields["text"] == output.text
    assert fields["metrics"]["prompt_tokens"] == len(output.prompt_token_ids)
    assert fields["metrics"]["completion_tokens"] == 12


def test_metrics_without_a_clock(llm: LLM):
    metrics = llm.generate(PROMPT, GREEDY)[0].metrics
    assert (metrics.device, metrics.preset, metrics.clock_hz) == ("reference", "tiny", 80_000_000)
    for name in ("cycles", "cycles_per_token", "mac_utilization", "bandwidth_utilization"):
        assert getattr(metrics, name) is None
    # Each of 12 steps reads all layer weights, and each but the last rows of a chunk the head.
    memory = llm.compiled.memory
    weights = memory.layer_weight_bytes * llm.compiled.model.n_layers
    assert metrics.dram_read_bytes > 12 * weights
    assert metrics.dram_write_bytes > 0


def test_metrics_with_a_clock():
    metrics = Metrics.of(
        preset("default"),
        "rtl",
        prompt_tokens=5,
        completion_tokens=4,
        prefill=Counters(cycles=1000, bytes_read=4000, bytes_written=100, mac_cycles=300),
        decode=Counters(cycles=3000, bytes_read=12000, bytes_written=900, mac_cycles=700),
        decode_steps=3,
    )
    assert metrics.cycles == 4000
    assert metrics.cycles_per_token == 1000
    assert metrics.tokens_per_second == 80_000
    assert metrics.mac_utilization == 0.25
    assert metrics.bandwidth_utilization == 17000 / (4000 * 8)
    assert (metrics.dram_read_bytes, metrics.dram_write_bytes) == (16000, 1000)


def test_a_single_token_costs_its_prefill():
    metrics = Metrics.of(
        preset("default"),
        "rtl",
        prompt_tokens=5,
        completion_tokens=1,
        prefill=Counters(cycles=1000),
        decode=Counters(),
        decode_steps=0,
    )
    assert metrics.cycles_per_token == 1000
