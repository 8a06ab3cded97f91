# SPDX-License-Identifier: Apache-2.0
"""Cuts transfers into legal AXI bursts."""

from typing import Any

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.ports import TRANSFER_BEATS, Burst, Transfer

__all__ = ["BurstSplitter"]


class BurstSplitter(wiring.Component):
    """Splits transfers into bursts of at most ``max_burst_beats``.

    Bursts end at the multiples of the longest burst, so none crosses a 4 KiB boundary and all but
    the first start where a DRAM page is likely to be open. Addresses wrap at 2**32. The bits of the
    address below a beat are those of the transfer, for the check of its alignment.

    One burst per cycle, the first 2 cycles after the transfer is taken; one cycle between the last
    burst of a transfer and the next transfer.

    Members
    -------
    i : stream of Transfer, In
    o : stream of Burst, Out

    Parameters
    ----------
    length_width : int
        Bits of the longest transfer's ``beats``; the upper ones are ignored.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: Configuration, length_width: int = TRANSFER_BEATS.width) -> None:
        self._config = config
        self._length_width = length_width
        super().__init__({"i": In(stream.Signature(Transfer)), "o": Out(stream.Signature(Burst))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat_bits = (self._config.beat_bytes - 1).bit_length()
        burst_bits = (self._config.max_burst_beats - 1).bit_length()
        boundary = beat_bits + burst_bits

        active = Signal()
        address = Signal(32, reset_less=True)
        remaining = Signal(self._length_width, reset_less=True)
        last = Signal(reset_less=True)

        room = Signal(burst_bits + 1)
        final = Signal()
        take = Signal(burst_bits + 1)
        low = remaining[: burst_bits + 1]
        m.d.comb += [
            room.eq(self._config.max_burst_beats - address[beat_bits:boundary]),
            final.eq(~remaining[burst_bits + 1 :].any() & (low <= room)),
            take.eq(room),
        ]
        with m.If(final):
            m.d.comb += take.eq(low)

        m.d.comb += self.i.ready.eq(~active)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                active.eq(1),
                address.eq(self.i.payload.address),
                remaining.eq(self.i.payload.beats),
                last.eq(self.i.payload.last),
            ]
        burst: Any = Signal(Burst, reset_less=True)
        m.d.comb += self.o.payload.eq(burst)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += self.o.valid.eq(active)
            with m.If(active):
                m.d.sync += [
                    burst.address.eq(address),
                    burst.beats.eq(take),
                    burst.last.eq(last & final),
                    address.eq(
                        Cat(address[:beat_bits], Const(0, burst_bits), address[boundary:] + 1)
                    ),
                    remaining.eq(remaining - room),
                    active.eq(~final),
                ]
        return m
