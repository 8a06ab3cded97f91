# SPDX-License-Identifier: Apache-2.0
"""The device seam of `weft_arch.device`, under its old name."""

from weft_arch.device import (
    DEFAULT_CYCLE_LIMIT,
    Device,
    DeviceError,
    DeviceFault,
    DeviceTimeout,
)

__all__ = ["DEFAULT_CYCLE_LIMIT", "Device", "DeviceError", "DeviceFault", "DeviceTimeout"]
