# SPDX-License-Identifier: Apache-2.0
"""The reference as a `Device`: the same registers and memory as the RTL, no clock."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from weft_arch import registers
from weft_arch.config import Configuration
from weft_arch.device import DeviceFault, DeviceTimeout
from weft_arch.isa import INSTRUCTION_BYTES, N_SCALARS
from weft_arch.registers import Control, Fault, Interrupt, Status
from weft_sim.reference.machine import Machine, TokenDeadlock
from weft_sim.reference.state import MachineState, Memory, ProgramFault

__all__ = ["ReferenceDevice"]

_MASK = 0xFFFF_FFFF
_PLAIN = frozenset(
    registers.offset(name)
    for name in (
        "PROGRAM_BASE",
        "PROGRAM_LENGTH",
        "REGION_BASE",
        "REGION_LIMIT",
        "WRITE_BASE",
        "WRITE_LIMIT",
        "INTERRUPT_ENABLE",
    )
)
_SCALARS = {registers.scalar_offset(i): i for i in range(N_SCALARS)}


class ReferenceDevice:
    """A weft machine in NumPy.

    Cycle counters read 0; BYTES_READ, BYTES_WRITTEN and MAC_CYCLES count as the RTL's do (bytes of
    the instruction fetch left out). ``memory``, all of the DRAM without a copy, is read-only: write
    through `write_memory`, so that decoded weights are never stale.
    """

    name = "reference"

    def __init__(
        self,
        config: Configuration,
        *,
        memory_bytes: int = 64 << 20,
        memory_base: int = 0,
        progress: Callable[[str, float], None] | None = None,
    ) -> None:
        del progress  # nothing to build
        self.config = config
        self.memory_base = memory_base
        self.memory_bytes = memory_bytes
        self._data = np.zeros(memory_bytes, np.uint8)
        self.memory: NDArray[np.uint8] = self._data.view()
        self.memory.flags.writeable = False
        self._registers = dict.fromkeys(_PLAIN, 0)
        self._machine = self._new_machine()
        self._programs: dict[bytes, list] = {}
        self._status = Status(0)
        self._pending = Interrupt(0)
        self._fault = (Fault.NONE, 0)
        self._hung: str | None = None

    def _new_machine(self) -> Machine:
        memory = Memory(self._data, self.memory_base, self.config.beat_bytes)
        return Machine(MachineState(self.config, memory))

    def read_memory(self, address: int, size: int) -> NDArray[np.uint8]:
        """A copy of ``size`` bytes."""
        start = address - self.memory_base
        if start < 0 or start + size > self._data.size:
            raise ValueError(f"bytes {address:#x} to {address + size:#x} are outside the memory")
        return self._data[start : start + size].copy()

    def write_memory(self, address: int, raw: NDArray[np.uint8] | bytes) -> None:
        """Write bytes."""
        values = np.frombuffer(raw, np.uint8) if isinstance(raw, bytes) else raw
        start = address - self.memory_base
        if start < 0 or start + values.size > self._data.size:
            raise ValueError(
                f"bytes {address:#x} to {address + values.size:#x} are outside the memory"
            )
        self._data[start : start + values.size] = values
        self._machine.weights.forget(address, address + values.size)

    def read_register(self, offset: int) -> int:
        """The value of a register."""
        name = next((r.name for r in registers.REGISTERS.values() if r.offset == offset), None)
        if name is None:
            raise ValueError(f"there is no register at {offset:#x}")
        if offset in self._registers:
            return self._registers[offset]
        if offset in _SCALARS:
            return self._machine.state.scalars[_SCALARS[offset]]
        return self._special(name)

    def _special(self, name: str) -> int:
        config, memory = self.config, self._machine.state.memory
        wide = {
            "FINGERPRINT": config.fingerprint,
            "BYTES_READ": memory.bytes_read,
            "BYTES_WRITTEN": memory.bytes_written,
            "MAC_CYCLES": self._machine.mac_cycles,
        }
        base, _, half = name.rpartition("_")
        if half in ("LOW", "HIGH"):
            return wide.get(base, 0) >> (32 if half == "HIGH" else 0) & _MASK
        return {
            "ID": registers.ID_VALUE,
            "VERSION": registers.VERSION_VALUE,
            "GEOMETRY": config.array_cols | config.beat_bytes << 8 | config.activation_bits << 16,
            "STATUS": int(self._status),
            "INTERRUPT_PENDING": int(self._pending),
            "FAULT_CAUSE": int(self._fault[0]),
            "FAULT_ADDRESS": self._fault[1],
            "PROGRAM_COUNTER": self._machine.program_counter,
        }.get(name, 0)

    def write_register(self, offset: int, value: int) -> None:
        """Write a register; CONTROL acts at once."""
        if offset == registers.offset("CONTROL"):
            if value & Control.RESET:
                self.reset()
            if value & Control.CLEAR_COUNTERS:
                self._clear_counters()
            if value & Control.START:
                self._run()
        elif offset == registers.offset("INTERRUPT_PENDING"):
            self._pending &= ~Interrupt(value)
        elif offset in _SCALARS:
            if _SCALARS[offset]:
                self._machine.state.scalars[_SCALARS[offset]] = value & _MASK
        elif offset in self._registers:
            self._registers[offset] = value & _MASK

    def _clear_counters(self) -> None:
        memory = self._machine.state.memory
        memory.bytes_read = memory.bytes_written = self._machine.mac_cycles = 0

    def start(self) -> None:
        """Write CONTROL.START: the program runs to its end."""
        self.write_register(registers.offset("CONTROL"), Control.START)

    def wait(self, cycle_limit: int | None = None) -> int:
        """Raise what stopped the program, if anything; returns 0 cycles, there is no clock."""
        del cycle_limit
        if self._hung is not None:
            raise DeviceTimeout(self._hung)
        if self._status & Status.FAULT:
            raise DeviceFault(*self._fault)
        return 0

    def reset(self) -> None:
        """Write CONTROL.RESET."""
        weights, memory = self._machine.weights, self._machine.state.memory
        mac_cycles = self._machine.mac_cycles
        self._machine = Machine(MachineState(self.config, memory))
        self._machine.weights, self._machine.mac_cycles = weights, mac_cycles
        self._status, self._fault, self._hung = Status(0), (Fault.NONE, 0), None

    def close(self) -> None:
        """Nothing to release."""

    def __enter__(self) -> "ReferenceDevice":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _run(self) -> None:
        if self._status & (Status.FAULT | Status.RUNNING):
            return  # only a reset helps
        get = self._registers.get
        memory = self._machine.state.memory
        reg = registers.offset
        memory.region = (get(reg("REGION_BASE"), 0), get(reg("REGION_LIMIT"), 0))
        memory.write_region = (get(reg("WRITE_BASE"), 0), get(reg("WRITE_LIMIT"), 0))
        self._status, self._fault, self._hung = Status(0), (Fault.NONE, 0), None
        try:
            length = get(reg("PROGRAM_LENGTH"), 0)
            if length > self.config.instruction_words:
                raise ProgramFault(Fault.ILLEGAL_INSTRUCTION, self.config.instruction_words)
            size = length * INSTRUCTION_BYTES
            raw = memory.read(get(reg("PROGRAM_BASE"), 0), size).tobytes()
            memory.bytes_read -= size
            if raw not in self._programs:
                self._programs[raw] = Machine.decode_program(raw)
            self._machine.run(self._programs[raw])
            self._status, self._pending = Status.DONE, self._pending | Interrupt.DONE
        except ProgramFault as fault:
            self._fault = (fault.cause, fault.address)
            self._status, self._pending = Status.FAULT, self._pending | Interrupt.FAULT
        except TokenDeadlock as deadlock:
            self._status, self._hung = Status.RUNNING, str(deadlock)
