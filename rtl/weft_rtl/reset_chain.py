# SPDX-License-Identifier: Apache-2.0
"""A reset that reaches one block after the other, through a register of each block's own."""

from amaranth import Module, ResetInserter, Signal, Value
from amaranth.hdl import Elaboratable

__all__ = ["ResetChain"]


class ResetChain:
    """Makes blocks submodules that are held in reset from 1, 2, 3... cycles after ``reset`` on.

    One register for all of them would have to reach across the chip in a cycle; equal registers
    side by side would be made one by synthesis. So ``reset`` must last longer than there are
    blocks, and blocks that are out of it must leave those alone that are not.

    The clock domain of the module should be without a reset.
    """

    def __init__(self, m: Module, reset: Value) -> None:
        self._m = m
        self.end = reset
        """the last block's"""
        self.length = 0

    def add(self, **blocks: Elaboratable) -> None:
        """Submodules by name, in the order in which reset comes to them and leaves them."""
        for name, block in blocks.items():
            own = Signal(name=f"reset_{name}", init=1)
            self._m.d.sync += own.eq(self.end)
            self._m.submodules[name] = ResetInserter(own)(block)
            self.end = own
            self.length += 1
