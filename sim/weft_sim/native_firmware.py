# SPDX-License-Identifier: Apache-2.0
"""The board's CPU in this process: the firmware's own code, compiled for this computer.

What the gateware has around the CPU - the SoC's registers, the watchdog, the reset - is modelled
here; the accelerator and its DRAM are those of a simulated device.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from weft_arch import registers
from weft_arch.device import Device, DeviceError
from weft_arch.registers import Access, Status
from weft_arch.soc import (
    SOC_ID_VALUE,
    SOC_REGISTERS,
    SOC_VERSION_VALUE,
    WATCHDOG_EXPIRED,
    BootStage,
    CpuControl,
    SocInterrupt,
    soc_offset,
)
from weft_rtl.soc.firmware import FirmwareError, build_native, firmware_folder
from weft_sim.model_cache import ArtifactCache, digest_of

__all__ = ["NativeFirmware", "native_library"]

_READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
_WRITE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)
_STEPS = 16
"""Steps of the firmware between two looks at the accelerator."""
_STEP_CYCLES = 1_000
"""Cycles that the clock of CYCLES_LOW goes on meanwhile."""
_SLICE_CYCLES = 20_000
_BUS_ERROR = 0x8B
"""The detail of BOOT_STATUS after a load or store that a bus refused."""
_NAMES = {r.offset: r.name for r in SOC_REGISTERS.values()}


class _Hal(ctypes.Structure):
    """struct hal of firmware/hal_native.h."""

    _fields_ = (
        ("accelerator_read", _READ),
        ("accelerator_write", _WRITE),
        ("soc_read", _READ),
        ("soc_write", _WRITE),
        ("dram_write", _WRITE),
        ("memory", ctypes.c_void_p),
        ("memory_base", ctypes.c_uint32),
        ("memory_bytes", ctypes.c_uint32),
    )


class _SimulatedDevice(Device, Protocol):
    """A device whose DRAM lies in this process."""

    memory: NDArray[np.uint8]


def native_library() -> Path:
    """The compiled library, from the cache or built now; a `DeviceError` if it cannot be."""
    folder = firmware_folder()
    sources = [p for p in sorted(folder.iterdir()) if p.suffix in (".c", ".h")]
    parts = [part for p in sources for part in (p.name, p.read_bytes())]

    def build(work: Path) -> None:
        try:
            build_native(work / "firmware.so")
        except FirmwareError as error:
            raise DeviceError(str(error)) from error

    name = f"firmware-{digest_of(*parts)}"
    return ArtifactCache().get_or_build(name, build) / "firmware.so"


class NativeFirmware:
    """A CPU that runs the firmware on a simulated device.

    `read_register` and `write_register` are the host's side of the SoC's registers, with offsets of
    `weft_arch.soc`. Nothing runs but in `step`. The CPU starts with the first one.

    Args:
        device: the accelerator with its DRAM; the caller closes it.

    Members:
        busy: there is work that `step` would go on with.
        notify: NOTIFY is set.
        accelerator_to_cpu: the accelerator's interrupt is not the link's.
    """

    def __init__(self, device: _SimulatedDevice) -> None:
        self._device = device
        self._library: Any = ctypes.CDLL(str(native_library()))
        self._library.native_firmware_bytes.restype = ctypes.c_size_t
        for function in ("native_start", "native_steps", "native_sample"):
            getattr(self._library, function).restype = ctypes.c_int64
        self._firmware = ctypes.create_string_buffer(self._library.native_firmware_bytes())
        self._registers = dict.fromkeys(_NAMES, 0)
        self._running = self._trapped = False
        self._cycles = 0
        self._error: Exception | None = None
        self._hal = _Hal(
            accelerator_read=_READ(self._guarded(device.read_register)),
            accelerator_write=_WRITE(self._guarded(device.write_register)),
            soc_read=_READ(self._guarded(self._cpu_reads)),
            soc_write=_WRITE(self._guarded(self._set)),
            dram_write=_WRITE(self._guarded(self._write_word)),
            memory=device.memory.ctypes.data,
            memory_base=device.memory_base,
            memory_bytes=device.memory.size,
        )

    @property
    def busy(self) -> bool:
        """There is work that `step` would go on with."""
        if self._held or self._trapped:
            return False
        stage = self._get("BOOT_STATUS") & 0xFF
        return not self._running or bool(self._get("DOORBELL")) or stage == BootStage.WORKING

    @property
    def notify(self) -> bool:
        """NOTIFY is set."""
        return bool(self._get("NOTIFY"))

    @property
    def accelerator_to_cpu(self) -> bool:
        """The accelerator's interrupt is not the link's."""
        return bool(self._get("CPU_CONTROL") & CpuControl.ACCELERATOR_TO_CPU)

    def read_register(self, offset: int) -> int:
        """A register, as the host reads it; ValueError if there is none."""
        if offset not in _NAMES:
            raise ValueError(f"there is no SoC register at {offset:#x}")
        return self._cpu_reads(offset)

    def write_register(self, offset: int, value: int) -> None:
        """Write a register, as the host does; ValueError if there is none."""
        if offset not in _NAMES:
            raise ValueError(f"there is no SoC register at {offset:#x}")
        self._set(offset, value)
        if self._held:
            self._running = self._trapped = False

    def step(self, count: int = _STEPS) -> None:
        """Let the CPU go so many steps of its loop, and then the accelerator for a while."""
        if self._held or self._trapped:
            return
        if not self._running:
            self._running = True
            self._call("native_start")
        else:
            self._call("native_steps", count)
        self._cycles += _STEP_CYCLES
        self._run_accelerator()

    def expire_watchdog(self) -> bool:
        """Let the watchdog expire, if it is on: the CPU is reset. Whether it was on."""
        if not self._get("WATCHDOG"):
            return False
        self.restart()
        self._registers[soc_offset("BOOT_STATUS")] |= WATCHDOG_EXPIRED
        self._registers[soc_offset("WATCHDOG")] = 0
        return True

    def restart(self) -> None:
        """Reset the CPU."""
        self._running = self._trapped = False

    def sample(
        self,
        address: int,
        count: int,
        *,
        of_list: bool,
        seed: int,
        inverse_temperature: int,
        top_p: int,
        top_k: int,
        step: int,
    ) -> int:
        """What the firmware chooses among logits in the DRAM; -1 if it refuses."""
        token: int = self._library.native_sample(
            ctypes.byref(self._hal),
            ctypes.c_bool(of_list),
            ctypes.c_uint32(address),
            ctypes.c_uint32(count),
            ctypes.c_uint64(seed),
            *map(ctypes.c_uint32, (inverse_temperature, top_p, top_k, step)),
        )
        return token

    @property
    def _held(self) -> bool:
        return bool(self._get("CPU_CONTROL") & CpuControl.HOLD)

    def _get(self, name: str) -> int:
        return self._registers[soc_offset(name)]

    def _cpu_reads(self, offset: int) -> int:
        match _NAMES[offset]:
            case "SOC_ID":
                return SOC_ID_VALUE
            case "SOC_VERSION":
                return SOC_VERSION_VALUE
            case "CYCLES_LOW":
                self._cycles += 1
                self._registers[soc_offset("CYCLES_HIGH")] = self._cycles >> 32
                return self._cycles & 0xFFFF_FFFF
            case "INTERRUPTS":
                return SocInterrupt.DOORBELL if self._get("DOORBELL") else 0
            case _:
                return self._registers[offset]

    def _set(self, offset: int, value: int) -> None:
        register = SOC_REGISTERS[_NAMES[offset]]
        if register.access is Access.READ_WRITE:
            flag = register.name in ("DOORBELL", "NOTIFY")
            self._registers[offset] = int(value != 0) if flag else value

    def _write_word(self, address: int, value: int) -> None:
        self._device.write_memory(address, value.to_bytes(4, "little"))

    def _call(self, function: str, *more: int) -> None:
        arguments = [ctypes.byref(self._hal), self._firmware, *map(ctypes.c_uint32, more)]
        trapped_at = getattr(self._library, function)(*arguments)
        if trapped_at >= 0:
            self._trapped = True
            kept = self._get("BOOT_STATUS") & 0xFFFF_0000
            self._set(soc_offset("BOOT_STATUS"), kept | _BUS_ERROR << 8 | BootStage.TRAP)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run_accelerator(self) -> None:
        if not self._device.read_register(registers.offset("STATUS")) & Status.RUNNING:
            return
        self._cycles += _SLICE_CYCLES
        try:
            self._device.wait(_SLICE_CYCLES)
        except DeviceError:
            return  # the registers say which

    def _guarded(self, function: Any) -> Any:
        """A callback that keeps its first exception for `_call`: C cannot pass it on."""

        def call(*arguments: int) -> int:
            try:
                return int(function(*arguments) or 0)
            except Exception as error:
                self._error = self._error or error
                return 0

        return call
