# SPDX-License-Identifier: Apache-2.0
"""Who runs the token loop of requests: this host, step by step, or a board's firmware."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from weft.errors import WeftError
from weft.request import Request
from weft.runtime import BatchRow, ModelRunner
from weft_arch.device import DeviceError

__all__ = ["Engine", "HostEngine", "guarded"]

T = TypeVar("T")


class Engine(Protocol):
    """Runs requests, each in a sequence of its own. Errors are `WeftError`."""

    def begin(self, request: Request, sequence: int, /) -> str:
        """Run the prompt and choose the first token; the text that becomes certain."""
        ...

    def step(self, running: Mapping[int, Request], /) -> list[str]:
        """The next token of all requests, by sequence; the texts that become certain."""
        ...

    def end(self, request: Request, /) -> None:
        """Nothing more is wanted of a request that was begun; its counters are complete then."""
        ...


def guarded(run: Callable[[], T]) -> T:
    """What a call gives; a device's error as a `WeftError`."""
    try:
        return run()
    except DeviceError as error:
        raise WeftError(str(error)) from error


class HostEngine:
    """The loop runs here: a command per chunk and step, and logits over the line."""

    def __init__(self, runner: ModelRunner) -> None:
        self._runner = runner

    def begin(self, request: Request, sequence: int) -> str:
        """Run the prompt and choose the first token."""
        before = self._runner.counters()
        guarded(
            lambda: self._runner.prefill(
                request.prompt_ids,
                sequence=sequence,
                store_logits=not request.params.greedy,
                adapter=request.adapter,
            )
        )
        request.prefill += self._runner.counters() - before
        return self._choose(request)

    def step(self, running: Mapping[int, Request]) -> list[str]:
        """A decode step of all requests, by sequence; the texts that become certain. Those of
        one adapter share a run, as far as it has rows: what they get does not depend on it."""
        texts: dict[int, str] = {}
        for part in self._parts(running):
            before = self._runner.counters()
            found = self._step_alone(*part[0]) if len(part) == 1 else self._step_batch(part)
            cost = self._runner.counters() - before
            for (sequence, request), text in zip(part, found, strict=True):
                texts[sequence] = text
                request.decode += cost
                request.steps += 1
        return [texts[sequence] for sequence in running]

    def _parts(self, running: Mapping[int, Request]) -> Iterator[list[tuple[int, Request]]]:
        """The requests of each run."""
        for adapter in dict.fromkeys(request.adapter for request in running.values()):
            rows = [item for item in running.items() if item[1].adapter == adapter]
            most = self._runner.batch_rows(adapter)
            yield from (rows[first : first + most] for first in range(0, len(rows), most))

    def end(self, request: Request) -> None:
        """Nothing is left to do."""

    def _step_alone(self, sequence: int, request: Request) -> list[str]:
        guarded(
            lambda: self._runner.run_chunk(
                request.token_ids[-1:],
                position=request.position,
                sequence=sequence,
                store_logits=not request.params.greedy,
                adapter=request.adapter,
            )
        )
        return [self._choose(request)]

    def _choose(self, request: Request) -> str:
        if request.params.greedy:
            return request.take(int(self._runner.top_k().token_ids[0]))
        return request.choose(self._runner.logits()[0])

    def _step_batch(self, part: Sequence[tuple[int, Request]]) -> list[str]:
        rows = [
            BatchRow(sequence=s, position=r.position, token_id=r.token_ids[-1]) for s, r in part
        ]
        adapter = part[0][1].adapter
        guarded(lambda: self._runner.run_batch(rows, adapter=adapter))
        logits = self._runner.logits(len(rows))
        return [r.choose(row) for (_, r), row in zip(part, logits, strict=True)]
