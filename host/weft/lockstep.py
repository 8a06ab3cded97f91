# SPDX-License-Identifier: Apache-2.0
"""Runs the same requests on two devices and compares every bit that they leave behind."""

from dataclasses import dataclass

import numpy as np

from weft.compiler import CompiledModel
from weft.errors import WeftError
from weft.runtime import ModelRunner
from weft.sampling import Sampler, SamplingParams
from weft_arch.device import Device

__all__ = ["Lockstep", "LockstepReport", "Mismatch"]


class Mismatch(WeftError):
    """Two devices differ; the message says where first."""


@dataclass(frozen=True, kw_only=True)
class LockstepReport:
    """What was compared and found equal."""

    tokens: int
    logits: int
    kv_bytes: int
    cycles: int
    """cycles of the device under test"""


class Lockstep:
    """A device under test beside the reference, with the same compiled model."""

    def __init__(self, compiled: CompiledModel, tested: Device, reference: Device) -> None:
        self.tested = ModelRunner(compiled, tested)
        self.reference = ModelRunner(compiled, reference)
        self._runners = (self.tested, self.reference)

    def run(
        self,
        prompt_ids: list[int],
        params: SamplingParams,
        *,
        max_tokens: int,
        chunk: int | None = None,
    ) -> LockstepReport:
        """Prefill (the tested device in chunks of ``chunk``), then generate ``max_tokens`` tokens.

        After every step the logits and the top-k list are compared, at the end the KV cache.
        Raises `Mismatch`.
        """
        start = self.tested.counters().cycles
        self.tested.prefill(prompt_ids, store_logits=True, chunk=chunk)
        self.reference.prefill(prompt_ids, store_logits=True)
        sampler = Sampler(params)
        n_logits = step = 0
        for step in range(max_tokens):
            logits = self._compare_step(f"step {step}")
            n_logits += logits.size
            token = sampler.sample(logits, step)
            position = len(prompt_ids) + step
            if step + 1 == max_tokens or position >= self.tested.compiled.max_context:
                break
            for runner in self._runners:
                runner.run_chunk([token], position=position, store_logits=True)
        kv_bytes = self._compare_kv()
        return LockstepReport(
            tokens=step + 1,
            logits=n_logits,
            kv_bytes=kv_bytes,
            cycles=self.tested.counters().cycles - start,
        )

    def _compare_step(self, where: str) -> np.ndarray:
        got, expected = (runner.logits()[0] for runner in self._runners)
        different = np.flatnonzero(got.view(np.uint32) != expected.view(np.uint32))
        if different.size:
            first = int(different[0])
            raise Mismatch(
                f"{where}: {different.size} of {got.size} logits differ, first {first}: "
                f"{got[first]!r} instead of {expected[first]!r}."
            )
        tested, reference = (runner.top_k() for runner in self._runners)
        if not np.array_equal(tested.token_ids, reference.token_ids):
            raise Mismatch(f"{where}: the top-k lists differ.")
        return got

    def _compare_kv(self) -> int:
        got, expected = (runner.kv_cache() for runner in self._runners)
        different = np.flatnonzero(got != expected)
        if different.size:
            raise Mismatch(
                f"{different.size} of {got.size} bytes of the KV cache differ, "
                f"first at offset {int(different[0])}."
            )
        return got.size
