# SPDX-License-Identifier: Apache-2.0
"""Serial receiver and transmitter: 8 data bits, no parity, one stop bit.

Time is counted in 256ths of a clock cycle, so a bit need not be a whole number of cycles: at 50 MHz
and 3 Mbaud a bit is 16.667 of them.
"""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from weft_rtl.interfaces import strobe_signature

__all__ = ["UartReceiver", "UartTransmitter", "bit_period"]

_STEP = 256
_LEAST_CYCLES_PER_BIT = 8


def bit_period(clock_hz: int, baud: int) -> int:
    """256ths of a cycle per bit; a ValueError if there are fewer than 8 cycles."""
    period = round(clock_hz * _STEP / baud)
    if period < _LEAST_CYCLES_PER_BIT * _STEP:
        raise ValueError(
            f"baud is {baud}; a clock of {clock_hz} Hz allows at most "
            f"{clock_hz // _LEAST_CYCLES_PER_BIT}"
        )
    return period


class UartReceiver(wiring.Component):
    """Bytes from a line.

    The line is synchronised, and a majority of three cycles taken, so that a glitch of one cycle is
    not seen. Each bit is sampled in its middle, counted from the edge of the start bit; a sender
    may be 4 % off. A byte without stop bit is left out, and so is all until the line rests again.

    Latency: half a bit after the middle of the last data bit, and 4 cycles.

    Members
    -------
    i_line : In(1), asynchronous, 1 at rest
    o : strobe of 8 bits
    """

    i_line: Signal
    o: wiring.PureInterface

    def __init__(self, *, clock_hz: int, baud: int) -> None:
        self._period = bit_period(clock_hz, baud)
        super().__init__({"i_line": In(1), "o": Out(strobe_signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        period = self._period
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.i_line, line, init=1)
        seen = Signal(2, init=3)
        level = Signal(init=1)
        m.d.sync += [
            seen.eq(Cat(line, seen[0])),
            level.eq((line & seen[0]) | (line & seen[1]) | (seen[0] & seen[1])),
        ]

        busy = Signal()
        resting = Signal()
        index = Signal(4)
        left = Signal(range(2 * period))
        data = Signal(8, reset_less=True)
        m.d.comb += self.o.payload.eq(data)
        m.d.sync += self.o.valid.eq(0)
        with m.If(~busy):
            m.d.sync += [index.eq(0), left.eq(period // 2)]
            with m.If(level):
                m.d.sync += resting.eq(1)
            with m.Elif(resting):
                m.d.sync += busy.eq(1)
        with m.Elif(left >= _STEP):
            m.d.sync += left.eq(left - _STEP)
        with m.Else():
            m.d.sync += [left.eq(left + period - _STEP), index.eq(index + 1)]
            with m.If(index == 0):
                m.d.sync += busy.eq(~level)
            with m.Elif(index == 9):
                m.d.sync += [busy.eq(0), resting.eq(level), self.o.valid.eq(level)]
            with m.Else():
                m.d.sync += data.eq(Cat(data[1:], level))
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a line: ten bits each, without gaps as long as there are bytes.

    Members
    -------
    i : stream of 8 bits, In
    o_line : Out(1), 1 at rest
    """

    i: stream.Interface
    o_line: Signal

    def __init__(self, *, clock_hz: int, baud: int) -> None:
        self._period = bit_period(clock_hz, baud)
        super().__init__({"i": In(stream.Signature(8)), "o_line": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        period = self._period
        bits = Signal(9, init=0x1FF)
        count = Signal(4)
        left = Signal(range(2 * period))
        m.d.sync += self.o_line.eq(bits[0])
        with m.If(left >= _STEP):
            m.d.sync += left.eq(left - _STEP)
        with m.Elif(count != 0):
            m.d.sync += [
                left.eq(left + period - _STEP),
                count.eq(count - 1),
                bits.eq(Cat(bits[1:], 1)),
            ]
        with m.Elif(self.i.valid):
            # What is left of a cycle is carried on, or a long run would be too fast.
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [
                left.eq(left + period - _STEP),
                count.eq(9),
                bits.eq(Cat(0, self.i.payload)),
            ]
        return m
