# SPDX-License-Identifier: Apache-2.0
"""Runs a model on the RTL while the device records its events."""

from collections.abc import Sequence
from typing import Any

from weft.compiler.conventions import chunk_scalars
from weft.llm import LLM
from weft.profile.timeline import Run, decode

__all__ = ["record"]


def record(llm: LLM, prompt: Sequence[int], steps: int) -> list[Run]:
    """Prefill a prompt, decode some tokens greedily, and say what every engine did.

    ``llm`` must have a device made with ``observed``. The first run of the program is the first
    chunk of the prompt.
    """
    device: Any = llm.device
    runner = llm.runner
    runs: list[tuple[str, dict[int, int]]] = []
    device.observe()

    def run(name: str, tokens: Sequence[int], position: int, *, head: bool) -> None:
        runner.run_chunk(tokens, position=position, head=head)
        runs.append((name, chunk_scalars(len(tokens), position, head=head)))

    for start, end in runner.chunks(len(prompt), runner.chunk_rows):
        last = end == len(prompt)
        run(f"prefill {start} to {end - 1}", prompt[start:end], start, head=last)
    for position in range(len(prompt), len(prompt) + steps):
        token = int(runner.top_k().token_ids[0])
        run(f"decode {position}", [token], position, head=True)
    return decode(device.observations(), llm.compiled.program, runs)
