# SPDX-License-Identifier: Apache-2.0
"""The FPGAs that a design can be built for, as the place and route tool names them."""

from dataclasses import dataclass

__all__ = ["PARTS", "EcpPart"]


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
    """

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


PARTS: dict[str, EcpPart] = {
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
    )
}
"""By name."""
