# SPDX-License-Identifier: Apache-2.0
"""Piecewise linear functions from ROM."""

from collections.abc import Sequence

from amaranth import Cat, Module, Shape, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from weft_arch.functions import PiecewiseTable
from weft_rtl.floating.formats import pipeline

__all__ = ["PiecewiseFunction"]


class PiecewiseFunction(wiring.Component):
    """Evaluates a `weft_arch.functions.PiecewiseTable` in each of ``lanes`` lanes.

    One case per cycle and lane, `LATENCY` = 3 cycles: ROM; its output register; multiply and add.
    All tables share one ROM of 2**index_bits entries each, with a read port per lane.

    Area: about 20 LUT4 and a hard multiplier per lane (as row adders, 80 LUT4, the product was the
    longest path of whole designs), and the ROM: 3 block RAMs for two lanes of three gate tables; a
    64-entry table in LUTs is about 120 LUT4.

    Parameters
    ----------
    tables : sequence of PiecewiseTable
        What ``i_table`` selects from; all with the same ``fraction_bits``.
    lanes : int
        Lanes.
    rom_style : str
        ``block_ram`` or ``logic``.

    Members
    -------
    i_table : In(n)
        Number of the table, for all lanes; only with more than one.
    i_arguments : In(ArrayLayout(index_bits + fraction_bits, lanes))
        Unsigned arguments; of a table with fewer index bits, the upper ones must be 0.
    o : Out(ArrayLayout(17, lanes))
        Q0.16, 3 cycles later.
    """

    LATENCY = 3

    i_table: Signal
    i_arguments: data.View
    o: data.View

    def __init__(
        self, tables: Sequence[PiecewiseTable], lanes: int = 1, rom_style: str = "block_ram"
    ) -> None:
        self._tables = tuple(tables)
        self._lanes = lanes
        fractions = {table.fraction_bits for table in self._tables}
        if len(fractions) != 1:
            raise ValueError(f"the tables have {sorted(fractions)} fraction bits; one is allowed")
        if rom_style not in ("block_ram", "logic"):
            raise ValueError(f"rom_style is {rom_style!r}; it must be 'block_ram' or 'logic'")
        self._rom_style = rom_style
        self._fraction_bits = fractions.pop()
        self._index_bits = max(table.index_bits for table in self._tables)
        ports = {
            "i_arguments": In(data.ArrayLayout(self._index_bits + self._fraction_bits, lanes)),
            "o": Out(data.ArrayLayout(17, lanes)),
        }
        if len(self._tables) > 1:
            ports["i_table"] = In(ceil_log2(len(self._tables)))
        super().__init__(ports)

    def _rom(self) -> memory.Memory:
        """Entries are the slope above the base, as narrow as the tables allow."""
        depth = 1 << self._index_bits
        bases = [base for table in self._tables for base in (*table.base, table.base[0])]
        slopes = [slope for table in self._tables for slope in table.slope]
        self._floor = min(bases)
        base_shape = Shape.cast(range(max(bases) - self._floor + 1))
        slope_shape = Shape.cast(range(min(slopes), max(slopes) + 1))
        self._layout = data.StructLayout({"base": base_shape, "slope": slope_shape})
        entries = []
        for table in self._tables:
            entries += [
                {"base": base - self._floor, "slope": slope}
                for base, slope in zip(table.base, table.slope, strict=True)
            ]
            entries += [{"base": 0, "slope": 0}] * (depth - len(table.base))
        style = "block" if self._rom_style == "block_ram" else "logic"
        return memory.Memory(
            shape=self._layout, depth=len(entries), init=entries, attrs={"rom_style": style}
        )

    def elaborate(self, platform: object) -> Module:
        """The pipeline."""
        m = Module()
        m.submodules.rom = rom = self._rom()
        width = self._fraction_bits
        for lane in range(self._lanes):
            argument = self.i_arguments[lane]
            port = rom.read_port()
            address = argument[width:]
            if len(self._tables) > 1:
                address = Cat(address, self.i_table)
            m.d.comb += port.addr.eq(address)
            fraction = pipeline(m, argument[:width], 2, f"fraction_{lane}")
            # It begins as an entry, so that synthesis knows the bits that all entries share.
            entry = Signal(self._layout, name=f"entry_{lane}", init=rom.init[0], reset_less=True)
            result = Signal(17, name=f"result_{lane}", reset_less=True)
            m.d.sync += [
                entry.eq(port.data),
                result.eq(entry.base + self._floor + ((entry.slope * fraction) >> width)),
            ]
            m.d.comb += self.o[lane].eq(result)
        return m
