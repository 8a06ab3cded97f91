# SPDX-License-Identifier: Apache-2.0
"""What a request returns. Names follow vLLM's where it has one."""

from dataclasses import asdict, dataclass
from typing import Any

from weft.runtime import Counters
from weft_arch.config import Configuration

__all__ = ["CompletionOutput", "Metrics", "RequestOutput", "StreamedToken"]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What a request cost, by the hardware's own counters.

    - `cycles`: all cycles of the request; None on a device without a clock.
    - `cycles_per_token`: cycles per decode step, prefill left out (with a single generated token:
      the cycles of the prefill that made it).
    - `mac_utilization`: array cycles that carried an activation row / cycles.
    - `bandwidth_utilization`: bytes on the AXI data channels / (cycles * memory bytes per cycle).
    - `tokens_per_second`: `clock_hz` / `cycles_per_token`.
    """

    prompt_tokens: int
    completion_tokens: int
    cycles: int | None
    cycles_per_token: float | None
    dram_read_bytes: int
    dram_write_bytes: int
    mac_utilization: float | None
    bandwidth_utilization: float | None
    clock_hz: int
    tokens_per_second: float | None
    device: str
    preset: str

    @classmethod
    def of(
        cls,
        config: Configuration,
        device: str,
        *,
        prompt_tokens: int,
        completion_tokens: int,
        prefill: Counters,
        decode: Counters,
        decode_steps: int,
    ) -> "Metrics":
        """Metrics from the counters of the prefill and of all decode steps together."""
        total = prefill + decode
        timed = total.cycles > 0
        per_token = decode.cycles / decode_steps if decode_steps else float(prefill.cycles)
        moved = total.bytes_read + total.bytes_written
        capacity = total.cycles * config.memory_bytes_per_cycle
        return cls(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cycles=total.cycles if timed else None,
            cycles_per_token=per_token if timed else None,
            dram_read_bytes=total.bytes_read,
            dram_write_bytes=total.bytes_written,
            mac_utilization=total.mac_cycles / total.cycles if timed else None,
            bandwidth_utilization=moved / capacity if timed else None,
            clock_hz=config.clock_hz,
            tokens_per_second=config.clock_hz / per_token if timed else None,
            device=device,
            preset=config.name,
        )


@dataclass(frozen=True, kw_only=True)
class CompletionOutput:
    """One completion. `finish_reason` is "stop" (end of text or a stop text) or "length"."""

    index: int
    text: str
    token_ids: list[int]
    finish_reason: str


@dataclass(frozen=True, kw_only=True)
class RequestOutput:
    """A finished request."""

    prompt: str
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    metrics: Metrics

    @property
    def text(self) -> str:
        """The completion's text."""
        return self.outputs[0].text

    @property
    def token_ids(self) -> list[int]:
        """The completion's token ids."""
        return self.outputs[0].token_ids

    @property
    def finish_reason(self) -> str:
        """Why the completion ended."""
        return self.outputs[0].finish_reason

    def to_json(self) -> dict[str, Any]:
        """The object that `weft generate --json` prints."""
        return {
            "prompt": self.prompt,
            "text": self.text,
            "token_ids": self.token_ids,
            "finish_reason": self.finish_reason,
            "metrics": asdict(self.metrics),
        }


@dataclass(frozen=True, kw_only=True)
class StreamedToken:
    """One step of a stream: the text that became certain with this token (it may be empty), and,
    with the last one, the finished request."""

    text: str
    token_id: int | None
    output: RequestOutput | None = None
