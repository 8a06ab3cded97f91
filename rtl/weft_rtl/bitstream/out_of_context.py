# SPDX-License-Identifier: Apache-2.0
"""A component alone on a part: registers around its ports, and few pins."""

from collections.abc import Mapping
from typing import Any

from amaranth import Cat, ClockDomain, ClockSignal, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["OutOfContext"]

PARITY_BITS = 32
"""Outputs that one flip-flop of the parity chain takes: three levels of logic, never the longest
path."""


class OutOfContext(wiring.Component):
    """``inner`` with a shift register before its inputs and a parity behind its outputs.

    So each of its ports has a register for a neighbour, as in the whole design, nothing of it can
    be left out by synthesis, and few pins are enough. No domain has a reset but those that
    ``inner`` makes itself.

    Members
    -------
    clk, clk_NAME : In(1), the clock of ``sync`` (or of an ``inner`` that has its clock as a port),
        and of each other domain.
    i : In(1), the shift register's input.
    o : Out(1), the parity of all outputs so far.

    Parameters
    ----------
    inner : wiring.Component
    domains : Mapping[str, str]
        For members of ``inner`` in another domain than ``sync``: the domain's name.
    """

    i: Signal
    o: Signal

    def __init__(self, inner: Any, domains: Mapping[str, str] | None = None) -> None:
        self._inner = inner
        self._domains = dict(domains or {})
        others = sorted(set(self._domains.values()))
        self.clocks = {"clk": "sync", **{f"clk_{name}": name for name in others}}
        super().__init__({**dict.fromkeys(self.clocks, In(1)), "i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = self._inner
        # A component that has its clock as a port makes its domains itself.
        has_clock = "clk" in self._inner.signature.members
        for port, name in self.clocks.items():
            for made in (f"around_{name}",) if has_clock else (f"around_{name}", name):
                domain: Any = ClockDomain(made, reset_less=True)
                m.domains += domain
                m.d.comb += domain.clk.eq(getattr(self, port))
        last: Value = self.i
        parity: Value = Const(0, 1)
        for path, member, found in self._inner.signature.flatten(self._inner):
            port, name = Value.cast(found), "_".join(map(str, path))
            around = f"around_{self._domains.get(str(path[0]), 'sync')}"
            if name == "clk":
                m.d.comb += port.eq(ClockSignal(around))
                continue
            if len(port) == 0:
                continue
            held = Signal(len(port), name=f"held_{name}", reset_less=True)
            if member.flow is In:
                m.d[around] += held.eq(Cat(last, held))
                m.d.comb += port.eq(held)
                last = held[-1]
                continue
            m.d[around] += held.eq(port)
            for low in range(0, len(port), PARITY_BITS):
                longer = Signal(name=f"parity_{name}_{low}", reset_less=True)
                m.d[around] += longer.eq(parity ^ held[low : low + PARITY_BITS].xor())
                parity = longer
        m.d.comb += self.o.eq(parity)
        return m
