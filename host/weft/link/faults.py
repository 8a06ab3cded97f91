# SPDX-License-Identifier: Apache-2.0
"""Damages what goes over a line, for tests: changed, lost and doubled bytes, bursts of garbage,
and whole pieces lost or doubled."""

import random
from dataclasses import dataclass

__all__ = ["FaultInjector"]


@dataclass(kw_only=True)
class FaultInjector:
    """Damages bytes at random.

    Members:
        rng: where chance comes from.
        rate: how likely a fault is, for each byte.
        faults: how many there were, by kind.
    """

    rng: random.Random
    rate: float
    faults: dict[str, int]

    @staticmethod
    def seeded(seed: int | str, rate: float) -> "FaultInjector":
        """One with its own source of chance."""
        kinds = ("change", "drop", "double", "garbage", "lose", "repeat")
        return FaultInjector(rng=random.Random(seed), rate=rate, faults=dict.fromkeys(kinds, 0))

    @property
    def total(self) -> int:
        """All faults so far."""
        return sum(self.faults.values())

    def damage(self, data: bytes) -> bytes:
        """What arrives of ``data``."""
        if self.rate == 0:
            return data
        rng, out = self.rng, bytearray()
        at = 0
        while True:
            # The distance to the next fault, so that good bytes cost nothing.
            gap = int(rng.expovariate(self.rate))
            out += data[at : at + gap]
            at += gap
            if at >= len(data):
                return bytes(out)
            kind = rng.choice(list(self.faults))
            self.faults[kind] += 1
            span = rng.randrange(1, 1500)
            match kind:
                case "change":
                    out.append(data[at] ^ 1 << rng.randrange(8))
                    at += 1
                case "drop":
                    at += 1
                case "double":
                    out += data[at : at + 1] * 2
                    at += 1
                case "garbage":
                    out += rng.randbytes(rng.randrange(1, 60))
                case "lose":
                    at += span
                case _:
                    out += data[max(at - span, 0) : at]
