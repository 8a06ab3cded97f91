# SPDX-License-Identifier: Apache-2.0
"""What the end of a job means for who asked for it."""

import numpy as np

from weft.errors import SamplingError, WeftError
from weft_arch.device import DeviceError, DeviceFault, DeviceTimeout
from weft_arch.jobs import EndReason, JobAnswer, JobError
from weft_arch.soc import BOOT_DETAIL_SHIFT, BOOT_STAGE_MASK, WATCHDOG_EXPIRED, BootStage

__all__ = ["failure_of"]

_GOOD = (EndReason.STOP_TOKEN, EndReason.LIMIT, EndReason.CONTEXT, EndReason.CANCELLED)


def failure_of(answer: JobAnswer, device: str) -> WeftError | DeviceError | None:
    """The error that a job on the device of a name ended with, or None if it ended well."""
    where = f"the run of {answer.rows} tokens from position {answer.position}"
    match answer.reason:
        case reason if reason in _GOOD:
            return None
        case EndReason.FAULT:
            return DeviceFault(answer.fault_cause, answer.fault_address)
        case EndReason.TIMEOUT:
            return DeviceTimeout(
                f"The program on {device} did not end in time in {where}; the sequencer is at "
                f"instruction {answer.program_counter}."
            )
        case EndReason.LOST_RUN:
            return DeviceError(
                f"The accelerator of {device} was reset by somebody else in {where}."
            )
        case EndReason.BAD_LOGITS:
            value = float(np.uint32(answer.detail).view(np.float32))
            what = "all minus infinity" if value == -np.inf else f"{value} among others"
            return SamplingError(f"logits are {what}, so no token can be chosen.")
        case EndReason.INTERRUPTED:
            return DeviceError(
                f"The CPU of {device} was reset during a job{_cause(answer.detail)}."
            )
        case EndReason.BAD_JOB:
            known = answer.detail in set(JobError)
            error = JobError(answer.detail).name if known else str(answer.detail)
            return WeftError(f"The firmware of {device} refuses the job: {error}.")
        case reason:
            return WeftError(f"The firmware of {device} ended the job for the reason {reason}.")


def _cause(boot_status: int) -> str:
    """What BOOT_STATUS says of a reset."""
    trapped = boot_status & BOOT_STAGE_MASK == BootStage.TRAP
    cause = boot_status >> BOOT_DETAIL_SHIFT & 0xFF
    parts = [f"after a trap of cause {cause:#x}"] if trapped else []
    parts += ["by its watchdog"] if boot_status & WATCHDOG_EXPIRED else []
    return "".join(f", {part}" for part in parts)
