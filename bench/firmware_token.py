# SPDX-License-Identifier: Apache-2.0
"""What a token costs beside the accelerator's run where the board's firmware runs the loop.

    python bench/firmware_token.py [--preset tiny] [--json FILE]

The complete board is simulated, with its firmware and the shipped model, whose weights come into
the SDRAM by the back door. Cycles from token to token are those of the board's clock between the
first and the last token of a job; those of the accelerator are its counters', as the job's answer
tells them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from weft.compiler import compile_model
from weft.jobs import JobClient
from weft.jobs.area import JobArea
from weft.link import LinkDevice
from weft.model import load_model
from weft.quantize import WeightFormat
from weft.sampling import Sampler, SamplingParams
from weft_arch.jobs import FIRMWARE_OFFSET, Job, RingsState
from weft_rtl.soc.firmware import build_firmware
from weft_sim.board_line import BoardLine
from weft_sim.board_server import simulated
from weft_sim.board_simulation import BoardSimulation

PROMPT = "Once upon a time"
TOKENS = 6
CONTEXT = 128
SLICE_CYCLES = 200
DEADLINE_CYCLES = 40_000_000
CASES = {
    "greedy": SamplingParams(temperature=0),
    "top_k 8": SamplingParams(temperature=0.8, top_k=8, seed=1),
    "all tokens": SamplingParams(temperature=0.8, seed=1),
    "top_p 0.9": SamplingParams(temperature=0.8, top_p=0.9, seed=1),
    "top_k 40, top_p 0.9": SamplingParams(temperature=0.8, top_k=40, top_p=0.9, seed=1),
}


def measure(simulation: BoardSimulation, client: JobClient, ids: list[int], params: SamplingParams):
    """(cycles of the board per token, of the accelerator) of the decode steps of a job."""
    sampler = Sampler(params)
    job = Job(
        number=0,
        model=0,
        prompt=0,
        prompt_count=0,
        max_tokens=TOKENS,
        seed=sampler.seed,
        inverse_temperature=sampler.inverse_temperature,
        top_p=sampler.top_p,
        top_k=params.top_k,
    )
    offset = client.area.base + FIRMWARE_OFFSET + RingsState.offset("token_head")

    def written() -> int:
        return int.from_bytes(simulation.memory[offset : offset + 4].tobytes(), "little")

    before = written()
    number = client.put(job, ids, [])
    at: list[int] = []
    for _ in range(DEADLINE_CYCLES // SLICE_CYCLES):
        if len(at) == TOKENS:
            break
        simulation.run(SLICE_CYCLES)
        if written() - before > len(at):
            at.append(simulation.cycles)
    answer = client.answer(number)
    steps = TOKENS - 1
    return (at[-1] - at[0]) / steps, answer.decode_cycles / steps


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Cycles of the firmware per token.")
    parser.add_argument("--preset")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    board = simulated("ulx3s_85f", preset=options.preset, cycles_per_bit=8)
    loaded = load_model()
    compiled = compile_model(
        loaded.checkpoint, board.config, WeightFormat.W8, max_context=CONTEXT, max_sequences=1
    )
    results: list[dict[str, Any]] = []
    with BoardSimulation(board, firmware=build_firmware().rom) as simulation:
        image = compiled.image
        simulation.memory[compiled.base : compiled.base + image.size] = image
        device = LinkDevice(board.config, BoardLine(simulation))
        assert device.cpu is not None
        client = JobClient(device, device.cpu, compiled, JobArea.after(compiled))
        ids = loaded.tokenizer.encode(PROMPT)
        for name, params in CASES.items():
            token, run = measure(simulation, client, ids, params)
            beside = token - run
            print(f"{name:20} {token:10,.0f} {run:10,.0f} {beside:9,.0f} {beside / token:6.1%}")
            results.append({"case": name, "cycles_per_token": token, "accelerator_cycles": run})
        device.close()
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
