# SPDX-License-Identifier: Apache-2.0
"""The whole bit-exactness matrix: RTL against the reference on the shipped model.

    python bench/verify.py [--prompts 20] [--tokens 64] [--jobs 2] [--report docs/verify-report.md]

20 prompts x 64 tokens for each of: presets tiny and default, weights w8 and w4, greedy and seeded
sampling, memory with and without random stalls. Tokens, logits, top-k lists and KV cache bytes must
be equal. Prompts are prefilled in chunks of a different size each. Exits with 1 at a mismatch.
"""

import argparse
import itertools
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from weft.compiler import compile_model
from weft.devices import find_preset, open_device
from weft.errors import WeftError
from weft.held_out import read_held_out
from weft.lockstep import Lockstep
from weft.model import held_out_path, load_model
from weft.quantize import WeightFormat
from weft.sampling import SamplingParams
from weft_sim.memory_parameters import MemoryParameters

PROMPT_WORDS = (3, 4, 6, 9, 14, 24, 48, 90)
"""Words of a held-out story that make a prompt, in turn."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One cell of the matrix."""

    preset: str
    weights: str
    sampled: bool
    stalls: bool

    def __str__(self) -> str:
        sampling = "sampled" if self.sampled else "greedy"
        return f"{self.preset} | {self.weights} | {sampling} | {'yes' if self.stalls else 'no'}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a case compared, or how it failed."""

    case: Case
    tokens: int = 0
    logits: int = 0
    kv_bytes: int = 0
    cycles: int = 0
    seconds: float = 0.0
    error: str = ""


def run_case(case: Case, n_prompts: int, n_tokens: int) -> Outcome:
    """Run one case in this process."""
    started = time.monotonic()
    loaded = load_model()
    config = find_preset(case.preset)
    compiled = compile_model(loaded.checkpoint, config, WeightFormat(case.weights))
    size = compiled.memory.size + 4096
    held_out = held_out_path(loaded)
    assert held_out is not None
    stories = read_held_out(held_out)[:n_prompts]
    memory = MemoryParameters(stall=0.2, seed=7) if case.stalls else None
    total = dict.fromkeys(("tokens", "logits", "kv_bytes", "cycles"), 0)
    number = 0
    try:
        with (
            open_device("rtl", config, memory_bytes=size, memory=memory) as tested,
            open_device("reference", config, memory_bytes=size) as reference,
        ):
            lockstep = Lockstep(compiled, tested, reference)
            for number, story in enumerate(stories):
                words = story.text.split()[: PROMPT_WORDS[number % len(PROMPT_WORDS)]]
                params = SamplingParams(
                    temperature=0.8 if case.sampled else 0.0, top_p=0.95, seed=number
                )
                ids = loaded.tokenizer.encode(" ".join(words))
                report = lockstep.run(ids, params, max_tokens=n_tokens, chunk=1 + number % 11)
                for key in total:
                    total[key] += getattr(report, key)
    except WeftError as error:
        return Outcome(case=case, error=f"prompt {number}: {error}")
    return Outcome(case=case, seconds=time.monotonic() - started, **total)


def report_text(outcomes: list[Outcome], n_prompts: int, n_tokens: int) -> str:
    """The report as a page."""
    command = f"python bench/verify.py --prompts {n_prompts} --tokens {n_tokens}"
    lines = [
        "# Verification report",
        "",
        f"Made by `{command}` (`make verify`). RTL and reference compared after every token:",
        "logits and top-k lists bit by bit, and every byte of the KV cache at the end of a prompt.",
        "",
        "| preset | weights | tokens by | stalls | tokens | logits | KV bytes | cycles | result |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for o in sorted(outcomes, key=lambda o: str(o.case)):
        result = o.error or "equal"
        lines.append(
            f"| {o.case} | {o.tokens:,} | {o.logits:,} | {o.kv_bytes:,} | {o.cycles:,} | {result} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the matrix and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", type=Path, default=Path("build/verify-report.md"))
    arguments = parser.parse_args()
    cases = [
        Case(preset=p, weights=w, sampled=s, stalls=t)
        for p, w, s, t in itertools.product(
            ("tiny", "default"), ("w8", "w4"), (False, True), (False, True)
        )
    ]
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        pending = [pool.submit(run_case, c, arguments.prompts, arguments.tokens) for c in cases]
        for done in as_completed(pending):
            outcome = done.result()
            outcomes.append(outcome)
            state = outcome.error or f"equal, {outcome.tokens} tokens, {outcome.seconds:.0f} s"
            print(f"{outcome.case}: {state}", flush=True)
            arguments.report.parent.mkdir(parents=True, exist_ok=True)
            arguments.report.write_text(report_text(outcomes, arguments.prompts, arguments.tokens))
    sys.exit(any(o.error for o in outcomes))


if __name__ == "__main__":
    main()
