# SPDX-License-Identifier: Apache-2.0
"""The memory of one F24 per row."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.floating.formats import FLOAT
from weft_rtl.interfaces import row_scalar_write, strobe_signature

__all__ = ["RowScalars"]


class RowScalars(wiring.Component):
    """256 F24 patterns; data follows `i_read` by 2 cycles.

    Area: one block RAM, about 40 LUT4.

    Members
    -------
    i_softmax : In(strobe of row_scalar_write)
        Always accepted.
    i_reduce : In(stream of row_scalar_write)
        Waits while the softmax unit writes.
    i_read : In(1), i_address : In(8)
        Read request.
    o : Out(24)
        Its data, which holds until the next.
    """

    i_softmax: Any
    i_reduce: stream.Interface
    i_read: Signal
    i_address: Signal
    o: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_softmax": In(strobe_signature(row_scalar_write())),
                "i_reduce": In(stream.Signature(row_scalar_write())),
                "i_read": In(1),
                "i_address": In(8),
                "o": Out(FLOAT),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Memory with output register."""
        m = Module()
        m.submodules.memory = ram = memory.Memory(
            shape=FLOAT, depth=256, init=[], attrs={"ram_style": "block"}
        )
        write_port = ram.write_port()
        chosen = Signal(row_scalar_write(), name="chosen_write")
        m.d.comb += [
            self.i_reduce.ready.eq(~self.i_softmax.valid),
            chosen.eq(Mux(self.i_softmax.valid, self.i_softmax.payload, self.i_reduce.payload)),
            write_port.addr.eq(chosen.address),
            write_port.data.eq(chosen.value),
            write_port.en.eq(self.i_softmax.valid | self.i_reduce.valid),
        ]
        read_port = ram.read_port()
        fetched = Signal()
        register = Signal(FLOAT, reset_less=True)
        m.d.sync += fetched.eq(self.i_read)
        with m.If(fetched):
            m.d.sync += register.eq(read_port.data)
        m.d.comb += [
            read_port.addr.eq(self.i_address),
            read_port.en.eq(self.i_read),
            self.o.eq(register),
        ]
        return m
