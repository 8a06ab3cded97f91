# SPDX-License-Identifier: Apache-2.0
"""The host's side of the rings: puts jobs, hands out tokens, reads answers."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from weft.compiler import CompiledModel
from weft.errors import WeftError
from weft.jobs.area import JobArea, describe
from weft.link.board_cpu import BoardCpu
from weft_arch.device import Device, DeviceError
from weft_arch.jobs import (
    ANSWER_OFFSET,
    DEFAULT_RUN_CYCLES,
    FIRMWARE_OFFSET,
    JOBS_VERSION,
    MOST_STOPS,
    RECORD_BYTES,
    Job,
    JobAnswer,
    Record,
    RecordKind,
    Rings,
    RingsState,
)
from weft_arch.soc import BOOT_JOBS_SHIFT, BootStage

__all__ = ["BoardDevice", "JobClient"]

_MASK = 0xFFFF_FFFF
_BOOT_CYCLES = 1 << 26
_FIRST_BOOT_CYCLES = 1 << 10
_SLACK_CYCLES = 1 << 28
"""What the firmware may take beside a run before it counts as dead: choosing among many logits."""


class BoardDevice(Device, Protocol):
    """A device with a CPU beside the accelerator.

    Members:
        cpu: the CPU, held; None if there is none.
        wait_cycles: cycles that it may be let wait at a time.
    """

    cpu: BoardCpu | None

    @property
    def wait_cycles(self) -> int: ...  # noqa: D102 - documented above

    def wait_interrupt(self, cycles: int, /) -> bool:
        """Wait for the link's interrupt, for at most so many cycles; whether it is high."""
        ...


