# SPDX-License-Identifier: Apache-2.0
"""What a user's word for a format of weights means for a model.

All formats go by their names. `w4s`, four bits searched, stands for that of the searched ones whose
codebook suits the model's weights best: a device has one codebook, so a model has one.
"""

import numpy as np

from weft.errors import check_choice
from weft.model.checkpoint import Checkpoint, Matrix, as_floats
from weft.quantize import WeightFormat, quantize

__all__ = ["BEST", "check_name", "choose_format", "relative_errors", "shape_format"]

BEST = "w4s"
CANDIDATES = (WeightFormat.INT4, WeightFormat.FP4, WeightFormat.NF4, WeightFormat.IQ4_NL)
"""What `w4s` chooses from; the first of equals."""

PIECES = 8
PIECE_ROWS = 16
"""Rows of a matrix that are looked at: so many together, in so many places."""


def check_name(name: str) -> None:
    """A `ModelError` unless a user may name weights like this; says what there is."""
    check_choice("weights are", name, [WeightFormat.W8, WeightFormat.W4, BEST, *CANDIDATES])


def choose_format(name: str, checkpoint: Checkpoint) -> WeightFormat:
    """The format that `name` means for a model. Raises `ModelError` for a name that is none, and
    where `w4s` meets a weight that is too large or not finite."""
    check_name(name)
    if name != BEST:
        return WeightFormat(name)
    errors = relative_errors(checkpoint)
    return min(CANDIDATES, key=errors.__getitem__)


def shape_format(name: str) -> WeightFormat:
    """A format that takes as many bytes, for a model of which only the shape is known."""
    check_name(name)
    return WeightFormat.INT4 if name == BEST else WeightFormat(name)


def relative_errors(checkpoint: Checkpoint) -> dict[WeightFormat, float]:
    """What each candidate loses of a model's matrices: squared error over squares, the mean over
    matrices by their size. Of a large matrix `PIECES` times `PIECE_ROWS` rows are looked at."""
    config = checkpoint.config
    matrices = [layer.matrix(name) for layer in checkpoint.layers for name in config.matrices]
    if config.head != "none":
        matrices.append(checkpoint.matrix("lm_head"))
    total = sum(matrix.size for matrix in matrices)
    losses: dict[WeightFormat, float] = dict.fromkeys(CANDIDATES, 0.0)
    for matrix in matrices:
        sample = _sample(matrix)
        squares = float(np.square(sample, dtype=np.float64).sum())
        for form in CANDIDATES if squares else ():
            error = np.square(quantize(sample, form).dequantize() - sample, dtype=np.float64)
            losses[form] += matrix.size / total * float(error.sum()) / squares
    return losses


def _sample(matrix: Matrix) -> np.ndarray:
    """Rows of a matrix, from all over it."""
    rows = matrix.shape[0]
    if rows <= PIECES * PIECE_ROWS:
        return as_floats(matrix)
    starts = np.linspace(0, rows - PIECE_ROWS, PIECES).astype(int).tolist()
    return np.concatenate([as_floats(matrix, s, s + PIECE_ROWS) for s in starts])
