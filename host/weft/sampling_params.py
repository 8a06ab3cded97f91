# SPDX-License-Identifier: Apache-2.0
"""How tokens are chosen: the knobs of a request, under the names that vLLM's users type."""

import math
from dataclasses import dataclass
from typing import cast

from weft.errors import SamplingError, shown

__all__ = ["SamplingParams"]

LOWEST_TEMPERATURE = 0.01
HIGHEST_TEMPERATURE = 100.0
LARGEST_SEED = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """Sampling and stopping of one request.

    - `temperature`: 0 chooses the likeliest token (the lowest id among equals) and ignores
      `top_k`, `top_p` and `seed`; otherwise between 0.01 and 100.
    - `top_k`: choose among the k likeliest tokens; 0 or -1 means all of them.
    - `top_p`: choose among the fewest likeliest tokens whose probabilities, after `top_k`, add up
      to at least this; more than 0 and at most 1, which means all.
    - `seed`: 0 to 2**64 - 1; the same seed gives the same tokens. None takes a fresh one.
    - `max_tokens`: how many tokens to generate at most; None goes on to the end of the context.
    - `stop`: texts at which generation ends; they are not part of the output. A single string is
      taken as one text.
    - `ignore_eos`: go on when the model ends its text.

    Defaults are vLLM's. Raises `SamplingError` naming the parameter, its value and its bounds.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int | None = 16
    stop: str | tuple[str, ...] | list[str] | None = None
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        _check_number("temperature", self.temperature)
        low, high = LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE
        if self.temperature != 0 and not low <= self.temperature <= high:
            raise SamplingError(
                f"temperature is {shown(self.temperature)}, but must be 0 (greedy) or between "
                f"{low:g} and {high:g}."
            )
        _check_integer("top_k", self.top_k)
        if self.top_k < -1:
            raise SamplingError(
                f"top_k is {shown(self.top_k)}, but must be at least 1, or 0 or -1 for all tokens."
            )
        _check_number("top_p", self.top_p)
        if not 0 < self.top_p <= 1:
            raise SamplingError(
                f"top_p is {shown(self.top_p)}, but must be greater than 0 and at most 1."
            )
        if self.seed is not None:
            _check_integer("seed", self.seed)
            if not 0 <= self.seed <= LARGEST_SEED:
                raise SamplingError(
                    f"seed is {shown(self.seed)}, but must be between 0 and {LARGEST_SEED}."
                )
        if self.max_tokens is not None:
            _check_integer("max_tokens", self.max_tokens)
            if self.max_tokens < 1:
                raise SamplingError(
                    f"max_tokens is {shown(self.max_tokens)}, but must be at least 1."
                )
        _check_stop(self.stop)
        _check_flag("ignore_eos", self.ignore_eos)

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """`stop` as a tuple, empty when there is none."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0


def _check_integer(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SamplingError(f"{name} is {shown(value)}, but must be an integer.")


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise SamplingError(f"{name} is {shown(value)}, but must be a number.")


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise SamplingError(f"{name} is {shown(value)}, but must be True or False.")


def _check_stop(value: object) -> None:
    if value is None:
        return
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise SamplingError(f"stop is {shown(value)}, but must be a text or a list of texts.")
    for text in cast(list[object], texts):
        if not (isinstance(text, str) and text):
            raise SamplingError(
                f"stop holds {shown(text)}, but must hold texts of at least one character."
            )
