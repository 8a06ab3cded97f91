# SPDX-License-Identifier: Apache-2.0
"""A matrix of a GGUF file, read piece by piece."""

import numpy as np
import numpy.typing as npt

from weft.codebooks import Codebook
from weft.errors import ModelError, shown
from weft.files import in_file
from weft.model.checkpoint import FloatTensor, StoredMatrix, check_finite
from weft.model.gguf_blocks import Raw
from weft.model.gguf_file import GGUFFile, TensorEntry
from weft.model.repacking import Repacked, RepackLog
from weft.quantize import BLOCK, QuantizedMatrix, WeightFormat, quantize

__all__ = ["GGUFMatrix", "find_tensor", "read_floats", "read_vector"]

Rows = npt.NDArray[np.intp]


class GGUFMatrix(StoredMatrix):
    """A two-dimensional tensor of `file`; what quantising it loses is written to `log`.

    `rows` are the tensor's rows that are meant, in their order; None stands for all of them. Rows
    are whole blocks, so they change places unchanged.

    Blocks stay as they are where the format can say the same: scales that are float16, and in a
    4-bit format integers that its codebook holds.

    | stored as | in `w8` | unchanged too in |
    |---|---|---|
    | Q8_0 | codes and scales unchanged | |
    | Q4_0 | code - 8, scales unchanged | `w4`, `int4` |
    | Q5_0 | code - 16, scales unchanged | |
    | IQ4_NL | the integer of each code, scales unchanged | `iq4_nl` |
    | MXFP4 | twice the value of each code, half the scale, where that is a float16 | `fp4` |
    | all others | repacked | |
    """

    def __init__(
        self, file: GGUFFile, entry: TensorEntry, log: RepackLog, rows: Rows | None = None
    ) -> None:
        self._file = file
        self._entry = entry
        self._log = log
        self._rows = rows
        self._name = entry.name
        if rows is not None and len(rows) < entry.rows:
            self._name += f" rows {rows.min()} to {rows.max()}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        rows, columns = self._entry.shape
        return (rows if self._rows is None else len(self._rows), columns)

    @property
    def in_int8_blocks(self) -> bool:
        """Whether the type is one of those that `w8` holds unchanged."""
        return self._entry.type.integers is not None

    def floats(self, first: int, end: int) -> FloatTensor:
        """Rows `first` to `end` as float32."""
        with in_file(self._file.path):
            return self._floats(first, end)

    def quantized(self, weight_format: WeightFormat) -> QuantizedMatrix:
        """The matrix in a format of the device, with the file's own blocks where they fit it."""
        matrix = self.blank(weight_format)
        squared_error = squares = 0.0
        with in_file(self._file.path):
            if not self._keep(matrix):
                squared_error, squares = self._repack(matrix)
        self._log.add(
            Repacked(
                tensor=self._name,
                stored=self._entry.type.name,
                weights=weight_format,
                squared_error=squared_error,
                squares=squares,
            )
        )
        return matrix

    def _keep(self, into: QuantizedMatrix) -> bool:
        """Take the blocks as they are; False where the type, an integer or a scale has no place for
        that."""
        integers = self._entry.type.integers
        if integers is None:
            return False
        for first, end in self.pieces():
            codes, wide = integers(self._raw(first, end))
            wide = wide.reshape(end - first, -1)
            self._check_scales(wide, first)
            if into.codebook is not None:
                codes = _CODES_OF[into.format][codes.view(np.uint8)]
                if (codes == _NO_CODE).any():
                    return False
            with np.errstate(over="ignore"):
                scales = wide.astype(np.float16)
            if (scales != wide).any():
                return False
            into.codes[first:end] = codes.reshape(end - first, -1, BLOCK)
            into.scales[first:end] = scales
        return True

    def _repack(self, into: QuantizedMatrix) -> tuple[float, float]:
        """Quantise the numbers anew; the sums of squares of the error and of the numbers."""
        squared_error = squares = 0.0
        for first, end in self.pieces():
            floats = self._floats(first, end)
            with in_file(f"tensor {self._entry.name}"):
                part = quantize(floats, into.format)
            into.codes[first:end], into.scales[first:end] = part.codes, part.scales
            squared_error += _sum_of_squares(part.dequantize() - floats)
            squares += _sum_of_squares(floats)
        return squared_error, squares

    def _check_scales(self, scales: FloatTensor, first_row: int) -> None:
        finite = np.isfinite(scales)
        if not finite.all():
            row, block = (int(i) for i in np.argwhere(~finite)[0])
            raise ModelError(
                f"tensor {self._entry.name} has the scale {scales[row, block]} at index "
                f"{[self._file_row(row + first_row), block * BLOCK]}."
            )

    def _raw(self, first: int, end: int) -> Raw:
        """The blocks of some rows: a view into the file, or a copy where rows change places."""
        if self._rows is None:
            return self._file.rows(self._entry, first, end)
        whole = self._file.rows(self._entry, 0, self._entry.rows)
        blocks = whole.reshape(self._entry.rows, -1, self._entry.type.block_bytes)
        return blocks[self._rows[first:end]].reshape(-1, self._entry.type.block_bytes)

    def _floats(self, first: int, end: int) -> FloatTensor:
        raw = self._raw(first, end)
        rows = None if self._rows is None else self._rows[first:end]
        return _unpack(self._entry, raw, end - first, first, rows)

    def _file_row(self, row: int) -> int:
        return row if self._rows is None else int(self._rows[row])


def read_floats(file: GGUFFile, entry: TensorEntry, first: int, end: int) -> FloatTensor:
    """Some rows of a tensor as float32, [rows, columns]; `ModelError` where one is not finite."""
    return _unpack(entry, file.rows(entry, first, end), end - first, first, None)


def read_vector(file: GGUFFile, name: str, length: int) -> FloatTensor:
    """A tensor of one dimension as float32; `ModelError` where it is not there, of another length,
    or not finite."""
    return read_floats(file, find_tensor(file, name, (length,)), 0, 1)[0]


def find_tensor(file: GGUFFile, name: str, shape: tuple[int, ...]) -> TensorEntry:
    """The tensor of that name, which must have that shape; `ModelError` otherwise."""
    entry = file.tensors.get(name)
    if entry is None:
        raise ModelError(f"the file holds no tensor {name}.")
    if entry.shape != shape:
        raise ModelError(
            f"tensor {name} has shape {shown(list(entry.shape))}, but the metadata asks for "
            f"{list(shape)}."
        )
    return entry


def _unpack(
    entry: TensorEntry, raw: Raw, n_rows: int, first_row: int, rows: Rows | None
) -> FloatTensor:
    """Blocks as float32, [rows, columns]; `rows` are their places where they are not in order."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is looked for below
        floats = entry.type.unpack(raw).reshape(n_rows, -1)
    check_finite(entry.name, floats, first_row=first_row, rows=rows)
    return floats


def _codes_of(codebook: Codebook) -> npt.NDArray[np.uint8]:
    """uint8 [256]: the first code that stands for each int8, by its bits; `_NO_CODE` for none."""
    codes = np.full(256, _NO_CODE, np.uint8)
    for code in reversed(range(len(codebook))):
        codes[codebook.view(np.uint8)[code]] = code
    return codes


_NO_CODE = np.uint8(255)
_CODES_OF = {form: _codes_of(form.codebook) for form in WeightFormat if form.codebook is not None}


def _sum_of_squares(values: FloatTensor) -> float:
    """In float64, without a copy in it."""
    return float(np.einsum("ij,ij->", values, values, dtype=np.float64))
