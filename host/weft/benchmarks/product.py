# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of matrix products share: where everything is, operands, and a run of a
hand-made program."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft.compiler.hazards import check_hazards
from weft.errors import WeftError
from weft.runtime.program import set_program
from weft_arch.config import BLOCK, Configuration
from weft_arch.device import Device
from weft_arch.encoding import encode_program
from weft_arch.isa import Instruction

__all__ = ["CYCLES_LIMIT", "ProductPlan", "random_operands", "run_program", "write_rows"]

CYCLES_LIMIT = 200_000_000
"""A product that takes longer has hung."""


@dataclass(frozen=True, kw_only=True)
class ProductPlan(ABC):
    """A product C[rows, columns] = A[rows, depth] * B, and the memory addresses (bytes) of all."""

    config: Configuration
    rows: int
    columns: int
    depth: int

    def __post_init__(self) -> None:
        """Raise `WeftError` unless columns are pairs of tiles, and the depth is whole blocks, or
        less than one."""
        pair = 2 * self.config.array_cols
        multiple = self.config.lanes if self.depth < BLOCK else BLOCK
        if self.columns % pair or self.depth % multiple:
            raise WeftError(
                f"the product {self.rows} x {self.columns} x {self.depth} is not in multiples of "
                f"1, {pair} and {BLOCK}."
            )

    @abstractmethod
    def weight_order(self) -> NDArray[np.intp]:
        """Numbers n * k_blocks + k of B's tiles in memory, in their order there."""

    @property
    def k_blocks(self) -> int:
        """Blocks of 32 along the reduction."""
        return -(-self.depth // BLOCK)

    @property
    def n_tiles(self) -> int:
        """Tiles of output columns."""
        return self.columns // self.config.array_cols

    @property
    def row_words(self) -> int:
        """Vector memory words of a row of A."""
        return self.depth // self.config.lanes

    @property
    def a(self) -> int:
        """Address of A; the program comes before."""
        return 1 << 16

    @property
    def weights(self) -> int:
        """Address of the tiles, in the order of `weight_order`."""
        return self.a + 2 * self.rows * self.depth

    @property
    def c(self) -> int:
        """Address of C."""
        return self.weights + len(self.weight_order()) * self.config.tile_bytes(8)

    @property
    def end(self) -> int:
        """First address after C."""
        return self.c + 4 * self.rows * self.columns


def random_operands(rows: int, columns: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal A float16 [rows, depth] and B float32 [columns, depth], always the same."""
    random = np.random.default_rng(depth)
    a = random.standard_normal((rows, depth)).astype(np.float16)
    return a, random.standard_normal((columns, depth)).astype(np.float32)


def write_rows(device: Device, address: int, values: np.ndarray) -> None:
    """Put an array into memory, as it is in NumPy's."""
    device.write_memory(address, np.ascontiguousarray(values).view(np.uint8).reshape(-1))


def run_program(
    device: Device, program: list[Instruction], *, write_base: int, write_limit: int
) -> None:
    """Run a program from address 0; what it reads and writes ends at ``write_limit``."""
    check_hazards(
        program, device.config, scalars={}, write_base=write_base, write_limit=write_limit
    )
    device.write_memory(0, encode_program(program))
    set_program(device, 0, len(program), region=(0, write_limit), write=(write_base, write_limit))
    device.start()
    device.wait(CYCLES_LIMIT)
