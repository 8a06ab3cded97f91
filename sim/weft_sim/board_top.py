# SPDX-License-Identifier: Apache-2.0
"""A whole board for Verilator: the SoC, an SDRAM that checks every rule, clocks from outside."""

from __future__ import annotations

from typing import Any

from amaranth import ClockDomain, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.boards.board import Board
from weft_rtl.soc.cpu_core import cpu_core_verilog
from weft_rtl.soc.soc import Soc
from weft_rtl.verilog_text import to_verilog
from weft_sim.sdram_model import MODEL_PORTS, sdram_model_parameters, sdram_model_verilog

__all__ = ["IDLE_FIRMWARE", "TOP", "SimulatedBoard", "board_verilog"]

TOP = "simulated_board"

IDLE_FIRMWARE = (0x6F).to_bytes(4, "little")
"""A jump to itself. The simulation writes the ROM later, so that a firmware needs no new model."""


class SimulatedBoard(wiring.Component):
    """Everything on the board but oscillator and PLL.

    Members
    -------
    clk, rst : clock of ``board.clock_hz`` and its reset, held for some cycles of both clocks
    clk_sdram : clock of ``board.sdram_hz``
    i_uart, o_uart, i_buttons, o_leds : as of `Soc`
    rule, ... : `MODEL_PORTS` of the SDRAM
    """

    clk: Signal
    rst: Signal
    clk_sdram: Signal
    i_uart: Signal
    o_uart: Signal
    i_buttons: Signal
    o_leds: Signal

    def __init__(self, board: Board, soc: Soc) -> None:
        self._board, self._soc = board, soc
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "clk_sdram": In(1),
                "i_uart": In(1),
                "o_uart": Out(1),
                "i_buttons": In(8),
                "o_leds": Out(8),
                **{name: Out(width) for name, width in MODEL_PORTS.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Wires."""
        m = Module()
        sync: Any = ClockDomain("sync")
        sdram: Any = ClockDomain("sdram", reset_less=True)
        m.domains += [sync, sdram]
        sync.clk, sync.rst, sdram.clk = self.clk, self.rst, self.clk_sdram
        m.submodules.soc = soc = self._soc
        m.d.comb += [
            soc.i_uart.eq(self.i_uart),
            soc.i_buttons.eq(self.i_buttons),
            self.o_uart.eq(soc.o_uart),
            self.o_leds.eq(soc.o_leds),
        ]
        pads: Any = soc.pads
        names = ("clk", "cke", "cs_n", "ras_n", "cas_n", "we_n", "ba", "a", "dqm")
        parameters = sdram_model_parameters(self._board.sdram, self._board.sdram_hz)
        m.submodules.model = Instance(
            "sdram_model",
            **{f"p_{name}": value for name, value in parameters.items()},
            **{f"i_{name}": getattr(pads, name) for name in names},
            i_rst=ResetSignal(),
            i_dq_i=pads.dq_o,
            i_dq_driven=pads.dq_oe.any(),
            o_dq_o=pads.dq_i,
            **{f"o_{name}": getattr(self, name) for name in MODEL_PORTS},
        )
        return m


def board_verilog(board: Board, *, told_clock_hz: int | None = None) -> str:
    """The board as Verilog text; its top module is `TOP`."""
    soc = Soc(board, firmware=IDLE_FIRMWARE, told_clock_hz=told_clock_hz)
    text = to_verilog(SimulatedBoard(board, soc), TOP)
    return text + cpu_core_verilog() + sdram_model_verilog()
