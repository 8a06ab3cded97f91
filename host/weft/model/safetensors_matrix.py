# SPDX-License-Identifier: Apache-2.0
"""A matrix of a safetensors file, read piece by piece."""

import numpy as np
import numpy.typing as npt

from weft.files import in_file
from weft.model.checkpoint import FloatTensor, StoredMatrix, check_finite
from weft.model.safetensors_file import SafetensorsFile

__all__ = ["SafetensorsMatrix"]


class SafetensorsMatrix(StoredMatrix):
    """A two-dimensional tensor of `file`, of which `rows` are meant, in their order; None stands
    for all of them.

    The whole tensor is read once here, piece by piece: `ModelError` where a number is not finite.
    """

    def __init__(
        self, file: SafetensorsFile, name: str, rows: npt.NDArray[np.intp] | None = None
    ) -> None:
        self._file = file
        self._name = name
        self._rows = rows
        for first, end in self.pieces():
            self.floats(first, end)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        rows, columns = self._file.shape(self._name)
        return (rows if self._rows is None else len(self._rows), columns)

    def floats(self, first: int, end: int) -> FloatTensor:
        """Rows `first` to `end` as float32."""
        rows = np.arange(first, end) if self._rows is None else self._rows[first:end]
        if not len(rows):
            return np.empty((0, self.shape[1]), np.float32)
        lowest, highest = int(rows.min()), int(rows.max())
        floats = self._file.read_rows(self._name, lowest, highest + 1)
        with in_file(self._file.path):
            check_finite(self._name, floats, first_row=lowest)
        return floats if self._rows is None else floats[rows - lowest]
