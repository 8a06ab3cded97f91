# SPDX-License-Identifier: Apache-2.0
"""The serial line of a simulated board, as the host's side of the link wants a line."""

from __future__ import annotations

from collections.abc import Callable

from weft_sim.board_simulation import BoardSimulation

__all__ = ["BoardLine"]

_PIECE_CYCLES = 2_000
_LATENCY_CYCLES = 40_000


class BoardLine:
    """Bytes to and from a board that runs only while somebody waits for it.

    Its clock is the board's, as the board tells it, so what happens does not depend on the machine
    that simulates: the same calls give the same cycles.

    Args:
        simulation: the board; the line owns it.
        damage: what the line does to bytes, to the board and back; by default nothing.

    Members: those of the host's lines, and ``simulation``.
    """

    def __init__(
        self,
        simulation: BoardSimulation,
        *,
        damage: tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]] | None = None,
    ) -> None:
        self.simulation = simulation
        self._to, self._from = damage or (bytes, bytes)
        self.name = f"board:{simulation.board.name}"
        self.session = 1
        board, told = simulation.board, simulation.told_clock_hz
        self.bytes_per_second = board.baud / 10 * told / board.clock_hz
        self.latency_seconds = _LATENCY_CYCLES / told

    @property
    def now(self) -> float:
        """Seconds of the board's clock."""
        return self.simulation.cycles / self.simulation.told_clock_hz

    def send(self, data: bytes) -> None:
        """Put all bytes on the line; they arrive while the board runs."""
        self.simulation.send(self._to(data))

    def receive(self, timeout: float) -> bytes:
        """Run the board until something has come, for ``timeout`` seconds of its clock at most."""
        simulation = self.simulation
        left = max(round(timeout * simulation.told_clock_hz), 1)
        while left > 0:
            left -= simulation.run(min(left, _PIECE_CYCLES), until_byte=True)
            if data := simulation.receive():
                return self._from(data)
        return b""

    def close(self) -> None:
        """End the simulation."""
        self.simulation.close()
