# SPDX-License-Identifier: Apache-2.0
"""A board with firmware behind a line: the same `LLM`, the same tokens, faults on the line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

import pytest

from tests.firmware.board import CONTEXT, MEMORY_BYTES, TINY, compiled, complete, expected, request
from tests.link.loop_line import LoopLine
from weft.errors import WeftError
from weft.jobs import JobEngine
from weft.link import LinkDevice
from weft.link.server import TcpServer
from weft.llm import LLM
from weft.outputs import RequestOutput
from weft.runtime import ModelRunner
from weft.sampling import SamplingParams
from weft_arch.link import LinkOpcode
from weft_sim.native_firmware import NativeFirmware
from weft_sim.reference import ReferenceDevice

PROMPTS = ["Once upon a time", "Tom had a red ball", "The cat"]
PARAMS = [
    SamplingParams(temperature=0, max_tokens=6),
    SamplingParams(temperature=0.9, seed=3, max_tokens=6),
    SamplingParams(temperature=1.2, top_k=4, top_p=0.9, seed=4, max_tokens=6),
]
PROMPT = [5, 6, 7, 8, 9, 10, 11]


@pytest.fixture(scope="module")
def tcp() -> Iterator[str]:
    with ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES) as device:
        server = TcpServer(device, cpu=NativeFirmware(device))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield f"tcp:127.0.0.1:{server.port}"
        server.stop.set()
        thread.join(10)
        assert not thread.is_alive()


def llm(device: str) -> LLM:
    return LLM(device=device, preset="tiny", max_model_len=CONTEXT, max_num_seqs=3)


def shown(outputs: list[RequestOutput]) -> list[tuple[str, list[int], str]]:
    completions = [one.outputs[0] for one in outputs]
    return [(c.text, c.token_ids, c.finish_reason) for c in completions]


def test_generate_and_stream_are_those_of_the_reference(tcp: str) -> None:
    with llm("reference") as reference:
        expected_outputs = reference.generate(PROMPTS, PARAMS)
    with llm(tcp) as board:
        assert isinstance(board._engine, JobEngine)
        outputs = board.generate(PROMPTS, PARAMS)
        assert shown(outputs) == shown(expected_outputs)
        streamed = [item.token_id for item in board.stream(PROMPTS[1], PARAMS[1])]
        assert streamed[:-1] == outputs[1].outputs[0].token_ids
        metrics, theirs = outputs[1].metrics, expected_outputs[1].metrics
        assert (metrics.prompt_tokens, metrics.completion_tokens) == (theirs.prompt_tokens, 6)


def test_a_stream_that_is_dropped_is_cancelled(tcp: str) -> None:
    with llm(tcp) as board:
        long = SamplingParams(temperature=0, max_tokens=None, ignore_eos=True)
        stream = board.stream(PROMPTS[0], long)
        first = [item.token_id for item in islice(stream, 2)]
        del stream
        again = board.generate(PROMPTS[0], SamplingParams(temperature=0, max_tokens=2))
        assert again[0].outputs[0].token_ids == first


def test_the_runner_works_between_jobs(tcp: str) -> None:
    with llm(tcp) as board:
        (first,) = board.generate(PROMPTS[0], PARAMS[0])
        board.runner.prefill(first.prompt_token_ids)
        assert int(board.runner.top_k().token_ids[0]) == first.outputs[0].token_ids[0]
        assert shown(board.generate(PROMPTS[0], PARAMS[0])) == shown([first])


@pytest.mark.parametrize("params", PARAMS, ids=str)
def test_a_bad_line_changes_no_token(params: SamplingParams) -> None:
    device = ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES)
    line = LoopLine(device, rate=1 / 400, seed=params.top_k, cpu=NativeFirmware(device))
    # What is large is there already: the faults are for the jobs.
    device.write_memory(compiled().base, compiled().image)
    with LinkDevice(TINY, line) as remote:
        engine = JobEngine.connect(ModelRunner(compiled(), remote), remote)
        assert engine is not None
        for _ in range(2):
            assert complete(engine, request(PROMPT, params)) == expected(PROMPT, params).token_ids
        assert remote.statistics.repeats > 5


def test_a_generation_costs_the_line_only_token_ids() -> None:
    device = ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES)
    line = LoopLine(device, cpu=NativeFirmware(device))
    params = SamplingParams(temperature=1.0, seed=8, max_tokens=20)
    with LinkDevice(TINY, line) as remote:
        engine = JobEngine.connect(ModelRunner(compiled(), remote), remote)
        assert engine is not None
        before, executed = line.received_bytes, dict(line.far_end.executed)
        one = request(PROMPT, params)
        assert complete(engine, one) == expected(PROMPT, params).token_ids
        read = line.received_bytes - before
    tokens = len(one.token_ids)
    assert read < 120 * tokens + 500, "all logits would be 3072 bytes per token"
    reads = line.far_end.executed[LinkOpcode.READ_MEMORY] - executed[LinkOpcode.READ_MEMORY]
    assert reads <= 2 * (tokens + 2)


def test_a_board_that_dies_is_a_sentence_everywhere() -> None:
    device = ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES)
    line = LoopLine(device, cpu=NativeFirmware(device))
    with LinkDevice(TINY, line) as remote:
        engine = JobEngine.connect(ModelRunner(compiled(), remote), remote)
        assert engine is not None
        one = request(PROMPT, SamplingParams(temperature=0, max_tokens=20))
        line.dead = True
        for action in (lambda: engine.begin(one, 0), lambda: engine.end(one)):
            with pytest.raises(WeftError, match=r"^The board at loop has not answered for .* s; "):
                action()


def test_a_board_without_a_cpu_is_run_by_the_host() -> None:
    device = ReferenceDevice(TINY, memory_bytes=MEMORY_BYTES)
    with LinkDevice(TINY, LoopLine(device)) as remote:
        assert remote.cpu is None
        assert JobEngine.connect(ModelRunner(compiled(), remote), remote) is None
