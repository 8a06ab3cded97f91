# SPDX-License-Identifier: Apache-2.0
"""The simulated device, with a copy engine in the place of the accelerator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft_arch import registers
from weft_arch.config import preset
from weft_arch.registers import Fault
from weft_sim.device import Device, DeviceError, DeviceFault, DeviceTimeout
from weft_sim.memory_parameters import MemoryParameters
from weft_sim.rtl_device import RtlDevice

SOURCE, TARGET = 0x8000_1040, 0x8004_0F80  # neither starts a page
BASE = 0x8000_0000
FAST = MemoryParameters(latency_cycles=1, write_latency_cycles=1)
Library = Callable[..., Path]
OpenDevice = Callable[..., RtlDevice]


@pytest.fixture
def open_device(copy_engine_library: Library) -> Iterator[OpenDevice]:
    devices: list[RtlDevice] = []

    def open_one(beat_bytes: int = 8, bug: str = "", **options: Any) -> RtlDevice:
        library = copy_engine_library(beat_bytes, bug, trace="trace" in options)
        options = {"memory_bytes": 1 << 20, "memory_base": BASE, "memory": FAST} | options
        devices.append(RtlDevice(preset("tiny"), library=library, **options))
        return devices[-1]

    yield open_one
    for device in devices:
        device.close()


def set_up(device: RtlDevice, beats: int, beat_bytes: int = 8, mode: int = 0) -> np.ndarray:
    """Fill the source with noise and describe a copy; the noise."""
    noise = np.random.default_rng(beats).integers(0, 256, beats * beat_bytes, dtype=np.uint8)
    device.write_memory(SOURCE, noise)
    for index, value in ((1, SOURCE), (2, TARGET), (3, beats), (4, mode)):
        device.write_register(registers.scalar_offset(index), value)
    return noise


def copy(device: RtlDevice, beats: int, beat_bytes: int = 8) -> int:
    """Copy noise and check that it arrived and nothing beside it; the cycles this took."""
    noise = set_up(device, beats, beat_bytes)
    device.start()
    cycles = device.wait(1_000_000)
    size = beats * beat_bytes
    assert (device.read_memory(TARGET, size) == noise).all()
    assert not device.read_memory(TARGET - 64, 64).any()
    assert not device.read_memory(TARGET + size, 64).any()
    return cycles


def test_it_is_a_device(open_device: OpenDevice) -> None:
    device = open_device()
    assert isinstance(device, Device)
    assert device.read_register(registers.offset("ID")) == registers.ID_VALUE


@pytest.mark.parametrize("beat_bytes", [4, 8, 16])
def test_copies_arrive(open_device: OpenDevice, beat_bytes: int) -> None:
    device = open_device(beat_bytes)
    before = device.statistics
    copy(device, 1000, beat_bytes)
    after = device.statistics
    assert after.read_bytes - before.read_bytes == 1000 * beat_bytes
    assert after.write_bytes - before.write_bytes == 1000 * beat_bytes
    assert after.write_beats - before.write_beats == 1000


def test_memory_is_shared_without_a_copy(open_device: OpenDevice) -> None:
    device = open_device()
    copy(device, 16)
    assert device.memory[TARGET - BASE] == device.memory[SOURCE - BASE]
    device.memory[SOURCE - BASE] ^= 0xFF
    device.start()
    device.wait(10_000)
    assert device.memory[TARGET - BASE] == device.memory[SOURCE - BASE]


@pytest.mark.parametrize("seed", range(4))
def test_stalls_change_cycles_and_nothing_else(open_device: OpenDevice, seed: int) -> None:
    quiet = copy(open_device(), 500)
    device = open_device(memory=FAST.stalling(seed, 0.4))
    first = copy(device, 500)
    assert first > 1.3 * quiet
    other = open_device(memory=FAST.stalling(seed, 0.4))
    assert copy(other, 500) == first, "the same seed gives the same cycles"
    changed = open_device(memory=FAST.stalling(seed + 100, 0.4))
    assert copy(changed, 500) != first


def test_latency_and_bandwidth(open_device: OpenDevice) -> None:
    """A burst of 16 beats costs what the parameters say, no cycle more."""

    def cycles_per_burst(**parameters: Any) -> float:
        device = open_device(memory=MemoryParameters(**parameters))
        set_up(device, 16 * 64, mode=1)
        device.start()
        few = device.wait(1_000_000)
        device.write_register(registers.scalar_offset(3), 16 * 128)
        device.start()
        return (device.wait(1_000_000) - few) / 64

    base = cycles_per_burst(latency_cycles=1)
    assert cycles_per_burst(latency_cycles=31) == base + 30
    assert cycles_per_burst(latency_cycles=1, bytes_per_cycle=4) == pytest.approx(base + 15, abs=1)
    assert cycles_per_burst(latency_cycles=1, bytes_per_cycle=8) == base
    assert cycles_per_burst(latency_cycles=1, bytes_per_cycle=5.5) == pytest.approx(
        base + 16 * (8 / 5.5 - 1), abs=1.5
    )


def test_outstanding_bursts_stream_back_to_back(open_device: OpenDevice) -> None:
    def cycles(beats: int, **parameters: Any) -> int:
        device = open_device(memory=MemoryParameters(**parameters))
        set_up(device, beats, mode=3)
        device.write_register(registers.scalar_offset(1), BASE)
        device.start()
        return device.wait(1_000_000)

    few, many = 16 * 4, 16 * 100
    for latency in (1, 50):
        assert cycles(many, latency_cycles=latency) - cycles(few, latency_cycles=latency) == (
            many - few
        ), "a beat per cycle, whatever the latency"
    slow = {"latency_cycles": 50, "bytes_per_cycle": 5}
    extra = cycles(many, **slow) - cycles(few, **slow)
    assert extra == pytest.approx((many - few) * 8 / 5, abs=2)
    single = {"latency_cycles": 50, "outstanding_reads": 1}
    extra = cycles(many, **single) - cycles(few, **single)
    assert extra / (100 - 4) >= 50 + 15, "one burst at a time pays the latency each time"


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("rate", [None, 1, 5.5, 12])
def test_a_shared_bus_serves_reads_and_writes(
    open_device: OpenDevice, rate: float | None, stall: float
) -> None:
    parameters = MemoryParameters(shared_bus=True, bytes_per_cycle=rate, stall=stall)
    cycles = copy(open_device(memory=parameters), 200)
    if rate is not None:
        assert cycles >= 2 * 200 * 8 / rate


def test_an_interrupt_ends_the_wait_and_the_next_run_works(open_device: OpenDevice) -> None:
    device = open_device()
    copy(device, 10)
    assert device.read_register(registers.offset("INTERRUPT_PENDING")) == 0
    assert device.wait(10) < 10, "nothing runs: the answer is there at once"
    copy(device, 20)


@pytest.mark.parametrize("decode_error", [False, True])
@pytest.mark.parametrize(
    ("where", "cause"), [(SOURCE, Fault.READ_ERROR), (TARGET, Fault.WRITE_ERROR)]
)
def test_injected_errors_become_faults(
    open_device: OpenDevice, where: int, cause: Fault, decode_error: bool
) -> None:
    device = open_device()
    set_up(device, 64)
    device.inject_error(where + 256, where + 264, decode_error=decode_error)
    device.start()
    with pytest.raises(DeviceFault, match=cause.name.lower().replace("_", " ")) as error:
        device.wait(100_000)
    assert error.value.cause == cause
    assert where <= error.value.address <= where + 256
    assert not device.read_memory(TARGET + 256, 8).any(), "an erroneous write changes nothing"
    device.reset()
    device.power_cycle()
    device.clear_errors()
    copy(device, 64)


def test_addresses_outside_the_memory_answer_decerr(open_device: OpenDevice) -> None:
    device = open_device()
    set_up(device, 16)
    device.write_register(registers.scalar_offset(1), BASE - 4096)
    device.start()
    with pytest.raises(DeviceFault) as error:
        device.wait(100_000)
    assert (error.value.cause, error.value.address) == (Fault.READ_ERROR, BASE - 4096)
    device.power_cycle()
    set_up(device, 16)
    device.write_register(registers.scalar_offset(2), BASE + (1 << 20))
    device.start()
    with pytest.raises(DeviceFault) as error:
        device.wait(100_000)
    assert (error.value.cause, error.value.address) == (Fault.WRITE_ERROR, BASE + (1 << 20))


def test_a_hang_says_who_waits_for_what(open_device: OpenDevice) -> None:
    device = open_device()
    set_up(device, 16, mode=2)
    device.start()
    with pytest.raises(
        DeviceTimeout,
        match=r"did not end within 1000 cycles; the sequencer is at instruction 7, .*"
        r"compute waits for token 5, vector is idle",
    ):
        device.wait(1000)


@pytest.mark.parametrize(
    ("bug", "sentence"),
    [
        ("page", "burst of 16 beats at 0x.* crosses a 4 KiB boundary"),
        ("valid", "read address valid was taken back before ready"),
        ("last", r"WLAST is [01] with \d+ beats of the burst at 0x.* to go"),
    ],
)
def test_breaches_of_the_protocol_are_told(
    open_device: OpenDevice, bug: str, sentence: str
) -> None:
    device = open_device(bug=bug, memory=FAST.stalling(3, 0.5))
    set_up(device, 1000)
    device.start()
    with pytest.raises(DeviceError, match=f"broke the AXI4 protocol in cycle [0-9]+: .*{sentence}"):
        device.wait(100_000)


def test_registers_that_do_not_exist(open_device: OpenDevice) -> None:
    device = open_device()
    with pytest.raises(DeviceError, match="answered DECERR when reading register 0x3fc"):
        device.read_register(0x3FC)
    with pytest.raises(DeviceError, match="answered DECERR when writing register 0x3fc"):
        device.write_register(0x3FC, 1)
    with pytest.raises(ValueError, match="no register at 0x1000"):
        device.read_register(0x1000)
    with pytest.raises(ValueError, match="no register at 0x22"):
        device.write_register(0x22, 1)


def test_waves(open_device: OpenDevice, tmp_path: Path) -> None:
    path = tmp_path / "waves.fst"
    device = open_device(trace=path, trace_from_cycle=100)
    copy(device, 100)
    device.close()
    assert path.read_bytes()[0] == 0, "an FST file begins with its header block"
    assert path.stat().st_size > 1000
    with pytest.raises(DeviceError, match=r"waves file .*missing/waves\.fst cannot be written"):
        open_device(trace=tmp_path / "missing" / "waves.fst")


def test_two_devices_live_side_by_side(open_device: OpenDevice) -> None:
    wide, narrow = open_device(16), open_device(4)
    for _ in range(2):
        copy(wide, 100, 16)
        copy(narrow, 100, 4)
    wide.close()
    copy(narrow, 120, 4)
    with pytest.raises(DeviceError, match="was closed"):
        wide.read_register(0)
    assert wide.read_memory(TARGET, 16).any(), "memory outlives the device"


def test_bad_addresses_and_sizes(open_device: OpenDevice) -> None:
    device = open_device()
    with pytest.raises(ValueError, match="outside the memory"):
        device.read_memory(BASE - 1, 4)
    with pytest.raises(ValueError, match="outside the memory"):
        device.write_memory(BASE + (1 << 20) - 2, b"1234")
    with pytest.raises(ValueError, match="whole pages of 4096 bytes"):
        open_device(memory_bytes=1000)
    with pytest.raises(ValueError, match="32-bit address space"):
        open_device(memory_base=0xFFFF_F000)
    fields: list[tuple[str, Any]] = [("latency_cycles", 0), ("stall", 1.0), ("bytes_per_cycle", 0)]
    for field, value in fields:
        with pytest.raises(ValueError, match=f"{field} is {value}"):
            MemoryParameters(**{field: value})
