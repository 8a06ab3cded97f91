# SPDX-License-Identifier: Apache-2.0
"""The gates of activation functions."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from weft_arch import functions
from weft_rtl.floating.float_to_fixed import FloatToFixed
from weft_rtl.floating.formats import FLOAT, pipeline
from weft_rtl.floating.integer_to_float import IntegerToFloat
from weft_rtl.floating.piecewise import PiecewiseFunction

__all__ = ["GateUnit"]

_FIXED_WIDTH = 17
_ONE = 0x3F8000


class GateUnit(wiring.Component):
    """g(x) of `weft_arch.functions.gate` in each lane, and x beside it, to be multiplied.

    A word per ``cycles_per_word`` cycles. Latency: 7 cycles (two to fixed point, three of the
    table, two back to F24) for one cycle per word, 8 for two.

    Area: about 430 LUT4 per gate and 3 block RAMs per two gates; there is a gate for each lane, or
    one for two lanes that take turns.

    Parameters
    ----------
    lanes : int
        Lanes of a word.
    cycles_per_word : int
        1 or 2.

    Members
    -------
    i_valid : In(1), i : In(ArrayLayout(24, lanes))
        F24 arguments; ``i`` need not hold.
    i_activation : In(2)
        `isa.Activation`, steady while words are on their way.
    o_gate, o_x : Out(ArrayLayout(24, lanes))
        The gates and their arguments, `latency` cycles later.
    """

    i_valid: Signal
    i: data.View
    i_activation: Signal
    o_gate: data.View
    o_x: data.View

    def __init__(self, lanes: int, cycles_per_word: int) -> None:
        if cycles_per_word not in (1, 2):
            raise ValueError(f"cycles_per_word is {cycles_per_word}; it must be 1 or 2")
        self._lanes = lanes
        self._cycles = cycles_per_word
        word = data.ArrayLayout(FLOAT, lanes)
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(word),
                "i_activation": In(2),
                "o_gate": Out(word),
                "o_x": Out(word),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from `i` to `o_gate`."""
        pieces = (FloatToFixed, PiecewiseFunction, IntegerToFloat)
        return sum(piece.LATENCY for piece in pieces) + self._cycles - 1

    def elaborate(self, platform: object) -> Module:
        """Fixed point, table, float; the arguments wait in a small memory."""
        m = Module()
        gates = self._lanes // self._cycles
        m.submodules.table = table = PiecewiseFunction(
            (functions.SIGMOID, functions.GELU_TANH, functions.GELU_ERF), gates
        )
        m.d.comb += table.i_table.eq(self.i_activation)
        before_float = FloatToFixed.LATENCY + PiecewiseFunction.LATENCY
        turn = Signal()  # the upper half of the word that came a cycle ago
        m.d.sync += turn.eq(self.i_valid)
        for k in range(gates):
            x = self.i[k]
            if self._cycles == 2:
                upper = pipeline(m, self.i[gates + k], 1, f"upper_{k}")
                x = Mux(turn, upper, x)
            m.submodules[f"to_fixed_{k}"] = fixed = FloatToFixed(
                functions.GATE_FRACTION_BITS, _FIXED_WIDTH
            )
            m.submodules[f"to_float_{k}"] = to_float = IntegerToFloat(signed(17), -16, exact=True)
            negative = pipeline(m, x[23], before_float, f"negative_{k}")
            y = Signal(signed(17), name=f"y_{k}")
            gate = Signal(FLOAT, name=f"gate_{k}")
            g_is_one = table.o[k][16]
            one = pipeline(m, g_is_one & ~negative, IntegerToFloat.LATENCY, f"one_{k}")
            none = pipeline(m, g_is_one & negative, IntegerToFloat.LATENCY, f"none_{k}")
            m.d.comb += [
                fixed.i.eq(x[:23]),  # its magnitude
                table.i_arguments[k].eq(fixed.o[:16]),
                # g(-x) = 1 - g(x): with a sign bit on top, g(x) reads as g(x) - 1, of which the
                # magnitude is taken.
                y.eq(Cat(table.o[k][:16], negative)),
                to_float.i.eq(y),
                gate.eq(Mux(none, 0, to_float.o[:23] | Mux(one, _ONE, 0))),
                self.o_gate[self._lanes - gates + k].eq(gate),
            ]
            if self._cycles == 2:
                m.d.comb += self.o_gate[k].eq(pipeline(m, gate, 1, f"lower_{k}"))

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
            write_port.data.eq(self.i.as_value()),
            write_port.en.eq(1),
            read_port.addr.eq(position - self.latency),
            self.o_x.as_value().eq(read_port.data),
        ]
        return m
