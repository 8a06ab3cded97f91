# SPDX-License-Identifier: Apache-2.0
"""Tiles that stay on the chip: kept from the weight stream, replayed into it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rtl.dma.stream_harness import SIZE, StreamBench, StreamPath
from weft_arch.config import Configuration, preset
from weft_arch.isa import Opcode, Resident, StreamKV, StreamWeights, WeightFormat
from weft_arch.registers import Fault
from weft_sim.bench import Bench, bench_test, run_cocotb

KEEP, REPLAY = Resident.KEEP, Resident.REPLAY
PLACES = 250


def resident(config: Configuration) -> Configuration:
    return replace(config, resident_bytes=PLACES * 16 * config.array_cols)


CONFIGS = {
    "tiny": resident(preset("tiny")),
    "default": resident(preset("default")),
    "preset": resident(preset("resident")),
    "wide": resident(replace(preset("default"), array_cols=16, beat_bytes=16, max_burst_beats=8)),
    "narrow": resident(replace(preset("tiny"), beat_bytes=4, max_burst_beats=2)),
}


def places(form: WeightFormat) -> int:
    """Of a tile."""
    return 1 if form == WeightFormat.W4 else 2


def keep_everywhere(path: StreamBench, address: int = 0) -> None:
    """Something in every place."""
    form = WeightFormat.W4
    path.send(StreamWeights(address=address, count=PLACES, format=form, resident=KEEP), 0)


@bench_test(deadline_cycles=90_000)
async def keeps_and_replays(bench: Bench) -> None:
    """In any order with what comes from memory, up to the last place, more than the buffer holds
    at once and nothing at all."""
    path = StreamBench(bench)
    draw, beat = bench.random.randrange, path.config.beat_bytes
    keep_everywhere(path)
    sent = 1
    for k in range(36):
        kind = ("keep", "replay", "replay", "fetch", "kv", "replay")[draw(6)]
        form = bench.random.choice(list(WeightFormat))
        count = bench.random.choice([0, 1, 2, 9, 30 if k % 4 == 0 else 3])
        address = draw(SIZE // 2 // beat) * beat
        place = bench.random.choice([draw(PLACES - count * places(form) + 1), 0])
        if bench.random.random() < 0.2:
            place = PLACES - count * places(form)
        if kind == "keep":
            path.send(
                StreamWeights(address=address, count=count, format=form, resident=KEEP), place
            )
        elif kind == "replay":
            path.send(StreamWeights(address=place, count=count, format=form, resident=REPLAY))
        elif kind == "fetch":
            path.send(StreamWeights(address=address, count=count, format=form))
        else:
            path.send(StreamKV(address=address, count=bench.random.choice([0, 5, 40]), k_blocks=1))
        sent += 1
    await path.codes.expect(path.expectation.codes)
    await path.scales.expect(path.expectation.scales)
    await path.until_done(sent)
    await bench.cycles(20)
    assert len(path.done_cycles) == sent
    assert int(bench.dut.engine__busy.value) == 0
    assert path.faults == []


@bench_test(deadline_cycles=20_000)
async def replays_a_word_per_cycle(bench: Bench) -> None:
    """More than the buffer holds, without a gap and without a beat from memory."""
    path = StreamBench(bench)
    keep_everywhere(path)
    await path.until_done(1)
    kept_beats = path.beats
    assert kept_beats * path.config.beat_bytes == PLACES * path.config.tile_bytes(4)
    assert path.codes.received == []
    path.send(StreamWeights(address=0, count=PLACES, format=WeightFormat.W4, resident=REPLAY))
    start = bench.cycle
    await path.until_done(2)
    await path.codes.expect(path.expectation.codes)
    await path.scales.expect(path.expectation.scales)
    cycles = path.codes.received_cycles
    words = PLACES * path.config.array_cols // 2
    assert len(cycles) == words
    assert cycles[-1] - cycles[0] == words - 1
    assert path.beats == kept_beats
    assert path.done_cycles[-1] - start <= words + 14


@bench_test(deadline_cycles=20_000)
async def follows_at_once(bench: Bench) -> None:
    """What a replay costs between other instructions: its words and a few cycles."""
    path = StreamBench(bench)
    keep_everywhere(path)
    await path.until_done(1)
    for place in (0, 100, 50, 6):
        path.send(StreamWeights(address=place, count=4, resident=REPLAY))
    await path.until_done(5)
    words = 4 * path.config.array_cols
    gaps = [b - a for a, b in zip(path.done_cycles[1:], path.done_cycles[2:], strict=False)]
    assert gaps == [words + 9] * 3
    await path.codes.expect(path.expectation.codes)


@bench_test(deadline_cycles=20_000)
async def waits_for_room(bench: Bench) -> None:
    """With nobody taking words a replay fills the buffer and stops; then it goes on."""
    path = StreamBench(bench, held=True)
    keep_everywhere(path)
    await path.until_done(1)
    depth = path.config.weight_buffer_bytes // (16 * path.config.array_cols)
    tiles = 2 * depth
    for start in range(0, tiles, PLACES // 2):
        count = min(PLACES // 2, tiles - start)
        path.send(StreamWeights(address=0, count=count, format=WeightFormat.W4, resident=REPLAY))
    await bench.cycles(2000)
    assert path.waits > 500
    path.take_words(True)
    await path.codes.expect(path.expectation.codes)
    await path.scales.expect(path.expectation.scales)


@bench_test(deadline_cycles=20_000)
async def keeps_while_the_buffer_is_full(bench: Bench) -> None:
    """Tiles that are kept need no place that others stand in, but for those on their way."""
    path = StreamBench(bench, held=True)
    path.send(StreamWeights(address=0, count=2))
    keep_everywhere(path, 4096)
    await path.until_done(2)
    path.send(StreamWeights(address=2, count=3, resident=REPLAY))
    await path.until_done(3)
    path.take_words(True)
    await path.codes.expect(path.expectation.codes)
    await path.scales.expect(path.expectation.scales)


async def is_refused(bench: Bench, instruction: StreamWeights, place: int) -> None:
    path = StreamBench(bench)
    path.send(replace(instruction, count=0), place)
    path.instructions.send(
        {
            "opcode": instruction.opcode,
            "address": instruction.address,
            "count": instruction.count,
            "aux_a": place,
            "arguments": int(instruction.format) | int(instruction.resident) << 2,
        }
    )
    await bench.cycles(50)
    fault = {"valid": 1, "cause": Fault.ILLEGAL_OPERAND, "address": Opcode.STREAM_WEIGHTS}
    assert path.faults == [fault]
    assert len(path.done_cycles) == 1, "the one of no tiles"
    assert path.beats == 0


@bench_test(deadline_cycles=2_000)
async def refuses_to_keep_beyond(bench: Bench) -> None:
    await is_refused(bench, StreamWeights(address=0, count=1, resident=KEEP), PLACES - 1)


@bench_test(deadline_cycles=2_000)
async def refuses_to_replay_beyond(bench: Bench) -> None:
    form = WeightFormat.W4
    tiles = StreamWeights(address=PLACES - 3, count=4, format=form, resident=REPLAY)
    await is_refused(bench, tiles, 0)


@bench_test(deadline_cycles=2_000)
async def refuses_the_largest_address(bench: Bench) -> None:
    path = StreamBench(bench)
    tiles = StreamWeights(address=0xFFFF_FFFF, count=1, resident=REPLAY)
    path.instructions.send(
        {"opcode": tiles.opcode, "address": tiles.address, "count": 1, "arguments": 2 << 2}
    )
    await bench.cycles(50)
    assert [f["cause"] for f in path.faults] == [Fault.ILLEGAL_OPERAND]


@pytest.mark.parametrize(
    ("name", "stall"),
    [(n, s) for n in ("tiny", "preset") for s in (0.0, 0.4)]
    + [("default", 0.4), ("wide", 0.4), ("narrow", 0.4)],
)
def test_resident_stream(name: str, stall: float) -> None:
    config = CONFIGS[name]
    tests = "keeps_and_replays"
    if stall == 0.0:
        tests += (
            ",replays_a_word_per_cycle,follows_at_once,waits_for_room"
            ",keeps_while_the_buffer_is_full"
            ",refuses_to_keep_beyond,refuses_to_replay_beyond,refuses_the_largest_address"
        )
    run_cocotb(
        StreamPath(config), __file__, tests=tests, parameters={"stall": stall, "config": config}
    )
