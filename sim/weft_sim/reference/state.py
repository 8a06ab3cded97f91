# SPDX-License-Identifier: Apache-2.0
"""What a weft machine remembers between instructions."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from weft_arch.config import BLOCK, Configuration
from weft_arch.isa import N_SCALARS, N_TOKENS, TOKEN_LIMIT, Instruction
from weft_arch.registers import Fault
from weft_sim.reference.resident import ResidentMemory

__all__ = [
    "MachineState",
    "Memory",
    "ProgramFault",
    "Replayed",
    "Resolved",
    "Starved",
    "Stream",
]


class ProgramFault(Exception):
    """What stops the machine: a fault cause and its address."""

    def __init__(self, cause: Fault, address: int) -> None:
        super().__init__(f"{cause.name} at {address:#x}")
        self.cause = cause
        self.address = address


class Starved(Exception):
    """An instruction waits for data that no instruction before it sends; the message says which."""


@dataclass(frozen=True)
class Resolved:
    """An instruction with its scalars resolved."""

    instruction: Instruction
    address: int
    count: int
    aux_a: int
    aux_b: int


@dataclass
class Stream:
    """Weight tiles or kv blocks that a STREAM instruction put in front of the array."""

    address: int
    count: int
    """tiles, or positions of a KV stream"""
    format: int
    """WeightFormat, or -1 for a KV stream"""
    k_blocks: int = 0
    wide_keys: bool = False
    replayed: "Replayed | None" = None
    """the tiles themselves, where they come from the resident memory; ``address`` is a place"""


@dataclass(frozen=True)
class Replayed:
    """Tiles as they were kept."""

    tiles: NDArray[np.uint8]
    """those still to go, in rows"""
    version: int
    """of the resident memory"""


class Memory:
    """The device's view of DRAM: byte addressed, with the regions that a program may touch."""

    def __init__(self, data: NDArray[np.uint8], base: int, beat_bytes: int) -> None:
        self.data = data
        self.base = base
        self.beat_bytes = beat_bytes
        self.region: tuple[int, int] = (0, 0)
        self.write_region: tuple[int, int] = (0, 0)
        self.bytes_read = 0
        self.bytes_written = 0
        self.written: list[tuple[int, int]] = []
        """Address ranges written since the last look (for caches of decoded weights)."""

    def _place(self, address: int, size: int, align: int, *, write: bool) -> int:
        window = self.write_region if write else self.region
        if address % align:
            raise ProgramFault(Fault.UNALIGNED_ADDRESS, address)
        if address < window[0] or address + size > window[1]:
            raise ProgramFault(Fault.ADDRESS_OUT_OF_RANGE, address)
        start = address - self.base
        if start < 0 or start + size > self.data.size:
            raise ProgramFault(Fault.WRITE_ERROR if write else Fault.READ_ERROR, address)
        return start

    def read(self, address: int, size: int, align: int | None = None) -> NDArray[np.uint8]:
        """A view of ``size`` bytes."""
        start = self._place(address, size, align or self.beat_bytes, write=False)
        self.bytes_read += size
        return self.data[start : start + size]

    def write(self, address: int, raw: NDArray[np.uint8], align: int = 1) -> None:
        """Write bytes."""
        start = self._place(address, raw.size, align, write=True)
        self.data[start : start + raw.size] = raw
        self.bytes_written += raw.size
        self.written.append((address, address + raw.size))

    def write_strided(self, address: int, stride: int, raw: NDArray[np.uint8]) -> None:
        """Write single bytes, ``stride`` apart."""
        span = stride * (raw.size - 1) + 1
        start = self._place(address, span, 1, write=True)
        self.data[start : start + span : stride] = raw
        self.bytes_written += raw.size
        self.written.append((address, address + span))


@dataclass
class MachineState:
    """Registers and on-chip memories; floats are F24 values in float64 arrays."""

    config: Configuration
    memory: Memory
    scalars: list[int] = field(default_factory=lambda: [0] * N_SCALARS)
    streams: deque[Stream] = field(default_factory=deque)
    groups: deque[tuple[NDArray[np.int32], int]] = field(default_factory=deque)
    """Quantised key or value groups on their way to STORE_KV: 32 codes and an exponent."""

    def __post_init__(self) -> None:
        config = self.config
        self.vectors = np.zeros((config.vector_memory_words, config.lanes))
        self.codes = np.zeros((config.activation_blocks, BLOCK), np.int32)
        self.exponents = np.zeros(config.activation_blocks, np.int32)
        self.row_scalars = np.zeros(256)
        self.codebook = np.zeros(16, np.int8)
        self.top_k: list[tuple[float, int]] = []
        self.tokens = [0] * (N_TOKENS + 1)
        self.resident = ResidentMemory(config)

    def take_token(self, token: int) -> bool:
        """Take a dependency token; False when there is none."""
        if token and not self.tokens[token]:
            return False
        self.tokens[token] -= token != 0
        return True

    def give_token(self, token: int) -> None:
        """Give a dependency token; a `ProgramFault` above the limit."""
        if token:
            if self.tokens[token] == TOKEN_LIMIT:
                raise ProgramFault(Fault.TOKEN_OVERFLOW, token)
            self.tokens[token] += 1
