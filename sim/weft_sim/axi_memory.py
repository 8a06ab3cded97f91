# SPDX-License-Identifier: Apache-2.0
"""A memory behind an AXI4 port of a design, for cocotb benches, that checks what it is asked."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft_sim.bench_context import Bench
from weft_sim.streams import Stalls, StreamError

__all__ = ["AxiMemory"]

SLVERR = 2


@dataclass
class _Burst:
    address: int
    beats: int
    due: int
    data: deque[tuple[int, int]] = field(default_factory=deque)


class AxiMemory:
    """One AXI4 subordinate with in-order responses and a fixed latency.

    From the transfer of a read address to its first beat are ``latency`` cycles, then a beat per
    cycle; from the last beat of write data to its response also ``latency``. Every burst must be
    aligned, within ``max_beats`` and a 4 KiB page, and channels must keep to the protocol.

    Args:
        bench: the bench.
        prefix: the port, for example ``"m_axi"`` for ``m_axi_awaddr``.
        size: bytes, from address 0.
        max_beats: the longest burst that is allowed.
        latency: cycles.
        stall: how likely a cycle without ``ready``, or without a response, is; by default the
            bench's ``stall``.

    Members:
        data: the bytes, as a NumPy array.
        bad: addresses at which a burst is answered with SLVERR.
        reads, writes: (address, beats, cycle) of every burst.
        written: how often each byte was written.
    """

    def __init__(
        self,
        bench: Bench,
        prefix: str,
        size: int,
        *,
        max_beats: int,
        latency: int = 40,
        stall: float | None = None,
    ) -> None:
        self._bench = bench
        self._ports = _Ports(bench, prefix)
        self._max_beats = max_beats
        self._latency = latency
        self.beat_bytes = len(self._ports.wstrb)
        self.data = np.zeros(size, np.uint8)
        self.written = np.zeros(size, np.uint16)
        self.bad: set[int] = set()
        self.reads: list[tuple[int, int, int]] = []
        self.writes: list[tuple[int, int, int]] = []
        self.read_cycles: list[int] = []
        rate = bench.stall if stall is None else stall
        self._stalls = {
            name: Stalls(rate, bench.random_for(f"{prefix}/{name}"))
            for name in ["ar", "r", "aw", "w", "b"]
        }
        self._held: dict[str, tuple[int, ...]] = {}
        self._driven: dict[str, int] = {}
        self._reading: deque[_Burst] = deque()
        self._writing: deque[_Burst] = deque()
        self._responding: deque[_Burst] = deque()
        self._beats: deque[tuple[int, int, int]] = deque()
        for name in ("arready", "rvalid", "awready", "wready", "bvalid", "rid", "bid"):
            self._drive(name, 0)
        bench.add_agent(self._at_edge)
        bench.add_report(self._report)

    def _at_edge(self) -> None:
        self._read_address()
        self._read_data()
        self._write_address()
        self._write_data()
        self._write_response()

    def _read_address(self) -> None:
        taken = self._take("ar", ("araddr", "arlen", "arsize", "arburst"))
        if taken:
            burst = self._check("read", *taken)
            self._reading.append(burst)
            self.reads.append((burst.address, burst.beats, self._bench.cycle))

    def _read_data(self) -> None:
        ports = self._ports
        if self._driven["rvalid"]:
            if not int(ports.rready.value):
                return
            self.read_cycles.append(self._bench.cycle)
            burst = self._reading[0]
            burst.address += self.beat_bytes
            burst.beats -= 1
            if burst.beats == 0:
                self._reading.popleft()
        burst = self._reading[0] if self._reading else None
        if burst is None or burst.due > self._bench.cycle or self._stalls["r"].now():
            self._drive("rvalid", 0)
            return
        place = burst.address % len(self.data)
        raw = self.data[place : place + self.beat_bytes].tobytes()
        self._drive("rdata", int.from_bytes(raw, "little"))
        self._drive("rlast", int(burst.beats == 1))
        self._drive("rresp", SLVERR if burst.address in self.bad else 0)
        self._drive("rvalid", 1)

    def _write_address(self) -> None:
        taken = self._take("aw", ("awaddr", "awlen", "awsize", "awburst"))
        if taken:
            burst = self._check("write", *taken)
            self._writing.append(burst)
            self.writes.append((burst.address, burst.beats, self._bench.cycle))

    def _write_data(self) -> None:
        taken = self._take("w", ("wdata", "wstrb", "wlast"))
        if taken:
            data, strobe, last = taken
            self._beats.append((data, strobe, last))
        while self._writing and self._beats:
            burst = self._writing[0]
            data, strobe, last = self._beats.popleft()
            burst.data.append((data, strobe))
            if bool(last) != (len(burst.data) == burst.beats):
                raise StreamError(
                    f"Beat {len(burst.data)} of {burst.beats} at {burst.address:#x} has wlast "
                    f"{last}, in cycle {self._bench.cycle}."
                )
            if last:
                self._store(self._writing.popleft())

    def _store(self, burst: _Burst) -> None:
        for k, (data, strobe) in enumerate(burst.data):
            raw = data.to_bytes(self.beat_bytes, "little")
            for lane in range(self.beat_bytes):
                if strobe >> lane & 1:
                    place = (burst.address + k * self.beat_bytes + lane) % len(self.data)
                    self.data[place] = raw[lane]
                    self.written[place] += 1
        burst.due = self._bench.cycle + self._latency
        self._responding.append(burst)

    def _write_response(self) -> None:
        if self._driven["bvalid"]:
            if not int(self._ports.bready.value):
                return
            self._responding.popleft()
        burst = self._responding[0] if self._responding else None
        if burst is None or burst.due > self._bench.cycle or self._stalls["b"].now():
            self._drive("bvalid", 0)
            return
        self._drive("bresp", SLVERR if burst.address in self.bad else 0)
        self._drive("bvalid", 1)

    def _take(self, channel: str, fields: tuple[str, ...]) -> tuple[int, ...] | None:
        """What was transferred on a channel that the design drives, after a protocol check."""
        valid = int(getattr(self._ports, f"{channel}valid").value)
        values = tuple(int(getattr(self._ports, f).value) for f in fields) if valid else ()
        held = self._held.get(channel, ())
        if held and held != values:
            raise StreamError(
                f"AXI channel {channel} changed from {held} to {values} while it waited for ready, "
                f"in cycle {self._bench.cycle}."
            )
        taken = bool(valid and self._driven[f"{channel}ready"])
        self._held[channel] = () if taken else values
        self._drive(f"{channel}ready", int(not self._stalls[channel].now()))
        return values if taken else None

    def _check(self, what: str, address: int, length: int, size: int, kind: int) -> _Burst:
        beats = length + 1
        end = address + beats * self.beat_bytes
        text = f"AXI {what} of {beats} beats at {address:#x}, in cycle {self._bench.cycle},"
        for wrong, message in (
            (1 << size != self.beat_bytes, f"has size {size}"),
            (kind != 1, f"has burst type {kind}"),
            (address % self.beat_bytes != 0, "is not aligned"),
            (beats > self._max_beats, f"is longer than {self._max_beats}"),
            (address >> 12 != (end - 1) >> 12, "crosses a 4 KiB boundary"),
        ):
            if wrong:
                raise StreamError(f"{text} {message}.")
        return _Burst(address, beats, self._bench.cycle + self._latency)

    def _drive(self, name: str, value: int) -> None:
        if self._driven.get(name) != value:
            getattr(self._ports, name).value = value
            self._driven[name] = value

    def _report(self) -> str:
        return (
            f"memory: {len(self.reads)} reads, {len(self._reading)} open; "
            f"{len(self.writes)} writes, {len(self._writing) + len(self._responding)} open"
        )


class _Ports:
    """The ports of the bus by their short names."""

    def __init__(self, bench: Bench, prefix: str) -> None:
        self._dut, self._prefix = bench.dut, prefix

    def __getattr__(self, name: str) -> Any:
        port = getattr(self._dut, f"{self._prefix}_{name}")
        setattr(self, name, port)
        return port
