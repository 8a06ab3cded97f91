# SPDX-License-Identifier: Apache-2.0
"""Drivers, monitors and checkers for `amaranth.lib.stream` ports in cocotb benches.

A stream member ``i`` becomes the ports ``i__payload``, ``i__valid`` and ``i__ready``; member ``a``
of an interface ``b`` becomes ``b__a__payload`` and so on, element 2 of an array ``x`` becomes
``x__2__payload``. The prefix given here is the part before ``__payload``. A stream without a port
``ready`` (a strobe) is always accepted.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from typing import Any

from weft_sim.bench_context import Bench
from weft_sim.payloads import Packer

__all__ = ["Stalls", "StreamChecker", "StreamDriver", "StreamError", "StreamMonitor"]


class StreamError(AssertionError):
    """A stream broke its protocol or delivered something unexpected."""


class Stalls:
    """Decides each cycle whether to stall: single cycles and now and then a long pause.

    Args:
        probability: how likely a cycle is a stall, from 0 (never) to below 1.
        rng: the generator to draw from.
    """

    def __init__(self, probability: float, rng: random.Random) -> None:
        if not 0 <= probability < 1:
            raise ValueError(f"A stall probability of {probability} is not in 0 <= p < 1.")
        self._probability = probability
        self._random = rng
        self._pause = 0

    def now(self) -> bool:
        """Whether to stall in the coming cycle."""
        if self._probability == 0:
            return False
        if self._pause:
            self._pause -= 1
            return True
        draw = self._random.random()
        if draw < self._probability / 40:
            self._pause = self._random.randrange(5, 40)
        return draw < self._probability


class _StreamPorts:
    """The ports of a stream; neither a payload of no bits nor a strobe's ready has one."""

    def __init__(self, bench: Bench, prefix: str, shape: Any) -> None:
        self.valid = _port(bench, prefix, "valid")
        self.ready: Any = getattr(bench.dut, f"{prefix}__ready", None)
        self.is_strobe = not hasattr(bench.dut, f"{prefix}__ready")
        self.payload = getattr(bench.dut, f"{prefix}__payload", None)
        width = 0 if self.payload is None else len(self.payload)
        self.packer = Packer(width if shape is None else shape)
        if self.packer.width != width:
            raise StreamError(
                f"Stream {prefix} carries {width} bits, the shape given has {self.packer.width}."
            )
        self.one_bit = width == 1

    def read_ready(self) -> bool:
        return self.is_strobe or bool(int(self.ready.value))

    def read_payload(self) -> int:
        return 0 if self.payload is None else int(self.payload.value)

    def write_payload(self, bits: int) -> None:
        if self.payload is not None:
            self.payload.value = bits


def _port(bench: Bench, prefix: str, name: str) -> Any:
    port = getattr(bench.dut, f"{prefix}__{name}", None)
    if port is None:
        raise StreamError(
            f"The design has no port {prefix}__{name}; the prefix is the name of the stream member."
        )
    return port


class StreamDriver:
    """Feeds payloads into an input stream of the design.

    Args:
        bench: the bench.
        prefix: the name of the stream, for example ``"i"`` or ``"i_weights"``.
        shape: the Amaranth shape of the payload; then payloads are given as dictionaries, lists
            or signed numbers (see `weft_sim.payloads`). Without it they are unsigned integers.
        stall: how likely a cycle without a payload is; by default the bench's ``stall``.

    While nothing is offered the payload port carries random bits, so a design that looks at a
    payload without ``valid`` is found out.
    """

    def __init__(
        self, bench: Bench, prefix: str, shape: Any = None, *, stall: float | None = None
    ) -> None:
        self.prefix = prefix
        self.sent = 0
        self._ports = _StreamPorts(bench, prefix, shape)
        self._bench = bench
        self._random = bench.random_for(f"{prefix}/driver")
        self._stalls = Stalls(bench.stall if stall is None else stall, self._random)
        self._queue: deque[int] = deque()
        self._offering = False
        self._drained = bench.event()
        self._ports.valid.value = 0
        bench.add_agent(self._at_edge)
        bench.add_report(self._report)

    def send(self, payload: Any) -> None:
        """Queue one payload; returns at once."""
        self._queue.append(self._ports.packer.pack(payload))
        self._drained.clear()

    def send_all(self, payloads: Iterable[Any]) -> None:
        """Queue payloads in order; returns at once."""
        for payload in payloads:
            self.send(payload)

    async def drained(self) -> None:
        """Wait until the design has taken everything that was queued."""
        if self._queue:
            await self._drained.wait()

    def _at_edge(self) -> None:
        ports = self._ports
        if self._offering:
            if not ports.read_ready():
                return  # a payload that is offered stays
            self._queue.popleft()
            self.sent += 1
            if not self._queue:
                self._drained.set()
        offer = bool(self._queue) and not self._stalls.now()
        if offer:
            ports.write_payload(self._queue[0])
        else:
            ports.write_payload(self._random.getrandbits(max(ports.packer.width, 1)))
        if offer != self._offering:
            ports.valid.value = int(offer)
            self._offering = offer

    def _report(self) -> str:
        state = "offers the next one" if self._offering else "offers nothing"
        return f"driver {self.prefix}: {self.sent} taken, {len(self._queue)} queued, {state}"


