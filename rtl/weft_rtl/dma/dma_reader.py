# SPDX-License-Identifier: Apache-2.0
"""Bursts of long reads, held back until there is room for their data."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from weft_arch.config import Configuration
from weft_rtl.dma.burst_splitter import BurstSplitter
from weft_rtl.dma.ports import TRANSFER_BEATS, Burst, Transfer

__all__ = ["DMAReader"]


class DMAReader(wiring.Component):
    """Turns transfers into bursts for a read client, with credit.

    A burst leaves when the credit covers all its beats, and takes them from it. The owner of the
    data's buffer gives credit back as places become free.

    One burst per cycle; the first 3 cycles after the transfer is taken.

    Members
    -------
    i : stream of Transfer, In
    o : stream of Burst, Out
        To ``burst`` of the read client.
    i_granted : In(range(max_grant + 1))
        Beats of room that came free in this cycle.
    o_waiting : Out(1)
        A burst waits for credit.

    Parameters
    ----------
    initial_beats : int
        Credit at reset.
    room_beats : int
        Most credit there can be.
    max_grant : int
        Most that ``i_granted`` can be.
    length_width : int
        As in `BurstSplitter`.
    """

    i: stream.Interface
    o: stream.Interface
    i_granted: Signal
    o_waiting: Signal

    def __init__(
        self,
        config: Configuration,
        *,
        initial_beats: int,
        room_beats: int,
        max_grant: int = 1,
        length_width: int = TRANSFER_BEATS.width,
    ) -> None:
        if room_beats < config.max_burst_beats:
            raise ValueError(
                f"room_beats is {room_beats}; it must be at least the {config.max_burst_beats} "
                "of the longest burst, or that would never leave"
            )
        self._config = config
        self._initial_beats = initial_beats
        self._room_beats = room_beats
        self._length_width = length_width
        super().__init__(
            {
                "i": In(stream.Signature(Transfer)),
                "o": Out(stream.Signature(Burst)),
                "i_granted": In(range(max_grant + 1)),
                "o_waiting": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        splitter = BurstSplitter(self._config, self._length_width)
        m.submodules.splitter = splitter
        connect(m, wiring.flipped(self.i), splitter.i)

        credit = Signal(range(self._room_beats + 1), init=self._initial_beats)
        burst: Any = Signal(Burst, reset_less=True)
        waiting = splitter.o
        enough = Signal()
        release = Signal()
        m.d.comb += [
            enough.eq(credit >= waiting.payload.beats),
            release.eq(waiting.valid & enough & (~self.o.valid | self.o.ready)),
            waiting.ready.eq(enough & (~self.o.valid | self.o.ready)),
            self.o.payload.eq(burst),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(release):
            m.d.sync += [self.o.valid.eq(1), burst.eq(waiting.payload)]
            m.d.sync += credit.eq(credit + self.i_granted - waiting.payload.beats)
        with m.Else():
            m.d.sync += credit.eq(credit + self.i_granted)
        m.d.sync += self.o_waiting.eq(waiting.valid & ~enough)
        return m
