# SPDX-License-Identifier: Apache-2.0
"""What is built: a component for a part, with the texts that belong to it, and its digest."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from amaranth.back import rtlil

from weft_rtl.array.ecp5_multiplier import Ecp5Target, black_boxes, techmap
from weft_rtl.array.gowin_multiplier import gowin_techmap
from weft_rtl.bitstream.floorplan import array_places
from weft_rtl.bitstream.parts import GowinPart, Part

__all__ = ["Design", "with_collisions_free", "with_plain_names"]

_MODULE = re.compile(r"^module \\(\S+)", re.MULTILINE)
_UNCHECKED = re.compile(r"attribute \\no_rw_check 1\n(?:  attribute .*\n)*  memory .*\\(\S+)\n")
_ELEMENT = re.compile(r"(?<=\S)\[(\d+)\]")
_READ_PORT = re.compile(
    r'(cell \$memrd_v2 \S+\n +parameter \\MEMID "\\\\(\S+)"(?:\n +parameter .*)*?'
    r"\n +parameter \\TRANSPARENCY_MASK \d+'0+\n +parameter \\COLLISION_X_MASK \d+')(0+)"
    r"(?=(?:\n +parameter .*)*?\n +parameter \\CLK_ENABLE 1\n)"
)


@dataclass(frozen=True, kw_only=True)
class Design:
    """A design, and everything that its bitstream follows from.

    Members
    -------
    name : str
        Name of the top module and of the files.
    part : Part
        What it is built for.
    component : Any
        The top; its ports are pins.
    constraints : str
        Text of the constraint file: pins, their electrical standards, clocks.
    hard_multipliers : int
        Cells of the array that get a multiplier of the part; on a Gowin part all of them.
    activation_bits : int
        Of the configuration: the width of the array's multipliers.
    sources : tuple[str, ...]
        Verilog texts of instances that `component` has.
    """

    name: str
    part: Part
    component: Any
    constraints: str
    hard_multipliers: int
    activation_bits: int
    sources: tuple[str, ...] = field(default=())

    @cached_property
    def rtlil(self) -> str:
        """The design in Yosys's own language: no paths, no dates."""
        text = rtlil.convert(
            self.component,
            name=self.name,
            platform=Ecp5Target(self.hard_multipliers),
            emit_src=False,
        )
        return with_collisions_free(with_plain_names(text))

    @property
    def modules(self) -> list[str]:
        """The modules of ``rtlil``; each is instantiated once and named by its place."""
        return _MODULE.findall(self.rtlil)

    @property
    def black_boxes(self) -> str:
        """Verilog declarations of the array's multipliers."""
        return black_boxes(self.activation_bits)

    @property
    def techmap(self) -> str:
        """Verilog of what the black boxes are on this part."""
        if isinstance(self.part, GowinPart):
            return gowin_techmap(self.activation_bits)
        return techmap(self.activation_bits)

    @property
    def places(self) -> dict[str, str]:
        """The end of a cell's name, and the site that it is fixed to."""
        return array_places(self.part, self.hard_multipliers)

    @cached_property
    def digest(self) -> str:
        """A sha256 (hexadecimal) of everything above; another digest is another bitstream."""
        digest = hashlib.sha256()
        places = "".join(f"{cell} {site}\n" for cell, site in self.places.items())
        texts = (
            self.part.full_name,
            self.rtlil,
            self.techmap,
            places,
            self.constraints,
            *self.sources,
        )
        for text in texts:
            data = text.encode()
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.hexdigest()


def with_plain_names(text: str) -> str:
    """Name elements of arrays ``port.3`` instead of ``port[3]``, which Yosys's abc9 takes for a bit
    of ``port``; if there is one, it ends with a failed assertion. (A bit is ``port [3]`` in RTLIL.)
    """
    return _ELEMENT.sub(r".\1", text)


def with_collisions_free(text: str) -> str:
    """Tell Yosys which memories may return anything when an entry is read and written at once.

    In Verilog the attribute ``no_rw_check`` says so. Amaranth puts it into RTLIL as well, but as
    its read ports are complete there, Yosys never looks at it, and surrounds each block RAM with
    comparators and registers.
    """
    modules = re.split(r"(?=^module )", text, flags=re.MULTILINE)
    for index, module in enumerate(modules):
        free = set(_UNCHECKED.findall(module))

        def mark(port: re.Match[str], free: set[str] = free) -> str:
            return port[1] + (port[3] if port[2] not in free else "1" * len(port[3]))

        modules[index] = _READ_PORT.sub(mark, module)
    return "".join(modules)
