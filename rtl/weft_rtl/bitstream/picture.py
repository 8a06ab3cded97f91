# SPDX-License-Identifier: Apache-2.0
"""A picture of the placement: each place of the die in the colour of the block that fills it."""

import colorsys
from collections import Counter
from collections.abc import Sequence

from weft_rtl.bitstream.blocks import Blocks
from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.netlist import Netlist

__all__ = ["placement_picture"]

PLACE = 8
"""Pixels of a place."""
LINE, LETTER = 16, 7
"""Pixels of a line of the legend, and of a letter in it, at most."""


def placement_picture(design: Design, netlist: Netlist, names: Sequence[str]) -> str:
    """The picture as SVG text.

    Parameters
    ----------
    names : Sequence[str]
        The blocks, in the order of the legend and of their colours.
    """
    blocks = Blocks(netlist, design.part.counted)
    votes: dict[tuple[int, int], Counter[str]] = {}
    for cell in netlist.cells.values():
        if cell.place is not None:
            votes.setdefault(cell.place, Counter())[blocks.of(cell.module)] += 1
    owner = {place: count.most_common(1)[0][0] for place, count in votes.items()}
    columns = 1 + max((x for x, _ in owner), default=0)
    rows = 1 + max((y for _, y in owner), default=0)
    title = f"{design.name} on {design.part.name}"
    width = columns * PLACE + 3 * LINE + LETTER * max(map(len, (title, *names)))
    height = max(rows * PLACE, (len(names) + 3) * LINE) + 2 * LINE
    text = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">\n',
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n',
        f'<rect width="{columns * PLACE}" height="{rows * PLACE}" y="{LINE}" fill="#eee"/>\n',
    ]
    left = columns * PLACE + LINE
    text.append(f'<text x="{left}" y="{2 * LINE}">{title}</text>\n')
    for index, name in enumerate(names):
        colour = _colour(index, len(names))
        text.append(f'<path fill="{colour}" d="{_runs(owner, name)}"/>\n')
        y = (index + 3) * LINE
        text.append(f'<rect x="{left}" y="{y}" width="12" height="12" fill="{colour}"/>')
        text.append(f'<text x="{left + 18}" y="{y + 11}">{name}</text>\n')
    return "".join(text) + "</svg>\n"


def _runs(owner: dict[tuple[int, int], str], name: str) -> str:
    """The places of a block as rectangles one row high: much shorter than one for each place."""
    path = []
    begin: tuple[int, int] | None = None
    end = (0, 0)
    for place in sorted((y, x) for (x, y), block in owner.items() if block == name):
        if begin is not None and place == (end[0], end[1] + 1):
            end = place
            continue
        if begin is not None:
            path.append(_rectangle(begin, end))
        begin = end = place
    if begin is not None:
        path.append(_rectangle(begin, end))
    return "".join(path)


def _rectangle(begin: tuple[int, int], end: tuple[int, int]) -> str:
    width = (end[1] - begin[1] + 1) * PLACE
    return f"M{begin[1] * PLACE} {begin[0] * PLACE + LINE}h{width}v{PLACE}h-{width}z"


def _colour(index: int, count: int) -> str:
    """Hues as far apart as there are blocks, in two shades so that neighbours differ."""
    red, green, blue = colorsys.hsv_to_rgb(index / max(count, 1), 0.75, (0.9, 0.6)[index % 2])
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