class JobClient:
    """Jobs of one model on one board.

    Making it lets the CPU go, which then has the accelerator whenever there is a job.

    Args:
        device: the board; its memory holds the model already.
        compiled: the model.
        area: where rings and jobs may lie.
        first_number: where the counters begin.

    Raises:
        DeviceError: the board's firmware does not start, or takes other jobs than these.
    """

    def __init__(
        self,
        device: BoardDevice,
        cpu: BoardCpu,
        compiled: CompiledModel,
        area: JobArea,
        *,
        first_number: int = 0,
    ) -> None:
        self.area = area
        self._device, self._cpu = device, cpu
        self._head = self._tail = self._read = first_number & _MASK
        self._tokens: dict[int, deque[int]] = {}
        self._answers: dict[int, JobAnswer] = {}
        rings = Rings(
            memory_base=device.memory_base,
            memory_bytes=device.memory_bytes,
            job_ring=area.job_ring,
            job_entries=area.job_entries,
            token_ring=area.token_ring,
            token_entries=area.token_entries,
            job_head=self._head,
            token_tail=self._head,
        )
        state = RingsState(job_taken=self._head, job_tail=self._head, token_head=self._head)
        cpu.hold()
        device.reset()
        device.write_memory(area.base, rings.pack())
        device.write_memory(area.base + FIRMWARE_OFFSET, state.pack())
        device.write_memory(area.model, describe(compiled).pack())
        cpu.start(area.base)
        self._await_firmware()

    @property
    def open_jobs(self) -> int:
        """Jobs that were put and have not been forgotten."""
        return len(self._tokens)

    def put(self, job: Job, prompt: Sequence[int], stops: Sequence[int]) -> int:
        """Put a job, whose number and addresses are filled in here; its number. Waits while the
        ring is full."""
        if len(stops) > MOST_STOPS:
            raise WeftError(f"there are {len(stops)} stop tokens; a job takes {MOST_STOPS}.")
        while self._is_full():
            self._pump()
        if not self._tokens:
            self._cpu.take_interrupt(accelerator=False)
        number, area = self._head, self.area
        complete = Job(
            **{place.name: getattr(job, place.name) for place in Job.places()}
            | {
                "number": number,
                "model": area.model,
                "prompt": area.prompt(number),
                "prompt_count": len(prompt),
                "stops": area.stops(number),
                "stop_count": len(stops),
            }
        )
        self._device.write_memory(area.prompt(number), np.asarray(prompt, "<u4").tobytes())
        if stops:
            self._device.write_memory(area.stops(number), np.asarray(stops, "<u4").tobytes())
        self._device.write_memory(area.slot(number), complete.pack())
        self._head = (number + 1) & _MASK
        self._write_word(area.base + Rings.offset("job_head"), self._head)
        self._cpu.write("DOORBELL", 1)
        self._tokens[number] = deque()
        return number

    def next_token(self, number: int) -> int | None:
        """The next token of a job, waited for; None once it has ended."""
        while not self._tokens[number]:
            if number in self._answers:
                return None
            self._pump()
        return self._tokens[number].popleft()

    def answer(self, number: int) -> JobAnswer:
        """How a job ended, waited for; tokens that nobody has taken are dropped, and the job is
        forgotten."""
        while number not in self._answers:
            self._pump()
        del self._tokens[number]
        if not self._tokens:
            self._cpu.take_interrupt(accelerator=True)
        return self._answers.pop(number)

    def cancel(self, number: int) -> None:
        """Ask for the end of a job, unless it has ended."""
        if number not in self._answers:
            self._write_word(self.area.slot(number) + Job.offset("cancel"), 1)

    def _is_full(self) -> bool:
        """Whether the next slot belongs to a job that has not ended, for either side."""
        before = (self._head - self.area.job_entries) & _MASK
        open_here = before in self._tokens and before not in self._answers
        return open_here or (self._head - self._tail) & _MASK >= self.area.job_entries

    def _write_word(self, address: int, value: int) -> None:
        self._device.write_memory(address, value.to_bytes(4, "little"))

    def _await_firmware(self) -> None:
        """Wait until the firmware says that it is ready."""
        waited, cycles = 0, _FIRST_BOOT_CYCLES
        while True:
            stage, detail = self._cpu.stage()
            if stage in (BootStage.READY, BootStage.NO_ACCELERATOR, BootStage.TRAP):
                break
            if waited > _BOOT_CYCLES:
                raise DeviceError(f"The firmware of {self._device.name} does not start.")
            self._device.wait_interrupt(cycles)
            waited, cycles = waited + cycles, min(2 * cycles, self._device.wait_cycles)
        version = self._cpu.read("BOOT_STATUS") >> BOOT_JOBS_SHIFT & 0xFF
        if version != JOBS_VERSION:
            raise DeviceError(
                f"The firmware of {self._device.name} takes jobs of version {version}; this host "
                f"puts version {JOBS_VERSION}."
            )
        if stage != BootStage.READY or detail:
            raise self._dead(stage, detail)

    def _dead(self, stage: BootStage | int, detail: int) -> DeviceError:
        what = stage.name if isinstance(stage, BootStage) else str(stage)
        return DeviceError(
            f"The firmware of {self._device.name} has stopped: stage {what}, detail {detail}."
        )

    def _pump(self) -> None:
        """Wait until the firmware has something to tell, and take it."""
        slice_cycles = self._device.wait_cycles
        waited, runs = 0, -1
        while not self._device.wait_interrupt(slice_cycles):
            waited += slice_cycles
            stage, detail = self._cpu.stage()
            if stage not in (BootStage.READY, BootStage.WORKING, BootStage.STARTED):
                if not self._cpu.read("WATCHDOG"):
                    raise self._dead(stage, detail)
                continue  # the watchdog is about to restart it
            state = self._state()
            if state.token_head != self._read:
                break
            if state.runs != runs:
                waited, runs = 0, state.runs
            if waited > DEFAULT_RUN_CYCLES + _SLACK_CYCLES:
                raise self._dead(stage, detail)
        self._cpu.write("NOTIFY", 0)
        self._take(self._state())

    def _state(self) -> RingsState:
        raw = self._device.read_memory(self.area.base + FIRMWARE_OFFSET, RingsState.size())
        return RingsState.unpack(raw.tobytes())

    def _take(self, state: RingsState) -> None:
        """Read the records that are new, and make room for others."""
        entries, count = self.area.token_entries, (state.token_head - self._read) & _MASK
        if count > entries:
            raise DeviceError(f"The token ring of {self._device.name} is damaged.")
        while count:
            slot = self._read % entries
            size = min(count, entries - slot)
            address = self.area.token_ring + RECORD_BYTES * slot
            raw = self._device.read_memory(address, RECORD_BYTES * size).tobytes()
            for k in range(size):
                self._enter(Record.unpack(raw[RECORD_BYTES * k :]))
            self._read, count = (self._read + size) & _MASK, count - size
        self._write_word(self.area.base + Rings.offset("token_tail"), self._read)
        self._tail = state.job_tail

    def _enter(self, record: Record) -> None:
        number = record.number
        if number not in self._tokens or number in self._answers:
            return  # an end that was told twice
        if record.kind == RecordKind.TOKEN:
            self._tokens[number].append(record.value)
            return
        address = self.area.slot(number) + ANSWER_OFFSET
        raw = self._device.read_memory(address, JobAnswer.size())
        self._answers[number] = JobAnswer.unpack(raw.tobytes())
