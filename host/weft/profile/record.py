# SPDX-License-Identifier: Apache-2.0
"""Runs a model on the RTL while the device records its events."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from weft.compiler.conventions import Register
from weft.llm import LLM
from weft.profile.timeline import Run, decode

__all__ = ["Chunk", "record"]


@dataclass(frozen=True)
class Chunk:
    """Some tokens that one run of the program appends."""

    name: str
    position: int
    rows: int
    head: bool

    @property
    def scalars(self) -> dict[int, int]:
        """The scalar registers that the run begins with."""
        return {
            Register.ROWS: self.rows,
            Register.POSITION: self.position,
            Register.HEAD: int(self.head),
        }


def record(
    llm: LLM, prompt: Sequence[int], steps: int, progress: Callable[[Chunk], Any] = lambda _: None
) -> list[Run]:
    """Prefill a prompt, decode some tokens greedily, and say what every engine did.

    ``llm`` must have a device made with ``observed``. The first run of the program is the first
    chunk of the prompt.
    """
    device: Any = llm.device
    runner = llm.runner
    chunks: list[Chunk] = []
    device.observe()

    def run(name: str, tokens: Sequence[int], position: int, *, head: bool) -> None:
        chunk = Chunk(name, position, len(tokens), head)
        progress(chunk)
        runner.run_chunk(tokens, position=position, head=head)
        chunks.append(chunk)

    size = runner.chunk_rows
    for start in range(0, len(prompt), size):
        part = prompt[start : start + size]
        last = start + len(part) == len(prompt)
        run(f"prefill {start} to {start + len(part) - 1}", part, start, head=last)
    for position in range(len(prompt), len(prompt) + steps):
        token = int(runner.top_k().token_ids[0])
        run(f"decode {position}", [token], position, head=True)
    program = llm.compiled.program
    return decode(device.observations(), program, [(c.name, c.scalars) for c in chunks])
