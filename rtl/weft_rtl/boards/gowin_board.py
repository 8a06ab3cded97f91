# SPDX-License-Identifier: Apache-2.0
"""A whole board with a Gowin GW5A: the oscillator and pins around the SoC."""

from typing import Any

from amaranth import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.hdl import IOBufferInstance, IOPort
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.boards.board import Board, BoardError
from weft_rtl.boards.ecp5_board import SDRAM_PINS
from weft_rtl.soc.soc import Soc

__all__ = ["GowinBoard"]

_RESET_CYCLES = 64
_PULLED_UP = "sdram_cke"


class GowinBoard(wiring.Component):
    """The top module; ports are pins, by the names that `Ecp5Board` gives them.

    Accelerator, link and SDRAM run with the oscillator: the open tools know no PLL of the part. The
    Verilog of the CPU (`cpu_core_verilog`) belongs to the design, too.

    Members
    -------
    clk : the oscillator
    uart_rx, uart_tx : the serial line, named by the FPGA
    led : in the polarity of the board
    sdram_* : the SDRAM, whose CKE the module pulls up; ``sdram_d`` is an inout of the module and no
        member

    Parameters
    ----------
    board : Board
        Without buttons; its three clocks are one.
    firmware : bytes
        What the CPU's ROM holds.
    """

    clk: Signal
    uart_rx: Signal
    uart_tx: Signal
    led: Signal
    sdram_clk: Signal

    def __init__(self, board: Board, firmware: bytes) -> None:
        if not board.oscillator_hz == board.clock_hz == board.sdram_hz:
            raise BoardError(
                f"{board.name}: clock_hz is {board.clock_hz} and sdram_hz {board.sdram_hz}; both "
                f"must be the oscillator's {board.oscillator_hz}, there is no PLL"
            )
        self._board = board
        self._soc = Soc(board, firmware=firmware)
        self._pins = {name: pad for name, pad in SDRAM_PINS.items() if name != _PULLED_UP}
        pads: Any = self._soc.pads
        super().__init__(
            {
                "clk": In(1),
                "uart_rx": In(1),
                "uart_tx": Out(1),
                "led": Out(board.leds),
                "sdram_clk": Out(1),
                **{name: Out(len(getattr(pads, pad))) for name, pad in self._pins.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.soc = soc = self._soc
        sync: Any = ClockDomain("sync")
        sdram: Any = ClockDomain("sdram", reset_less=True)
        boot: Any = ClockDomain("boot", reset_less=True)
        m.domains += [sync, sdram, boot]
        m.d.comb += [clock.clk.eq(self.clk) for clock in (sync, sdram, boot)]
        # Registers have their initial values when the configuration ends; the clock is there
        # before. The reset covers the cycles in which they are released one after the other.
        waited = Signal(range(_RESET_CYCLES))
        held = Signal(init=1)
        m.d.comb += sync.rst.eq(held)
        with m.If(waited == _RESET_CYCLES - 1):
            m.d.boot += held.eq(0)
        with m.Else():
            m.d.boot += waited.eq(waited + 1)

        pads: Any = soc.pads
        m.d.comb += [getattr(self, name).eq(getattr(pads, pad)) for name, pad in self._pins.items()]
        # Low first, as on the other boards: the rising edge lies in the middle of what it takes.
        m.submodules.clock_pad = Instance(
            "ODDR",
            i_CLK=ClockSignal("sdram"),
            i_TX=Const(0),
            i_D0=Const(0),
            i_D1=Const(1),
            o_Q0=self.sdram_clk,
        )
        dq = IOPort(len(pads.dq_o), name="sdram_d")
        for bit in range(len(pads.dq_o)):
            m.submodules[f"dq_pad_{bit}"] = IOBufferInstance(
                dq[bit], i=pads.dq_i[bit], o=pads.dq_o[bit], oe=pads.dq_oe[bit]
            )
        m.d.comb += [
            soc.i_uart.eq(self.uart_rx),
            self.uart_tx.eq(soc.o_uart),
            self.led.eq(soc.o_leds[: self._board.leds] ^ self._board.leds_low),
        ]
        return m
