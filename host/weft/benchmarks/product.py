# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of matrix products share: operands, and a run of a hand-made program."""

import numpy as np

from weft.compiler.hazards import check_hazards
from weft.runtime.program import set_program
from weft_arch.device import Device
from weft_arch.encoding import encode_program
from weft_arch.isa import Instruction

__all__ = ["CYCLES_LIMIT", "random_operands", "run_program", "write_rows"]

CYCLES_LIMIT = 200_000_000
"""A product that takes longer has hung."""


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
