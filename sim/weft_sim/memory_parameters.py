# SPDX-License-Identifier: Apache-2.0
"""How the simulated DRAM behaves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

__all__ = ["MemoryParameters"]


@dataclass(frozen=True, kw_only=True)
class MemoryParameters:
    """Timing of the memory behind the AXI4 port. Contents and bits never depend on it.

    Members:
        latency_cycles: from the acceptance of a read address to its first beat of data, at least
            1. Latencies of outstanding bursts overlap, so that they stream back to back.
        write_latency_cycles: from the last beat of write data to the response, at least 1.
        bytes_per_cycle: bandwidth of each direction; None or the bus width for a beat in every
            cycle. Fractions are fine.
        shared_bus: reads and writes share that bandwidth, as on a DRAM with one data bus.
        outstanding_reads, outstanding_writes: bursts the memory accepts before it makes the
            design wait.
        stall: probability, from 0 to below 1, that each channel independently stalls in a cycle.
            Above 0, reads also take their data at a random time between address and delivery.
        seed: of the random stalls.
    """

    latency_cycles: int = 40
    write_latency_cycles: int = 20
    bytes_per_cycle: float | None = None
    shared_bus: bool = False
    outstanding_reads: int = 16
    outstanding_writes: int = 16
    stall: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in (
            "latency_cycles",
            "write_latency_cycles",
            "outstanding_reads",
            "outstanding_writes",
        ):
            value = getattr(self, name)
            if not 1 <= value <= 1_000_000:
                raise ValueError(f"{name} is {value}; it must be 1 to 1000000.")
        if self.bytes_per_cycle is not None and not 1 / 256 <= self.bytes_per_cycle <= 1024:
            raise ValueError(
                f"bytes_per_cycle is {self.bytes_per_cycle}; it must be 1/256 to 1024."
            )
        if not 0 <= self.stall < 1:
            raise ValueError(f"stall is {self.stall}; it must be at least 0 and below 1.")

    def stalling(self, seed: int, probability: float = 0.3) -> MemoryParameters:
        """The same memory with random stalls."""
        return dataclasses.replace(self, stall=probability, seed=seed)
