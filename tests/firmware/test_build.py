# SPDX-License-Identifier: Apache-2.0
"""The image of the ROM, and the tables that C and Python share."""

import re

from weft_arch.soc import area
from weft_rtl.soc.firmware import build_firmware, firmware_folder, firmware_sources

ROM_BYTES = 16 << 10
"""What the image may take; the ROM has twice as much."""
RAM_BYTES = 7 << 10


def test_the_image_builds_and_fits() -> None:
    image = build_firmware()  # the linker refuses undefined symbols
    assert len(image.rom) % 4 == 0
    assert len(image.rom) <= ROM_BYTES < area("ROM").bytes
    assert image.ram_bytes <= RAM_BYTES < area("RAM").bytes


def test_it_begins_with_the_reset_code_and_traps_at_0x20() -> None:
    words = build_firmware().words()
    assert words[0] & 0xFFF == 0x117, "auipc sp"
    assert words[8] & 0xFFF == 0x117, "the trap's entry makes itself a stack, too"
    assert 0x3420_2573 in words[8:16], "csrr a0, mcause"


def test_it_is_rv32im_without_compressed_instructions() -> None:
    image = build_firmware()
    text = image.words()[:16]
    assert all(word & 3 == 3 for word in text), "every instruction has 32 bits"


def test_the_linker_script_knows_the_memory_map() -> None:
    script = (firmware_folder() / "link.ld").read_text()
    for name in ("ROM", "RAM"):
        found = re.search(rf"{name} \(\w+\)\s*: ORIGIN = (\w+), LENGTH = (\w+)", script)
        assert found is not None
        base, size = (int(number, 16) for number in found.groups())
        assert (base, size) == (area(name).base, area(name).bytes)


def test_every_source_has_its_licence_and_is_compiled() -> None:
    files = [
        p for p in sorted(firmware_folder().iterdir()) if p.suffix in (".c", ".h", ".S", ".ld")
    ]
    for path in files:
        assert path.read_text().startswith("/* SPDX-License-Identifier: Apache-2.0 */\n"), path.name
    compiled = {*firmware_sources(), *firmware_sources(native=True)}
    assert compiled == {p for p in files if p.suffix in (".c", ".S")}
    assert firmware_sources()[0].name == "start.S"
