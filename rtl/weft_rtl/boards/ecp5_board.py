# SPDX-License-Identifier: Apache-2.0
"""A whole board with an ECP5: clocks and pins around the SoC."""

from typing import Any

from amaranth import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.hdl import IOBufferInstance, IOPort
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from weft_rtl.boards.board import Board
from weft_rtl.boards.ecp5_pll import Ecp5Pll, PllDividers
from weft_rtl.soc.soc import Soc

__all__ = ["SDRAM_PINS", "Ecp5Board"]

_RESET_CYCLES = 64
_TIED = ("sdram_cke", "sdram_csn", "sdram_dqm")
SDRAM_PINS = {
    "sdram_cke": "cke",
    "sdram_csn": "cs_n",
    "sdram_rasn": "ras_n",
    "sdram_casn": "cas_n",
    "sdram_wen": "we_n",
    "sdram_ba": "ba",
    "sdram_a": "a",
    "sdram_dqm": "dqm",
}
"""Names in the board's constraint file, and the pads of the controller."""


class Ecp5Board(wiring.Component):
    """The top module; ports are pins, by the names of the ULX3S's public constraint file.

    The Verilog of the CPU (`cpu_core_verilog`) belongs to the design, too.

    Members
    -------
    clk_25mhz : the oscillator, whatever its frequency
    ftdi_txd, ftdi_rxd : the serial line, named by the USB chip: its output, our input, comes first
    led, btn : ``btn`` in the polarity of the board
    sdram_* : the SDRAM; ``sdram_d`` is an inout of the module and no member
    board.held_high : Out(1) each, at 1

    Parameters
    ----------
    board : Board
    firmware : bytes
        What the CPU's ROM holds.
    """

    clk_25mhz: Signal
    ftdi_txd: Signal
    ftdi_rxd: Signal
    led: Signal
    btn: Signal
    sdram_clk: Signal

    def __init__(self, board: Board, firmware: bytes) -> None:
        self._board = board
        self._dividers = PllDividers(
            input_hz=board.oscillator_hz, first_hz=board.clock_hz, second_hz=board.sdram_hz
        )
        self._soc = Soc(board, firmware=firmware)
        left_out = _TIED if board.sdram_tied else ()
        self._pins = {name: pad for name, pad in SDRAM_PINS.items() if name not in left_out}
        pads: Any = self._soc.pads
        super().__init__(
            {
                "clk_25mhz": In(1),
                "ftdi_txd": In(1),
                "ftdi_rxd": Out(1),
                "led": Out(board.leds),
                **({"btn": In(board.buttons)} if board.buttons else {}),
                "sdram_clk": Out(1),
                **{name: Out(len(getattr(pads, pad))) for name, pad in self._pins.items()},
                **dict.fromkeys(board.held_high, Out(1, init=1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.soc = soc = self._soc
        m.submodules.pll = pll = Ecp5Pll(self._dividers)
        sync: Any = ClockDomain("sync")
        sdram: Any = ClockDomain("sdram", reset_less=True)
        boot: Any = ClockDomain("boot")
        m.domains += [sync, sdram, boot]
        m.d.comb += [
            pll.i_clk.eq(self.clk_25mhz),
            sync.clk.eq(pll.o_first),
            boot.clk.eq(pll.o_first),
            sdram.clk.eq(pll.o_second),
        ]
        # Both clocks run for a while before the reset ends. It has a thousand readers: the second
        # register has a cycle's way from the PLL, the third one to them.
        m.submodules.locked = ResetSynchronizer(~pll.o_locked, domain="boot")
        waited = Signal(range(_RESET_CYCLES))
        held, nearer, reset = (Signal(init=1, name=n) for n in ("held", "nearer", "reset"))
        sync.rst = reset
        m.d.boot += [nearer.eq(held), reset.eq(nearer)]
        with m.If(waited == _RESET_CYCLES - 1):
            m.d.boot += held.eq(0)
        with m.Else():
            m.d.boot += waited.eq(waited + 1)

        pads: Any = soc.pads
        m.d.comb += [getattr(self, name).eq(getattr(pads, pad)) for name, pad in self._pins.items()]
        # The clock comes from a register at the pin, as the other pads do: low first, so that the
        # SDRAM's rising edge lies in the middle of what it takes.
        m.submodules.clock_pad = Instance(
            "ODDRX1F",
            i_SCLK=ClockSignal("sdram"),
            i_RST=Const(0),
            i_D0=Const(0),
            i_D1=Const(1),
            o_Q=self.sdram_clk,
        )
        dq = IOPort(len(pads.dq_o), name="sdram_d")
        for bit in range(len(pads.dq_o)):
            m.submodules[f"dq_pad_{bit}"] = IOBufferInstance(
                dq[bit], i=pads.dq_i[bit], o=pads.dq_o[bit], oe=pads.dq_oe[bit]
            )
        m.d.comb += [
            soc.i_uart.eq(self.ftdi_txd),
            self.ftdi_rxd.eq(soc.o_uart),
            self.led.eq(soc.o_leds ^ low if (low := self._board.leds_low) else soc.o_leds),
        ]
        if self._board.buttons:
            m.d.comb += soc.i_buttons.eq(self.btn ^ self._board.buttons_low)
        return m
