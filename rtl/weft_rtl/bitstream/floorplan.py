# SPDX-License-Identifier: Apache-2.0
"""Where the array's hard multipliers lie on the chip.

Left to itself the placer scatters them: it moves multipliers one by one, and a block of four takes
only those whose weights are enabled by the same few signals. Then the array's wires are two thirds
longer than they need be, and half of all wires of the chip are the array's.
"""

from weft_arch.config import BLOCK
from weft_rtl.bitstream.parts import EcpPart, Part

__all__ = ["array_places"]

_SITES = (0, 1, 4, 5)
"""The multipliers of a block, by number and by tiles to its right."""
_CELL = "multiplier_{row}_{column}.multiplier"


def array_places(part: Part, hard_multipliers: int) -> dict[str, str]:
    """The end of a cell's name, and its site; empty where the plan does not fit the part.

    A block takes two rows of two columns of the array, whose weights come with three enables; it
    has four. The chip has three rows of blocks. The array's columns 0 and 1 go along the last one,
    2 and 3 beside them along the middle one, and what has no room there comes back along the
    first: ::

        first                 ... 22,2 22,0        row, column of the first cell of a block
        middle  0,2  2,2  4,2 ... 20,2
        last    0,0  2,0  4,0 ... 20,0

    So partial sums and activations travel a block per step, but for two turns. The blocks that are
    left, and all other multipliers, stay the placer's.

    Parameters
    ----------
    hard_multipliers : int
        Cells of the array with a MULT18X18D, column by column.
    """
    pairs = BLOCK // 2
    if not isinstance(part, EcpPart) or len(part.multiplier_rows) != 3:
        return {}
    if hard_multipliers != 4 * BLOCK:
        return {}
    first, middle, last = part.multiplier_rows
    columns = part.multiplier_columns
    straight = len(columns) - 2
    if 2 * (pairs - straight) > straight:
        return {}
    places = {}
    for pair in range(pairs):
        for half in range(2):
            if pair < straight:
                x, y = columns[pair], (last, middle)[half]
            else:
                x, y = columns[straight - 1 - 2 * (pair - straight) - half], first
            for index, site in enumerate(_SITES):
                row, column = 2 * pair + index // 2, 2 * half + index % 2
                cell = _CELL.format(row=row, column=column)
                places[cell] = f"X{x + site}/Y{y}/MULT18_{site}"
    return places
