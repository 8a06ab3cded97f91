# SPDX-License-Identifier: Apache-2.0
"""The order of passes and jobs of ATTEND, and that values wait for probabilities."""

from __future__ import annotations

from typing import Any

import pytest

from weft_arch.config import BLOCK, preset
from weft_rtl.attention.attention_controller import AttendCommand, AttentionController
from weft_rtl.interfaces import ArrayPass, PassInitial, SoftmaxJob, TileSource
from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb

CONFIG = preset("default")


def order(n_blocks: int) -> list[tuple[str, int]]:
    """S(0), S(1), PV(0), S(2), PV(1) ... PV(n_blocks - 1)."""
    passes = [("S", 0)]
    for block in range(1, n_blocks):
        passes += [("S", block), ("PV", block - 1)]
    return [*passes, ("PV", n_blocks - 1)]


def expected_pass(command: dict[str, int], kind: str, block: int) -> dict[str, int]:
    """The fields of a pass that matter."""
    rows, words = command["rows"], CONFIG.words_per_block
    last = block == command["kv_blocks"] - 1
    if kind == "S":
        return {
            "activation_base": command["activation_base"],
            "activation_stride": command["activation_stride"],
            "rows": rows,
            "activation_twice": command["wide_keys"],
            "k_blocks": command["k_blocks"] << command["wide_keys"],
            "n_tiles": words,
            "source": TileSource.W8.value,
            "has_header": 1,
            "initial": PassInitial.ZERO.value,
            "accumulator_base": 0,
            "accumulator_stride": 1,
            "accumulator_per_tile": 0,
            "to_vector_memory": 0,
            "to_accumulator": 0,
            "to_scores": 1,
            "to_top_k": 0,
            "parity": block % 2,
            "last": 0,
        }
    return {
        "activation_base": (command["probabilities"] + block % 2 * rows) % (1 << 14),
        "activation_stride": 1,
        "activation_twice": 0,
        "rows": rows,
        "k_blocks": 1,
        "n_tiles": words * command["k_blocks"],
        "source": TileSource.VALUES.value,
        "has_header": 0,
        "initial": (PassInitial.ACCUMULATOR if block else PassInitial.ZERO).value,
        "accumulator_base": rows,
        "accumulator_stride": words * command["k_blocks"],
        "accumulator_per_tile": 1,
        "to_vector_memory": int(last),
        "to_accumulator": int(not last),
        "to_scores": 0,
        "to_top_k": 0,
        "parity": block % 2,
        "destination": command["destination"],
        "destination_stride": command["destination_stride"],
        "last": int(last),
    }


def expected_job(command: dict[str, int], block: int) -> dict[str, int]:
    same = ("rows", "first_limit", "causal", "rows_per_position", "row_scalar")
    return {name: command[name] for name in same} | {
        "first": int(block == 0),
        "final": int(block == command["kv_blocks"] - 1),
        "parity": block % 2,
        "key_base": BLOCK * block,
        "probabilities": (command["probabilities"] + block % 2 * command["rows"]) % (1 << 14),
    }


@bench_test(deadline_cycles=20_000)
async def keeps_the_order(bench: Bench) -> None:
    draw = bench.random.randrange
    commands = StreamDriver(bench, "i", AttendCommand)
    passes = StreamMonitor(bench, "o_pass", ArrayPass)
    jobs = StreamMonitor(bench, "o_job", SoftmaxJob)
    done = bench.dut.i_probabilities_ready
    done.value = 0
    sent = []
    for n_blocks in (1, 2, 3, 1, 1, 7, 2, 5):
        command = {
            "activation_base": draw(1 << 14),
            "activation_stride": draw(1 << 10),
            "rows": draw(1, 65),
            "kv_blocks": n_blocks,
            "k_blocks": draw(1, 9),
            "first_limit": draw(1 << 24),
            "causal": draw(2),
            "rows_per_position": draw(1, 64),
            "probabilities": draw(1 << 14),
            "destination": draw(1 << 14),
            "destination_stride": draw(1 << 12),
            "row_scalar": draw(256),
            "wide_keys": draw(2),
        }
        commands.send(command)
        sent.append(command)
    kinds = [(c, kind, block) for c in sent for kind, block in order(c["kv_blocks"])]
    expected_jobs = [expected_job(c, b) for c in sent for b in range(c["kv_blocks"])]
    for index, (command, kind, block) in enumerate(kinds):
        if kind == "PV":
            await bench.cycles(draw(1, 30))
            assert len(passes.received) == index, "values must wait for the probabilities"
            done.value = 1
            await bench.cycles(1)
            done.value = 0
        await passes.wait_for(index + 1)
        expected = expected_pass(command, kind, block)
        got: dict[str, Any] = passes.received[index]
        assert {name: int(got[name]) for name in expected} == expected, (index, kind, block)
        # The job of a score pass is there before it.
        scores_before = sum(kind == "S" for _, kind, _ in kinds[: index + 1])
        assert len(jobs.received) >= scores_before
    await jobs.expect(expected_jobs)
    assert len(passes.received) == len(kinds)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_attention_controller(stall: float) -> None:
    run_cocotb(
        AttentionController(CONFIG), __file__, tests="keeps_the_order", parameters={"stall": stall}
    )
