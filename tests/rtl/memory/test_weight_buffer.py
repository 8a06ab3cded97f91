# SPDX-License-Identifier: Apache-2.0
"""The weight buffer: packing, order, credits, throughput and latency."""

from __future__ import annotations

import dataclasses

import pytest

from weft_arch.config import BLOCK, Configuration, preset
from weft_rtl.memory.weight_buffer import (
    WeightBuffer,
    code_word_depth,
    scale_tile_depth,
    weight_beat,
)
from weft_sim.bench import Bench, StreamDriver, StreamMonitor, bench_test, run_cocotb

CONFIGS = {
    "tiny": preset("tiny"),
    "default": preset("default"),
    "wide": dataclasses.replace(preset("default"), array_cols=16, beat_bytes=16),
    "narrow": dataclasses.replace(preset("default"), array_cols=4, beat_bytes=4),
}


class CreditedSource:
    """Sends tiles beat by beat as the stream unit does: only what has credit."""

    def __init__(self, bench: Bench, config: Configuration) -> None:
        self._driver = StreamDriver(bench, "i_beats", weight_beat(config))
        self._config = config
        self._dut = bench.dut
        self._random = bench.random_for("source")
        self.code_credits = code_word_depth(config)
        self.scale_credits = scale_tile_depth(config)
        self.waiting: list[tuple[str, bytes]] = []
        self.words: list[int] = []
        self.scales: list[int] = []
        bench.add_agent(self._at_edge)

    def add_tile(self, weight_bits: int, with_scales: bool) -> None:
        cols = self._config.array_cols
        if with_scales:
            self._add("scale", 2 * cols)
        for _ in range(cols * weight_bits // 8):
            self._add("code", BLOCK)

    def _add(self, kind: str, size: int) -> None:
        data = self._random.randbytes(size)
        self.waiting.append((kind, data))
        (self.words if kind == "code" else self.scales).append(int.from_bytes(data, "little"))

    def _at_edge(self) -> None:
        self.code_credits += int(self._dut.o_code_word_freed.value)
        self.scale_credits += int(self._dut.o_scale_tile_freed.value)
        assert self.code_credits <= code_word_depth(self._config)
        assert self.scale_credits <= scale_tile_depth(self._config)
        while self.waiting:
            kind, data = self.waiting[0]
            credits = self.scale_credits if kind == "scale" else self.code_credits
            if not credits:
                return
            if kind == "scale":
                self.scale_credits -= 1
            else:
                self.code_credits -= 1
            self.waiting.pop(0)
            step = self._config.beat_bytes
            for start in range(0, len(data), step):
                beat = int.from_bytes(data[start : start + step], "little")
                self._driver.send({"data": beat, "is_scale": kind == "scale"})


def _config(bench: Bench) -> Configuration:
    return CONFIGS[bench.parameters["config"]]


@bench_test(deadline_cycles=60_000)
async def passes_tiles(bench: Bench) -> None:
    config = _config(bench)
    source = CreditedSource(bench, config)
    codes = StreamMonitor(bench, "o_codes")
    scales = StreamMonitor(bench, "o_scales")
    # Enough to fill the buffer several times, so that it is full whenever the array stalls.
    while len(source.words) < 3 * code_word_depth(config):
        source.add_tile(bench.random.choice([4, 8]), bench.random.random() < 0.8)
    await codes.expect(source.words)
    await scales.expect(source.scales)
    await bench.cycles(5)
    assert source.code_credits == code_word_depth(config)
    assert source.scale_credits == scale_tile_depth(config)


@bench_test(deadline_cycles=20_000)
async def runs_at_full_speed(bench: Bench) -> None:
    config = _config(bench)
    source = CreditedSource(bench, config)
    scales = StreamMonitor(bench, "o_scales")
    codes = StreamMonitor(bench, "o_codes", stall=0.0)
    driver_view = StreamMonitor(bench, "i_beats", weight_beat(config), passive=True)
    # Written at one beat per cycle and read at once: the last word leaves 3 cycles after its beat.
    for _ in range(8):
        source.add_tile(8, with_scales=False)
    await codes.wait_for(len(source.words))
    beats_per_word = BLOCK // config.beat_bytes
    written = driver_view.received_cycles[beats_per_word - 1 :: beats_per_word]
    latency = {r - w for w, r in zip(written, codes.received_cycles, strict=True)}
    assert latency == {3}, latency
    assert scales.received == []


@bench_test(deadline_cycles=20_000)
async def empties_at_one_word_per_cycle(bench: Bench) -> None:
    config = _config(bench)
    source = CreditedSource(bench, config)
    bench.dut.o_codes__ready.value = 0
    bench.dut.o_scales__ready.value = 0
    while len(source.words) < code_word_depth(config):
        source.add_tile(4, with_scales=True)
    await bench.cycles(30)
    while source.waiting or source.code_credits < 2:  # the two words in the output stages
        await bench.cycles(30)
        if source.code_credits == 2:
            break
    await bench.cycles(40 + len(source.words) * (BLOCK + 8) // config.beat_bytes)
    codes = StreamMonitor(bench, "o_codes", stall=0.0)
    scales = StreamMonitor(bench, "o_scales", stall=0.0)
    await codes.expect(source.words)
    await scales.expect(source.scales)
    cycles = codes.received_cycles
    assert cycles[-1] - cycles[0] == len(cycles) - 1


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_passes_tiles(config: str, stall: float) -> None:
    parameters = {"config": config, "stall": stall}
    run_cocotb(WeightBuffer(CONFIGS[config]), __file__, tests="passes_tiles", parameters=parameters)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("case", ["runs_at_full_speed", "empties_at_one_word_per_cycle"])
def test_speed(config: str, case: str) -> None:
    run_cocotb(WeightBuffer(CONFIGS[config]), __file__, tests=case, parameters={"config": config})
