# SPDX-License-Identifier: Apache-2.0
"""The one simulated board that tests share, so that only one model is compiled."""

from __future__ import annotations

from weft_rtl.boards.board import Board
from weft_sim.board_server import simulated

__all__ = ["BOARD"]

BOARD: Board = simulated("ulx3s_85f", preset="tiny", cycles_per_bit=8)
"""A ULX3S with the smallest array and a line of 8 cycles per bit."""
