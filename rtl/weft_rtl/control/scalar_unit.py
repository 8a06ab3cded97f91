# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of SCALAR."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch.isa import ScalarOp

__all__ = ["ScalarUnit"]


class ScalarUnit(wiring.Component):
    """Computes ``operation(x, y, immediate)`` as `weft_arch.isa.ScalarOp` defines it.

    Members
    -------
    i_start : begin; the operands must hold until ``o_done``.
    i_operation, i_x, i_y, i_immediate : the operation and S[address_reg], S[count_reg], address.
    o_done : the result is there, until the next start.
    o_value : the result.

    2 cycles from start to done; MUL one more per significant bit of the immediate, SHIFT_RIGHT one
    more per place. About 300 LUTs.
    """

    i_start: Signal
    i_operation: Signal
    i_x: Signal
    i_y: Signal
    i_immediate: Signal
    o_done: Signal
    o_value: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i_start": In(1),
                "i_operation": In(4),
                "i_x": In(32),
                "i_y": In(32),
                "i_immediate": In(32),
                "o_done": Out(1),
                "o_value": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operation = self.i_operation
        second = Signal(32)  # y + immediate
        third = Signal(33)  # x + second or x - second; MUL: the sum so far
        shifted = Signal(32)  # MUL: x << n; SHIFT_RIGHT: x >> n
        rest = Signal(32)  # MUL: immediate >> n; SHIFT_RIGHT: places left
        multiplies = operation == ScalarOp.MUL
        shifts = operation == ScalarOp.SHIFT_RIGHT
        subtracts = (operation != ScalarOp.ADD) & ~multiplies

        # One adder: x + second, x - second, or the multiplication's sum.
        x = Mux(multiplies, third[:32], self.i_x)
        y = Mux(multiplies, shifted, Mux(subtracts, ~second, second))
        total = Signal(33)
        m.d.comb += total.eq(x + y + subtracts)

        with m.If(self.i_start):
            m.d.sync += [
                second.eq(self.i_y + self.i_immediate),
                shifted.eq(self.i_x),
                rest.eq(Mux(shifts, self.i_immediate[:5], self.i_immediate)),
                third.eq(0),
                self.o_done.eq(0),
            ]
        with m.Elif(~self.o_done):
            with m.If(multiplies):
                with m.If(rest[0]):
                    m.d.sync += third.eq(total)
                m.d.sync += [
                    rest.eq(rest >> 1),
                    shifted.eq(shifted << 1),
                    self.o_done.eq(rest[1:] == 0),
                ]
            with m.Elif(shifts):
                with m.If(rest[:5] != 0):
                    m.d.sync += [shifted.eq(shifted >> 1), rest.eq(rest[:5] - 1)]
                with m.Else():
                    m.d.sync += self.o_done.eq(1)
            with m.Else():
                m.d.sync += [third.eq(total), self.o_done.eq(1)]

        not_less = third[32]  # the carry of x - second: x >= second
        with m.Switch(operation):
            with m.Case(ScalarOp.SHIFT_RIGHT):
                m.d.comb += self.o_value.eq(shifted)
            with m.Case(ScalarOp.AND):
                m.d.comb += self.o_value.eq(self.i_x & self.i_immediate)
            with m.Case(ScalarOp.MIN):
                m.d.comb += self.o_value.eq(Mux(not_less, second, self.i_x))
            with m.Case(ScalarOp.MAX):
                m.d.comb += self.o_value.eq(Mux(not_less, self.i_x, second))
            with m.Default():
                m.d.comb += self.o_value.eq(third)
        return m
