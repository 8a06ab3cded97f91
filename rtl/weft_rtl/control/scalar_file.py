# SPDX-License-Identifier: Apache-2.0
"""The 16 scalar registers."""

from amaranth import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import isa

__all__ = ["CLEAR_CYCLES", "ScalarFile"]

CLEAR_CYCLES = isa.N_SCALARS


class ScalarFile(wiring.Component):
    """S0 to S15, 32 bits each, in LUT memory; S0 reads as 0.

    Memory has no reset: in the first CLEAR_CYCLES cycles after reset the registers are set to 0 one
    after the other, and writes are lost.

    Members
    -------
    i_index_a, i_index_b : which registers the sequencer reads.
    o_value_a, o_value_b : their values, in the same cycle.
    i_write, i_write_index, i_write_value : a write, seen by reads from the next cycle on.
    i_host_index, o_host_value : a third read port for the register file, as the others.
    i_host_write : write ``i_host_value`` to ``i_host_index``; loses against ``i_write``.

    About 60 LUTs and 24 LUT memories.
    """

    i_index_a: Signal
    o_value_a: Signal
    i_index_b: Signal
    o_value_b: Signal
    i_write: Signal
    i_write_index: Signal
    i_write_value: Signal
    i_host_index: Signal
    o_host_value: Signal
    i_host_write: Signal
    i_host_value: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_index_a": In(4),
                "o_value_a": Out(32),
                "i_index_b": In(4),
                "o_value_b": Out(32),
                "i_write": In(1),
                "i_write_index": In(4),
                "i_write_value": In(32),
                "i_host_index": In(4),
                "o_host_value": Out(32),
                "i_host_write": In(1),
                "i_host_value": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.storage = storage = memory.Memory(shape=32, depth=isa.N_SCALARS, init=[])
        write = storage.write_port()
        clearing = Signal(range(CLEAR_CYCLES + 1), init=CLEAR_CYCLES)
        with m.If(clearing != 0):
            m.d.sync += clearing.eq(clearing - 1)
            m.d.comb += [write.addr.eq(clearing - 1), write.en.eq(1)]
        with m.Elif(self.i_write):
            m.d.comb += [
                write.addr.eq(self.i_write_index),
                write.data.eq(self.i_write_value),
                write.en.eq(self.i_write_index != 0),
            ]
        with m.Else():
            m.d.comb += [
                write.addr.eq(self.i_host_index),
                write.data.eq(self.i_host_value),
                write.en.eq(self.i_host_write & (self.i_host_index != 0)),
            ]
        for index, value in (
            (self.i_index_a, self.o_value_a),
            (self.i_index_b, self.o_value_b),
            (self.i_host_index, self.o_host_value),
        ):
            read = storage.read_port(domain="comb")
            m.d.comb += [read.addr.eq(index), value.eq(read.data)]
        return m
