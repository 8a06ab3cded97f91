# SPDX-License-Identifier: Apache-2.0
"""How busy the SDRAM's pins are while a whole simulated board decodes.

    python bench/board_decode.py [--board ulx3s_85f] [--preset P] [--case shipped] [--json FILE]

The complete board is simulated: accelerator, arbiter, SDRAM controller at its own clock, and an
SDRAM that checks every rule, refreshes included. The host drives it over the serial line; weights
come into the SDRAM by the back door, because sending them is not what is measured. The fraction is
bytes that the accelerator's counters say were moved, over the bytes that the pins could have moved
in the cycles that its counter says went by, from start to interrupt.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft.benchmarks.random_model import random_checkpoint
from weft.benchmarks.result import measure
from weft.compiler import CompiledModel, compile_model
from weft.errors import WeftError
from weft.link import LinkDevice
from weft.model import load_model
from weft.model.shapes import KNOWN_SHAPES
from weft.quantize import WeightFormat
from weft.runtime import ModelRunner
from weft_sim.board_line import BoardLine
from weft_sim.board_server import simulated
from weft_sim.board_simulation import BoardSimulation

PROMPT = "Once upon a time"
STEPS = 2
TARGETS = {"shipped": 0.88, "stories15m": 0.92}


class BackDoor(LinkDevice):
    """A board behind its line, whose large writes go straight into the SDRAM."""

    def __init__(self, simulation: BoardSimulation) -> None:
        self._simulation = simulation
        super().__init__(simulation.board.config, BoardLine(simulation))

    def write_memory(self, address: int, data: NDArray[np.uint8] | bytes) -> None:
        """Small writes go over the line, so that they are in order with the others."""
        size = len(data)
        if size < 1 << 16:
            super().write_memory(address, data)
        else:
            self._simulation.memory[address : address + size] = np.frombuffer(data, np.uint8)


def shipped(simulation: BoardSimulation) -> dict[str, int]:
    """Greedy steps of the shipped model behind a short prompt."""
    loaded = load_model()
    ids = loaded.tokenizer.encode(PROMPT)
    compiled = compile_model(loaded.checkpoint, simulation.board.config, WeightFormat.W8)
    runner = ModelRunner(compiled, BackDoor(simulation))
    runner.prefill(ids)

    def steps() -> None:
        for step in range(STEPS):
            token = int(runner.top_k().token_ids[0])
            runner.run_chunk([token], position=len(ids) + step)

    return measure(runner.device, steps)


def stories15m(simulation: BoardSimulation) -> dict[str, int]:
    """One step of the stories15M shape at the end of its context, with random weights and its
    embedding in 8-bit blocks: in float16 it would not fit."""
    shape = KNOWN_SHAPES["stories15m"]
    config = simulation.board.config
    compiled: CompiledModel = compile_model(
        random_checkpoint(shape), config, WeightFormat.W8, embedding="q8"
    )
    runner = ModelRunner(compiled, BackDoor(simulation))
    last = shape.max_context - 1
    return measure(runner.device, lambda: runner.run_chunk([1], position=last))


CASES: dict[str, Callable[[BoardSimulation], dict[str, int]]] = {
    "shipped": shipped,
    "stories15m": stories15m,
}


def run(board_name: str, preset: str | None, case: str) -> dict[str, Any]:
    """The figures of one case."""
    board = simulated(board_name, preset=preset, cycles_per_bit=8)
    with BoardSimulation(board, progress=lambda stage, part: None) as simulation:
        counters = CASES[case](simulation)
        figures = simulation.figures
    moved = counters["bytes_read"] + counters["bytes_written"]
    pin_bytes = board.sdram_hz / board.clock_hz * board.sdram.data_bits / 8
    fraction = moved / (counters["cycles"] * pin_bytes)
    return {
        "board": board_name,
        "case": case,
        "preset": board.preset,
        "clock_hz": board.clock_hz,
        "sdram_hz": board.sdram_hz,
        "fraction_of_pin_bandwidth": round(fraction, 4),
        "target": TARGETS[case],
        "counters": counters,
        "refreshes": figures.refreshes,
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Decode bandwidth of a simulated board.")
    parser.add_argument("--board", default="ulx3s_85f")
    parser.add_argument("--preset", help="another accelerator than the board's")
    parser.add_argument("--case", choices=tuple(CASES), action="append")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for case in options.case or CASES:
        try:
            result = run(options.board, options.preset, case)
        except WeftError as error:
            print(f"{case}: {error}")
            continue
        print(
            f"{case}, preset {result['preset']}: {result['fraction_of_pin_bandwidth']:.2%} of the "
            f"pins' bandwidth (target {result['target']:.0%}), "
            f"{result['counters']['cycles']:,} cycles at "
            f"{result['clock_hz'] / 1e6:.0f} MHz, SDRAM at {result['sdram_hz'] / 1e6:.1f} MHz"
        )
        results.append(result)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
