# SPDX-License-Identifier: Apache-2.0
"""The RTL as a `Device`: Verilated, in this process, its DRAM shared with NumPy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from weft_arch import registers
from weft_arch.config import Configuration
from weft_arch.observed import STROBES
from weft_arch.registers import Control, EngineState, Interrupt, Status
from weft_sim.device import DEFAULT_CYCLE_LIMIT, DeviceError, DeviceFault, DeviceTimeout
from weft_sim.harness_library import BusStatistics, Harness
from weft_sim.memory_parameters import MemoryParameters
from weft_sim.rtl_model import compile_rtl
from weft_sim.toolchain import Progress, silent

__all__ = ["RtlDevice"]

_CHUNK_CYCLES = 250_000  # between two looks at the keyboard
_RESET_CYCLES = 1_000_000
_BOTH = int(Interrupt.DONE | Interrupt.FAULT)
_REGISTER_SPACE_BYTES = 4096  # what the 12 address bits of the port reach
_RESPONSES = {2: "SLVERR", 3: "DECERR"}


class RtlDevice:
    """The cycle-accurate device.

    Args:
        config: the configuration to simulate; the first use on a machine compiles it, which takes
            a minute or so.
        memory_bytes: size of the DRAM, a multiple of 4096.
        memory_base: address of its first byte, a multiple of 4096.
        memory: timing of the DRAM; by default what the configuration says of its board.
        trace: path of an FST file for waves, or None. Waves need a model of their own and slow the
            simulation down; `trace_from_cycle` leaves out the beginning.
        observed: whether `observe` is to work, which needs a model of its own.
        progress: called with stage names and fractions while the model is compiled.
        library: a compiled model to use instead of the configuration's, for tests.

    Members, beside those of `Device`:
        memory: all of the DRAM as bytes, without a copy, to read from and write to.
        cycles: simulated cycles since the device was created.
        statistics: bytes and beats counted by the harness, to check the hardware's counters.
    """

    name = "rtl"

    def __init__(
        self,
        config: Configuration,
        *,
        memory_bytes: int = 64 << 20,
        memory_base: int = 0,
        memory: MemoryParameters | None = None,
        trace: str | Path | None = None,
        trace_from_cycle: int = 0,
        observed: bool = False,
        progress: Progress = silent,
        library: Path | None = None,
    ) -> None:
        if memory_bytes <= 0 or memory_bytes % 4096 or memory_base % 4096:
            raise ValueError(
                f"A memory of {memory_bytes} bytes at {memory_base:#x} is not made of whole pages "
                "of 4096 bytes."
            )
        if memory_base + memory_bytes > 1 << 32:
            raise ValueError("The memory does not lie within the 32-bit address space.")
        self.config = config
        self.memory_base = memory_base
        self.memory_bytes = memory_bytes
        self.memory: NDArray[np.uint8] = np.zeros(memory_bytes, np.uint8)
        if library is None:
            library = compile_rtl(
                config, trace=trace is not None, observed=observed, progress=progress
            )
        parameters = memory or MemoryParameters(
            latency_cycles=config.memory_latency_cycles,
            bytes_per_cycle=config.memory_bytes_per_cycle,
        )
        self._harness: Harness | None = Harness(library, self.memory, memory_base, parameters)
        self._parameters = parameters
        self._trace_path = None if trace is None else Path(trace).absolute()
        self._trace_from_cycle = trace_from_cycle
        self._start_trace_if_due()
        self.write_register(registers.offset("INTERRUPT_ENABLE"), _BOTH)

    @property
    def cycles(self) -> int:
        """Simulated cycles since the device was created, register accesses included."""
        return self.statistics.cycles

    @property
    def statistics(self) -> BusStatistics:
        """What the harness counted on the AXI4 port."""
        return self._live.statistics

    def read_memory(self, address: int, size: int) -> NDArray[np.uint8]:
        """A copy of `size` bytes from `address`."""
        return self._span(address, size).copy()

    def write_memory(self, address: int, data: NDArray[np.uint8] | bytes) -> None:
        """Write bytes at `address`."""
        values = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
        self._span(address, values.size)[:] = values.reshape(-1).view(np.uint8)

    def read_register(self, offset: int) -> int:
        """Read a register over AXI4-Lite, in simulated cycles."""
        _check_offset(offset)
        response, value = self._live.read_register(offset)
        self._check(response, f"reading register {offset:#05x}")
        return value

    def write_register(self, offset: int, value: int) -> None:
        """Write a register over AXI4-Lite, in simulated cycles."""
        _check_offset(offset)
        response = self._live.write_register(offset, value & 0xFFFF_FFFF)
        self._check(response, f"writing register {offset:#05x}")

    def start(self) -> None:
        """Start the program that the registers point at."""
        self.write_register(registers.offset("CONTROL"), Control.START)

    def wait(self, cycle_limit: int | None = None) -> int:
        """Simulate until the program has ended; the cycles this took.

        Raises:
            DeviceFault: the device stopped the program.
            DeviceTimeout: it had not ended after `cycle_limit` cycles (by default
                `DEFAULT_CYCLE_LIMIT`); says which engine waits for which token.
            DeviceError: the design broke the AXI4 protocol.
        """
        limit = DEFAULT_CYCLE_LIMIT if cycle_limit is None else cycle_limit
        status = registers.offset("STATUS")
        began = self.cycles
        if Status(self.read_register(status)) & Status.RUNNING:
            self._run_until_interrupt(began, limit)
            self.write_register(registers.offset("INTERRUPT_PENDING"), _BOTH)
        if Status(self.read_register(status)) & Status.FAULT:
            raise DeviceFault(
                self.read_register(registers.offset("FAULT_CAUSE")),
                self.read_register(registers.offset("FAULT_ADDRESS")),
            )
        return self.cycles - began

    def reset(self) -> None:
        """Write CONTROL.RESET and wait until the device has finished what was outstanding."""
        self.write_register(registers.offset("CONTROL"), Control.RESET)
        status = registers.offset("STATUS")
        deadline = self.cycles + _RESET_CYCLES
        while Status(self.read_register(status)) & Status.RESETTING:
            if self.cycles > deadline:
                raise DeviceTimeout(
                    f"The device did not finish its reset within {_RESET_CYCLES} cycles; "
                    f"{self._engines()}."
                )
            self._live.run(64, until_irq=False)

    def power_cycle(self) -> None:
        """Assert the reset input: every register returns to its initial value; memory stays."""
        self._live.reset()
        self.write_register(registers.offset("INTERRUPT_ENABLE"), _BOTH)

    def observe(self) -> None:
        """Record the events of `weft_arch.observed` from now on, and forget earlier ones."""
        if not self._live.observe(STROBES):
            raise DeviceError("The device was not made with `observed`.")

    def observations(self) -> NDArray[np.uint64]:
        """What was recorded, [n, 2]: cycles, and words of `weft_arch.observed`; there is a row when
        the word changes, and for each of its strobes."""
        return self._live.observations()

    def configure_memory(self, **changes: Any) -> None:
        """Change fields of the `MemoryParameters` from now on."""
        self._parameters = dataclasses.replace(self._parameters, **changes)
        self._live.configure_memory(self._parameters)

    def inject_error(
        self,
        first: int,
        end: int,
        *,
        decode_error: bool = False,
        reads: bool = True,
        writes: bool = True,
    ) -> None:
        """Answer accesses from `first` to before `end` with SLVERR (or DECERR) from now on."""
        self._live.inject_error(first, end, decode_error=decode_error, reads=reads, writes=writes)

    def clear_errors(self) -> None:
        """Take back `inject_error`."""
        self._live.clear_errors()

    def close(self) -> None:
        """End the simulation and finish the waves file; the memory stays readable."""
        if self._harness is not None:
            self._harness.close()
            self._harness = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_harness", None) is not None:
            self.close()

    @property
    def _live(self) -> Harness:
        if self._harness is None:
            raise DeviceError("The device was closed.")
        return self._harness

    def _span(self, address: int, size: int) -> NDArray[np.uint8]:
        start = address - self.memory_base
        if start < 0 or size < 0 or start + size > self.memory.size:
            raise ValueError(
                f"Bytes {address:#x} to {address + size:#x} are outside the memory "
                f"({self.memory_base:#x} to {self.memory_base + self.memory.size:#x})."
            )
        return self.memory[start : start + size]

    def _start_trace_if_due(self) -> None:
        if self._trace_path is None or self.cycles < self._trace_from_cycle:
            return
        if not self._live.open_trace(self._trace_path):
            raise DeviceError(f"The waves file {self._trace_path} cannot be written.")
        self._trace_path = None

    def _check(self, response: int, action: str) -> None:
        self._check_protocol()
        if response < 0:
            raise DeviceError(f"The design did not answer when {action}.")
        if response:
            name = _RESPONSES.get(response, str(response))
            raise DeviceError(f"The design answered {name} when {action}.")

    def _check_protocol(self) -> None:
        if error := self._live.protocol_error:
            raise DeviceError(error)

    def _run_until_interrupt(self, began: int, limit: int) -> None:
        harness = self._live
        while not harness.irq:
            left = began + limit - self.cycles
            if left <= 0:
                raise DeviceTimeout(self._describe_hang(limit))
            if self._trace_path is not None:
                self._start_trace_if_due()
                left = min(left, max(self._trace_from_cycle - self.cycles, 1))
            harness.run(min(_CHUNK_CYCLES, left), until_irq=True)
            self._check_protocol()

    def _describe_hang(self, limit: int) -> str:
        counter = self.read_register(registers.offset("PROGRAM_COUNTER"))
        return (
            f"The program did not end within {limit} cycles; the sequencer is at instruction "
            f"{counter}, {self._engines()}."
        )

    def _engines(self) -> str:
        """What each engine does, in words."""
        states = []
        for name, register in registers.REGISTERS.items():
            if not name.startswith("ENGINE_"):
                continue
            value = self.read_register(register.offset)
            state = value & 3
            text = f"{name.removeprefix('ENGINE_').lower()} "
            if state == EngineState.WAITING_TOKEN:
                text += f"waits for token {value >> 8 & 31}"
            else:
                text += "is busy" if state == EngineState.BUSY else "is idle"
            if queued := value >> 16 & 255:
                text += f" ({queued} queued)"
            states.append(text)
        return ", ".join(states)


def _check_offset(offset: int) -> None:
    if not 0 <= offset < _REGISTER_SPACE_BYTES or offset % 4:
        raise ValueError(f"There is no register at {offset:#x}.")
