# SPDX-License-Identifier: Apache-2.0
"""Finds devices by name: whatever the entry point group ``weft.devices`` offers.

A name may carry an address behind a colon, ``tcp:localhost:7117``; the device gets it as the option
``address``.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from weft.errors import WeftError, shown
from weft_arch.config import Configuration, ConfigurationError, preset
from weft_arch.device import Device, DeviceError

__all__ = ["changed_preset", "device_names", "find_preset", "open_device"]

PAGE_BYTES = 4096


def _found() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="weft.devices")}


def device_names() -> list[str]:
    """The devices there are."""
    return sorted(_found())


def find_preset(name: str) -> Configuration:
    """A preset by name; a `WeftError` lists the names there are."""
    try:
        return preset(name)
    except ConfigurationError as error:
        raise WeftError(f"{error}.") from None


def changed_preset(config: Configuration, changes: Sequence[str]) -> Configuration:
    """A preset with parameters changed, each "name=value"; a `WeftError` for what is none."""
    values: dict[str, int] = {}
    for change in changes:
        name, _, value = change.partition("=")
        known = [f.name for f in dataclasses.fields(config) if f.name != "name"]
        if name not in known or not value.isdecimal():
            raise WeftError(
                f"--set {shown(change)} is not a parameter, = and a number; parameters are "
                f"{', '.join(known)}."
            )
        values[name] = int(value)
    try:
        return dataclasses.replace(config, **values) if values else config
    except ConfigurationError as error:
        raise WeftError(f"{error}.") from None


def open_device(
    name: str, config: Configuration, *, memory_bytes: int, memory_base: int = 0, **options: Any
) -> Device:
    """Make a device with at least ``memory_bytes`` of memory (whole pages); a `WeftError` when
    there is none of that name or it cannot be built."""
    found = _found()
    kind, colon, address = name.partition(":")
    if kind not in found:
        raise WeftError(f"device {shown(name)} is unknown; there are {', '.join(sorted(found))}.")
    make: Callable[..., Device] = found[kind].load()
    if colon:
        if "address" not in inspect.signature(make).parameters:
            raise WeftError(f"device {kind} takes no address, but {shown(name)} has one.")
        options["address"] = address
    try:
        pages = -(-memory_bytes // PAGE_BYTES)
        return make(config, memory_bytes=pages * PAGE_BYTES, memory_base=memory_base, **options)
    except DeviceError as error:
        raise WeftError(str(error)) from error
