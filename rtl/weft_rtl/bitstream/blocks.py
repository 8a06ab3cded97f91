# SPDX-License-Identifier: Apache-2.0
"""Which modules get a row and a colour of their own."""

from collections import Counter
from collections.abc import Collection

from weft_rtl.bitstream.netlist import Netlist

__all__ = ["Blocks"]

SMALLEST_PART = 50
"""A module with less than one in this many of the design's cells is counted with its parent."""


class Blocks:
    """The parts of a design that are worth a name.

    A block is a module with what is below it, less what is in a block below it; the top module is
    always one. Names are paths below the top; the top's own is "top".

    Members
    -------
    names : list[str]
        The blocks, in the order of the tree.
    """

    def __init__(self, netlist: Netlist, kinds: Collection[str]) -> None:
        self._top = netlist.top
        own = Counter(cell.module for cell in netlist.cells.values() if cell.kind in kinds)
        smallest = sum(own.values()) / SMALLEST_PART
        self._kept = {self._top}
        for module in sorted(_with_parents(own), key=lambda name: -name.count(".")):
            count = own.pop(module, 0)
            if count >= smallest:
                self._kept.add(module)
            elif module != self._top:
                own[module.rpartition(".")[0]] += count
        self.names = [self._name(module) for module in sorted(self._kept)]

    def of(self, module: str) -> str:
        """The block that a module belongs to."""
        while module not in self._kept and module:
            module = module.rpartition(".")[0]
        return self._name(module or self._top)

    def _name(self, module: str) -> str:
        return module.removeprefix(self._top).lstrip(".") or "top"


def _with_parents(modules: Counter[str]) -> set[str]:
    found: set[str] = set()
    for name in modules:
        module = name
        while module and module not in found:
            found.add(module)
            module = module.rpartition(".")[0]
    return found