class StreamChecker:
    """Asserts the protocol of a stream: once valid, it stays valid, and its payload holds.

    Works on any stream of the design, in or out, without driving anything.
    """

    def __init__(self, bench: Bench, prefix: str, *, attach: bool = True) -> None:
        self.prefix = prefix
        self._ports = _StreamPorts(bench, prefix, None)
        self._bench = bench
        self._waiting: int | None = None
        if attach:
            bench.add_agent(self._at_edge)

    def check(self) -> tuple[bool, int]:
        """Check the cycle that ends now; whether a payload was transferred, and which."""
        ports = self._ports
        if not int(ports.valid.value):
            if self._waiting is not None:
                raise StreamError(
                    f"Stream {self.prefix} took back valid before ready, in cycle "
                    f"{self._bench.cycle} (payload {self._waiting:#x})."
                )
            return False, 0
        bits = ports.read_payload()
        if self._waiting is not None and bits != self._waiting:
            raise StreamError(
                f"Stream {self.prefix} changed its payload from {self._waiting:#x} to {bits:#x} "
                f"while it waited for ready, in cycle {self._bench.cycle}."
            )
        transferred = ports.read_ready()
        self._waiting = None if transferred else bits
        return transferred, bits

    def _at_edge(self) -> None:
        self.check()

    def forget(self) -> None:
        """Start anew after a reset of the design, which may take back valid."""
        self._waiting = None


class StreamMonitor:
    """Takes payloads from an output stream, checks its protocol, and keeps what came.

    Args:
        bench: the bench.
        prefix: the name of the stream, for example ``"o"``.
        shape: the Amaranth shape of the payload, as for `StreamDriver`.
        stall: how likely a cycle without ``ready`` is; by default the bench's ``stall``.
        passive: only watch; something else drives ``ready``. For the streams inside a design, or
            to see what a driver's stream delivered and when.

    Members:
        received: every payload so far, in order.
        received_cycles: the cycle of each transfer, for throughput checks.
    """

    def __init__(
        self,
        bench: Bench,
        prefix: str,
        shape: Any = None,
        *,
        stall: float | None = None,
        passive: bool = False,
    ) -> None:
        self.prefix = prefix
        self.received: list[Any] = []
        self.received_cycles: list[int] = []
        self.checker = StreamChecker(bench, prefix, attach=False)
        self._ports = _StreamPorts(bench, prefix, shape)
        self._bench = bench
        self._passive = passive or self._ports.is_strobe
        self._stalls = Stalls(
            bench.stall if stall is None else stall, bench.random_for(f"{prefix}/monitor")
        )
        self._awaited = 0
        self._arrived = bench.event()
        self._ready = False
        self._wanted = "nothing"
        if not self._passive:
            self._ports.ready.value = 0
        bench.add_agent(self._at_edge)
        bench.add_report(self._report)

    async def wait_for(self, count: int) -> list[Any]:
        """Wait until `count` payloads have come since the start, and return these."""
        while len(self.received) < count:
            self._awaited = count
            self._arrived.clear()
            await self._arrived.wait()
        return self.received[:count]

    async def expect(self, payloads: Iterable[Any], *, quiet_cycles: int = 20) -> None:
        """Wait for exactly these payloads, counted from the start, and for nothing after them.

        Raises:
            StreamError: a payload differs (the message says which and where), or more come
                within `quiet_cycles` cycles after the last.
        """
        expected = list(payloads)
        for index, payload in enumerate(expected):
            await self.wait_for(index + 1)
            if self.received[index] != payload:
                raise StreamError(
                    f"Stream {self.prefix}, payload {index} of {len(expected)} (cycle "
                    f"{self.received_cycles[index]}): got {self.received[index]!r}, expected "
                    f"{payload!r} (seed {self._bench.seed})."
                )
        await self._bench.cycles(quiet_cycles)
        if len(self.received) > len(expected):
            raise StreamError(
                f"Stream {self.prefix} delivered {len(self.received)} payloads, expected "
                f"{len(expected)}; the first one too many is {self.received[len(expected)]!r}."
            )

    def _at_edge(self) -> None:
        transferred, bits = self.checker.check()
        if transferred:
            self.received.append(self._ports.packer.unpack(bits))
            self.received_cycles.append(self._bench.cycle)
            if len(self.received) == self._awaited:
                self._arrived.set()
        if not self._passive:
            ready = not self._stalls.now()
            if ready != self._ready:
                self._ports.ready.value = int(ready)
                self._ready = ready

    def _report(self) -> str:
        valid = "valid" if int(self._ports.valid.value) else "not valid"
        return f"monitor {self.prefix}: {len(self.received)} of {self._awaited} came, now {valid}"
