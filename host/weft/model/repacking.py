# SPDX-License-Identifier: Apache-2.0
"""What was lost where a file's weights were brought into a format of the device."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from weft.quantize import WeightFormat

__all__ = ["RepackLog", "Repacked", "relative_error"]


@dataclass(frozen=True, kw_only=True)
class Repacked:
    """One tensor of a file, brought from the type `stored` into `weights`.

    `squared_error` is the sum over its numbers of (number in the device - number in the file)^2,
    `squares` the sum of (number in the file)^2.
    """

    tensor: str
    stored: str
    weights: WeightFormat
    squared_error: float
    squares: float

    @property
    def relative_rms_error(self) -> float:
        """Root of the mean squared error over the root of the mean square."""
        return relative_error([self])


def relative_error(tensors: Iterable[Repacked]) -> float:
    """The relative RMS error of some tensors taken as one; 0 where all of them are zeros."""
    tensors = list(tensors)
    squares = math.fsum(tensor.squares for tensor in tensors)
    error = math.fsum(tensor.squared_error for tensor in tensors)
    return math.sqrt(error / squares) if squares else 0.0


@dataclass(frozen=True, kw_only=True)
class RepackLog:
    """Fills while a model is compiled, a tensor at a time; compiling again writes the same."""

    _tensors: dict[tuple[str, WeightFormat], Repacked] = field(
        default_factory=dict[tuple[str, WeightFormat], Repacked]
    )

    def add(self, tensor: Repacked) -> None:
        """Take in a tensor; one that was kept exactly has an error of 0."""
        self._tensors[tensor.tensor, tensor.weights] = tensor

    def tensors(self, weights: WeightFormat | str) -> list[Repacked]:
        """All that were brought into a format, in the order of their use."""
        return [tensor for (_, form), tensor in self._tensors.items() if form == weights]

    def sentence(self, weights: WeightFormat | str) -> str | None:
        """What the user is told, in a line; None when nothing came from a file with types."""
        tensors = self.tensors(weights)
        if not tensors:
            return None
        lossy = [tensor for tensor in tensors if tensor.squared_error]
        if not lossy:
            return f"all {len(tensors)} matrices are in {weights} exactly as the file has them."
        worst = max(lossy, key=lambda tensor: tensor.relative_rms_error)
        types = ", ".join(sorted({tensor.stored for tensor in lossy}))
        return (
            f"{len(lossy)} of {len(tensors)} matrices ({types}) were repacked to {weights}: "
            f"relative RMS error {_percent(relative_error(lossy))} over them, at most "
            f"{_percent(worst.relative_rms_error)} ({worst.tensor}, {worst.stored})."
        )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2g} %"
