# SPDX-License-Identifier: Apache-2.0
"""The gates of activation functions."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import functions
from weft_rtl.floating.float_to_fixed import FloatToFixed
from weft_rtl.floating.formats import FLOAT, pipeline
from weft_rtl.floating.integer_to_float import IntegerToFloat
from weft_rtl.floating.piecewise import PiecewiseFunction

__all__ = ["GateUnit"]

_FIXED_WIDTH = 17


class GateUnit(wiring.Component):
    """g(x) of `weft_arch.functions.gate` in each lane, and x beside it, to be multiplied.

    One word per cycle, `LATENCY` = 7 cycles: two to fixed point, three of the table, two back to
    F24. Area: about 350 LUT4 per lane, and 3 block RAMs per two lanes.

    Members
    -------
    i : In(ArrayLayout(24, lanes))
        F24 arguments.
    i_activation : In(2)
        `isa.Activation`, steady while words are on their way.
    o_gate, o_x : Out(ArrayLayout(24, lanes))
        The gates and their arguments, 7 cycles later.
    """

    LATENCY = FloatToFixed.LATENCY + PiecewiseFunction.LATENCY + IntegerToFloat.LATENCY

    i: data.View
    i_activation: Signal
    o_gate: data.View
    o_x: data.View

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        word = data.ArrayLayout(FLOAT, lanes)
        super().__init__(
            {"i": In(word), "i_activation": In(2), "o_gate": Out(word), "o_x": Out(word)}
        )

    def elaborate(self, platform: object) -> Module:
        """Fixed point, table, float; the arguments wait in a small memory."""
        m = Module()
        m.submodules.table = table = PiecewiseFunction(
            (functions.SIGMOID, functions.GELU_TANH, functions.GELU_ERF), self._lanes
        )
        m.d.comb += table.i_table.eq(self.i_activation)
        before_float = FloatToFixed.LATENCY + PiecewiseFunction.LATENCY
        for lane in range(self._lanes):
            x = self.i[lane]
            m.submodules[f"to_fixed_{lane}"] = fixed = FloatToFixed(
                functions.GATE_FRACTION_BITS, _FIXED_WIDTH
            )
            m.submodules[f"to_float_{lane}"] = to_float = IntegerToFloat(
                unsigned(17), -16, exact=True
            )
            negative = pipeline(m, x[23], before_float, f"negative_{lane}")
            y = table.o[lane]
            m.d.comb += [
                fixed.i.eq(x[:23]),  # its magnitude
                table.i_arguments[lane].eq(fixed.o[:16]),
                # g(-x) = 1 - g(x)
                to_float.i.eq(Mux(negative, functions.ONE - y, y)),
                self.o_gate[lane].eq(to_float.o),
            ]

        # A ring of eight words in distributed memory delays x.
        m.submodules.delay = delay = memory.Memory(
            shape=24 * self._lanes, depth=8, init=[], attrs={"ram_style": "distributed"}
        )
        write_port = delay.write_port()
        read_port = delay.read_port(domain="comb")
        position = Signal(3)
        m.d.sync += position.eq(position + 1)
        m.d.comb += [
            write_port.addr.eq(position),
            write_port.data.eq(Cat(*self.i)),
            write_port.en.eq(1),
            read_port.addr.eq(position - self.LATENCY),
            self.o_x.as_value().eq(read_port.data),
        ]
        return m
