# SPDX-License-Identifier: Apache-2.0
"""Looks at the address of every burst before it is issued."""

from typing import Any

from amaranth import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_arch.registers import Fault
from weft_rtl.dma.ports import Burst

__all__ = ["BurstCheck", "BurstVerdict", "checked_burst", "verdict_cause"]


class BurstVerdict(enum.Enum, shape=2):
    """What is wrong with a burst."""

    LEGAL = 0
    UNALIGNED = 1
    OUT_OF_RANGE = 2


def verdict_cause(verdict: Any) -> Value:
    """The fault that a verdict other than LEGAL stands for."""
    return Mux(
        verdict == BurstVerdict.UNALIGNED, Fault.UNALIGNED_ADDRESS, Fault.ADDRESS_OUT_OF_RANGE
    )


def checked_burst(tag_width: int) -> data.StructLayout:
    """A burst, who it is for, and the verdict."""
    return data.StructLayout({"burst": Burst, "tag": unsigned(tag_width), "verdict": BurstVerdict})


class BurstCheck(wiring.Component):
    """Decides whether a burst is beat aligned and lies in ``i_base`` to ``i_limit`` (exclusive).

    A burst that reaches the end of the address space lies outside, because ``i_limit`` cannot.
    One burst per cycle, 2 cycles.

    Members
    -------
    i : stream of {burst, tag}, In
    o : stream of `checked_burst`, Out
    i_base, i_limit : In(32)
    """

    i: stream.Interface
    o: stream.Interface
    i_base: Signal
    i_limit: Signal

    def __init__(self, config: Configuration, tag_width: int) -> None:
        self._config = config
        self._tag_width = tag_width
        tagged = data.StructLayout({"burst": Burst, "tag": unsigned(tag_width)})
        super().__init__(
            {
                "i": In(stream.Signature(tagged)),
                "o": Out(stream.Signature(checked_burst(tag_width))),
                "i_base": In(32),
                "i_limit": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat_bits = (self._config.beat_bytes - 1).bit_length()
        burst = self.i.payload.burst

        # 1: its end, and comparison with the base
        valid = Signal()
        first: Any = Signal(self.i.payload.shape(), reset_less=True)
        end = Signal(33, reset_less=True)
        below = Signal(reset_less=True)
        free = Signal()
        result_free = ~self.o.valid | self.o.ready
        m.d.comb += [free.eq(~valid | result_free), self.i.ready.eq(free)]
        with m.If(free):
            m.d.sync += valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += [
                    first.eq(self.i.payload),
                    end.eq(burst.address + (burst.beats << beat_bits)),
                    below.eq(burst.address < self.i_base),
                ]

        # 2: comparison with the limit
        result: Any = Signal(self.o.payload.shape(), reset_less=True)
        m.d.comb += self.o.payload.eq(result)
        with m.If(result_free):
            m.d.sync += self.o.valid.eq(valid)
            with m.If(valid):
                m.d.sync += [
                    result.burst.eq(first.burst),
                    result.tag.eq(first.tag),
                    result.verdict.eq(BurstVerdict.LEGAL),
                ]
                # Not as `>`, of which synthesis makes a comparison for equality as well.
                with m.If(below | (self.i_limit < end)):
                    m.d.sync += result.verdict.eq(BurstVerdict.OUT_OF_RANGE)
                with m.If(first.burst.address[:beat_bits].any()):
                    m.d.sync += result.verdict.eq(BurstVerdict.UNALIGNED)
        return m
