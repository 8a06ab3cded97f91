# SPDX-License-Identifier: Apache-2.0
from importlib.metadata import entry_points

import pytest

from weft.devices import device_names, find_preset, open_device
from weft.errors import WeftError
from weft_arch.config import preset
from weft_arch.device import Device, DeviceError


def test_the_installed_devices_are_found():
    assert {"reference", "rtl"} <= set(device_names())


def test_a_device_is_opened_by_name():
    with open_device("reference", preset("tiny"), memory_bytes=4096, memory_base=64) as device:
        assert isinstance(device, Device)
        assert (device.name, device.memory_bytes, device.memory_base) == ("reference", 4096, 64)


def test_an_unknown_device_is_refused_with_the_names_there_are():
    sentence = r"^device 'fpga' is unknown; there are reference, replay, rtl, serial, tcp\.$"
    with pytest.raises(WeftError, match=sentence):
        open_device("fpga", preset("tiny"), memory_bytes=64)


def test_an_unknown_preset_is_refused_with_the_names_there_are():
    assert find_preset("tiny").name == "tiny"
    sentence = r"^unknown preset 'big'; there are tiny, default, wide, resident\.$"
    with pytest.raises(WeftError, match=sentence):
        find_preset("big")


def test_a_device_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch):
    def broken(*args: object, **more: object) -> Device:
        raise DeviceError("There is no C++ compiler.")

    class Point:
        def load(self):
            return broken

    monkeypatch.setattr("weft.devices._found", lambda: {"rtl": Point()})
    with pytest.raises(WeftError, match=r"^There is no C\+\+ compiler\.$"):
        open_device("rtl", preset("tiny"), memory_bytes=64)


@pytest.mark.parametrize("group", ["weft.devices", "weft.tools"])
def test_every_entry_point_loads(group: str):
    points = entry_points(group=group)
    assert points
    for point in points:
        assert callable(point.load())
