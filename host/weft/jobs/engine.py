# SPDX-License-Identifier: Apache-2.0
"""Requests as jobs: the board's firmware runs the token loop, the host turns ids into text."""

from collections.abc import Mapping

from weft.engine import guarded
from weft.errors import WeftError
from weft.jobs.area import JobArea
from weft.jobs.client import BoardDevice, JobClient
from weft.jobs.ends import failure_of
from weft.request import Request
from weft.runtime import Counters, ModelRunner
from weft_arch.jobs import MOST_STOPS, Job, JobAnswer

__all__ = ["JobEngine"]

_MOST = 0xFFFF_FFFF


class JobEngine:
    """Each request is a job; jobs run one after the other, each with the tokens it has anywhere."""

    def __init__(self, runner: ModelRunner, device: BoardDevice, client: JobClient) -> None:
        self._runner, self._client, self._name = runner, client, device.name
        self._numbers: dict[int, int] = {}
        """of the jobs under way, by the identity of their request"""

    @classmethod
    def connect(cls, runner: ModelRunner, device: BoardDevice) -> "JobEngine | None":
        """The engine of a board, once its firmware runs; None if it has no CPU or no memory left
        for jobs, or if the model is no generator. A `WeftError` if the firmware does not start."""
        cpu, area = device.cpu, JobArea.after(runner.compiled)
        if runner.compiled.model.head == "none":
            return None
        if cpu is None or area.end > device.memory_base + device.memory_bytes:
            return None
        client = guarded(lambda: JobClient(device, cpu, runner.compiled, area))
        return cls(runner, device, client)

    def begin(self, request: Request, sequence: int) -> str:
        """Put the job and wait for its first token, behind the jobs before it."""
        if len(request.eos_ids) > MOST_STOPS:
            raise WeftError(
                f"the model ends its text with any of {len(request.eos_ids)} tokens; a job takes "
                f"{MOST_STOPS}."
            )
        self._runner.forget()
        sampler = request.sampler
        job = Job(
            number=0,
            model=0,
            prompt=0,
            prompt_count=0,
            sequence=sequence,
            max_tokens=min(request.budget, _MOST),
            seed=sampler.seed,
            inverse_temperature=sampler.inverse_temperature,
            top_p=sampler.top_p,
            top_k=min(max(request.params.top_k, 0), _MOST),
        )
        put = self._client.put
        stops = sorted(request.eos_ids)
        number = guarded(lambda: put(job, request.prompt_ids, stops))
        self._numbers[id(request)] = number
        return self._take(request)

    def step(self, running: Mapping[int, Request]) -> list[str]:
        """The next token of each."""
        return [self._take(request) for request in running.values()]

    def end(self, request: Request) -> None:
        """Cancel what still runs of it, and take its counters."""
        number = self._numbers.pop(id(request), None)
        if number is None:
            return
        guarded(lambda: self._client.cancel(number))
        self._enter(request, guarded(lambda: self._client.answer(number)))

    def _take(self, request: Request) -> str:
        number = self._numbers[id(request)]
        token = guarded(lambda: self._client.next_token(number))
        if token is None:
            del self._numbers[id(request)]
            answer = guarded(lambda: self._client.answer(number))
            self._enter(request, answer)
            error = failure_of(answer, self._name)
            if isinstance(error, WeftError):
                raise error
            raise WeftError(str(error or f"{self._name} ended the job too early.")) from error
        return request.take(token)

    @staticmethod
    def _enter(request: Request, answer: JobAnswer) -> None:
        """What the job cost."""
        request.prefill += _counters(answer, "prefill")
        request.decode += _counters(answer, "decode")
        request.steps += max(answer.tokens - 1, 0)


def _counters(answer: JobAnswer, part: str) -> Counters:
    names = ("cycles", "bytes_read", "bytes_written", "mac_cycles")
    return Counters(**{name: getattr(answer, f"{part}_{name}") for name in names})
