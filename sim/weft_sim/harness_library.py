# SPDX-License-Identifier: Apache-2.0
"""The C interface of the compiled harness (``harness/harness.cpp``), loaded with ctypes."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_uint8, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from weft_sim.memory_parameters import MemoryParameters

__all__ = ["BusStatistics", "Harness"]

_INTERFACE_VERSION = 2


class _Parameters(ctypes.Structure):
    _fields_ = [
        ("latency_cycles", c_uint64),
        ("write_latency_cycles", c_uint64),
        ("outstanding_reads", c_uint64),
        ("outstanding_writes", c_uint64),
        ("bytes_per_256_cycles", c_uint64),
        ("seed", c_uint64),
        ("shared_bus", c_uint32),
        ("stall_ar", c_uint32),
        ("stall_aw", c_uint32),
        ("stall_w", c_uint32),
        ("stall_r", c_uint32),
        ("stall_b", c_uint32),
    ]


_COUNTS = (
    "cycles",
    "read_bytes",
    "read_beats",
    "read_bursts",
    "write_bytes",
    "write_beats",
    "write_bursts",
)


class _Statistics(ctypes.Structure):
    _fields_ = [(name, c_uint64) for name in _COUNTS]


@dataclass(frozen=True, kw_only=True)
class BusStatistics:
    """What the harness counted on the AXI4 port since it was created, the hardware not asked.

    `write_bytes` counts active strobes, `read_bytes` whole beats.
    """

    cycles: int
    read_bytes: int
    read_beats: int
    read_bursts: int
    write_bytes: int
    write_beats: int
    write_bursts: int


_FUNCTIONS: dict[str, tuple[type | None, tuple]] = {
    "weft_interface_version": (c_int, ()),
    "weft_beat_bytes": (c_int, ()),
    "weft_create": (c_void_p, (POINTER(c_uint8), c_uint64, c_uint64, POINTER(_Parameters))),
    "weft_destroy": (None, (c_void_p,)),
    "weft_reset": (None, (c_void_p, c_uint64)),
    "weft_run": (c_uint64, (c_void_p, c_uint64, c_int)),
    "weft_irq": (c_int, (c_void_p,)),
    "weft_write_register": (c_int, (c_void_p, c_uint32, c_uint32)),
    "weft_read_register": (c_int, (c_void_p, c_uint32, POINTER(c_uint32))),
    "weft_configure_memory": (None, (c_void_p, POINTER(_Parameters))),
    "weft_clear_errors": (None, (c_void_p,)),
    "weft_inject_error": (None, (c_void_p, c_uint64, c_uint64, c_int, c_int, c_int)),
    "weft_protocol_error": (c_char_p, (c_void_p,)),
    "weft_statistics": (None, (c_void_p, POINTER(_Statistics))),
    "weft_open_trace": (c_int, (c_void_p, c_char_p)),
    "weft_close_trace": (None, (c_void_p,)),
    "weft_observe": (c_int, (c_void_p, c_uint64)),
    "weft_observations": (c_uint64, (c_void_p, POINTER(POINTER(c_uint64)))),
}


class Harness:
    """One simulated design with its memory.

    Args:
        library: the shared library that `weft_sim.rtl_model` compiled.
        memory: the DRAM, used in place; it must stay alive as long as this object.
        base: the address of its first byte.
        parameters: how the memory behaves.
    """

    def __init__(
        self, library: Path, memory: NDArray[np.uint8], base: int, parameters: MemoryParameters
    ) -> None:
        if not (memory.flags.c_contiguous and memory.dtype == np.uint8):
            raise ValueError("The memory must be a contiguous array of bytes.")
        self._lib = ctypes.CDLL(str(library))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        version = self._lib.weft_interface_version()
        if version != _INTERFACE_VERSION:
            raise RuntimeError(
                f"{library} has interface version {version}, not {_INTERFACE_VERSION}."
            )
        self._memory = memory
        pointer = memory.ctypes.data_as(POINTER(c_uint8))
        self._handle = self._lib.weft_create(
            pointer, base, memory.size, ctypes.byref(_to_c(parameters))
        )

    @property
    def beat_bytes(self) -> int:
        """Bytes per beat that the harness was compiled for."""
        return self._lib.weft_beat_bytes()

    @property
    def irq(self) -> bool:
        """The interrupt line."""
        return bool(self._lib.weft_irq(self._handle))

    @property
    def protocol_error(self) -> str:
        """The first breach of the AXI4 protocol as a sentence, or nothing."""
        return self._lib.weft_protocol_error(self._handle).decode()

    @property
    def statistics(self) -> BusStatistics:
        """The counts so far."""
        raw = _Statistics()
        self._lib.weft_statistics(self._handle, ctypes.byref(raw))
        return BusStatistics(**{name: getattr(raw, name) for name in _COUNTS})

    def reset(self, cycles: int = 2) -> None:
        """Hold the reset input for some cycles; transactions under way are forgotten."""
        self._lib.weft_reset(self._handle, cycles)

    def run(self, cycles: int, *, until_irq: bool) -> int:
        """Run at most `cycles` cycles; the number run. Ends early at a breach of the protocol."""
        return self._lib.weft_run(self._handle, cycles, int(until_irq))

    def read_register(self, address: int) -> tuple[int, int]:
        """AXI4-Lite read: response code (-1: no answer) and value."""
        value = c_uint32()
        response = self._lib.weft_read_register(self._handle, address, ctypes.byref(value))
        return response, value.value

    def write_register(self, address: int, value: int) -> int:
        """AXI4-Lite write: response code (-1: no answer)."""
        return self._lib.weft_write_register(self._handle, address, value)

    def configure_memory(self, parameters: MemoryParameters) -> None:
        """Change the behaviour of the memory from now on."""
        self._lib.weft_configure_memory(self._handle, ctypes.byref(_to_c(parameters)))

    def inject_error(
        self, first: int, end: int, *, decode_error: bool, reads: bool, writes: bool
    ) -> None:
        """Answer accesses to addresses from `first` to before `end` with an error, from now on."""
        self._lib.weft_inject_error(
            self._handle, first, end, 3 if decode_error else 2, int(reads), int(writes)
        )

    def clear_errors(self) -> None:
        """Answer everything inside the memory again."""
        self._lib.weft_clear_errors(self._handle)

    def open_trace(self, path: Path) -> bool:
        """Write FST waves from now on; False if the file cannot be written or tracing is absent."""
        try:
            path.touch()  # Verilator's writer would not say
        except OSError:
            return False
        return bool(self._lib.weft_open_trace(self._handle, str(path).encode()))

    def close_trace(self) -> None:
        """Finish the waves file."""
        self._lib.weft_close_trace(self._handle)

    def observe(self, strobes: int) -> bool:
        """Record the design's events from now on; False if it has no port for them."""
        return bool(self._lib.weft_observe(self._handle, strobes))

    def observations(self) -> NDArray[np.uint64]:
        """What was recorded, [n, 2]: the cycle, and the word of `weft_arch.observed` in it. There
        is a row when the word changes and when it holds a strobe."""
        pointer = POINTER(c_uint64)()
        count = self._lib.weft_observations(self._handle, ctypes.byref(pointer))
        if not count:
            return np.zeros((0, 2), np.uint64)
        return np.ctypeslib.as_array(pointer, (count, 2)).copy()

    def close(self) -> None:
        """Destroy the simulation; the object is not usable afterwards."""
        if self._handle:
            self._lib.weft_destroy(self._handle)
            self._handle = None


def _to_c(p: MemoryParameters) -> _Parameters:
    stall = min(round(p.stall * 256), 255)
    rate = 0 if p.bytes_per_cycle is None else max(round(p.bytes_per_cycle * 256), 1)
    return _Parameters(
        latency_cycles=p.latency_cycles,
        write_latency_cycles=p.write_latency_cycles,
        outstanding_reads=p.outstanding_reads,
        outstanding_writes=p.outstanding_writes,
        bytes_per_256_cycles=rate,
        seed=p.seed & (1 << 64) - 1,
        shared_bus=int(p.shared_bus),
        stall_ar=stall,
        stall_aw=stall,
        stall_w=stall,
        stall_r=stall,
        stall_b=stall,
    )
