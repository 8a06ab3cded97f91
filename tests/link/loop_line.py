# SPDX-License-Identifier: Apache-2.0
"""A line to a far end in this process, with a clock of its own and faults both ways."""

from __future__ import annotations

from collections import deque

from weft.link.far_end import Cpu, FarEnd
from weft.link.faults import FaultInjector
from weft_arch.device import Device

BYTES_PER_SECOND = 300_000.0
TURN_SECONDS = 0.001


class LoopLine:
    """Bytes take their time in each direction, as on a serial port of 3 Mbaud.

    Members:
        far_end: may be replaced, as if the board had been switched off and on.
        dead: nothing is answered any more.
        clock: seconds since the start, of the line; `now` is what the host has seen of it.
    """

    def __init__(
        self,
        device: Device,
        *,
        rate: float = 0.0,
        seed: int = 1,
        session: int = 77,
        cpu: Cpu | None = None,
    ) -> None:
        self.device, self.cpu = device, cpu
        self.name, self.session, self.now = "loop", session, 0.0
        self.bytes_per_second, self.latency_seconds = BYTES_PER_SECOND, 0.05
        self.faults = [FaultInjector.seeded(f"{seed}/{way}", rate) for way in ("to", "from")]
        self.far_end = FarEnd(device, cpu=cpu, now=lambda: self.clock)
        self.clock = self._sent_until = self._answered_until = 0.0
        self.dead = self.closed = False
        self.sent_bytes = self.received_bytes = 0
        self._to: deque[tuple[float, bytes]] = deque()
        self._from: deque[tuple[float, bytes]] = deque()

    @property
    def total_faults(self) -> int:
        return sum(f.total for f in self.faults)

    def restart(self) -> None:
        self.far_end = FarEnd(self.device, cpu=self.cpu, now=lambda: self.clock)

    def send(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        arrives = max(self.now, self._sent_until) + len(data) / BYTES_PER_SECOND
        self._sent_until = arrives
        self._to.append((arrives + TURN_SECONDS, self.faults[0].damage(data)))

    def receive(self, timeout: float) -> bytes:
        until = self.now + timeout
        while True:
            if self._from and self._from[0][0] <= until:
                self.now, data = self._from.popleft()
                self.received_bytes += len(data)
                return data
            if self._to and self._to[0][0] <= until:
                self.clock, data = self._to.popleft()
                if not self.dead:
                    self.far_end.feed(data)
            elif self.far_end.busy and self.clock < until and not self.dead:
                self.clock += 0.01
            else:
                self.now = self.clock = until
                return b""
            while not self.dead:
                answer = self.far_end.step()
                if not answer:
                    break
                arrives = max(self.clock, self._answered_until) + len(answer) / BYTES_PER_SECOND
                self._answered_until = arrives
                self._from.append((arrives + TURN_SECONDS, self.faults[1].damage(answer)))

    def close(self) -> None:
        self.closed = True
