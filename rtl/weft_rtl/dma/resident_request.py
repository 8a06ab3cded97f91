# SPDX-License-Identifier: Apache-2.0
"""The part of the stream unit's work that is for the resident memory."""

from collections.abc import Sequence
from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data

from weft_arch.config import Configuration
from weft_arch.isa import Opcode, Resident, StreamWeights
from weft_rtl.control.decode import arguments

__all__ = ["ResidentRequest"]


class ResidentRequest:
    """States of the stream unit that keep or replay tiles.

    Nothing else is in work meanwhile: everything before is in the weight buffer (``drained``), and
    the next instruction is taken afterwards. To keep is to stream, but for where the beats go. A
    replay is a segment for which room is reserved and nothing is read.

    Parameters
    ----------
    control : `weft_rtl.memory.resident_memory.resident_signature`
    offer_room : Signal
        Gives the segment to the keeper of the weight buffer's room alone.
    drained : Value
        All beats that were asked for have been handed on.
    """

    def __init__(
        self, config: Configuration, control: Any, offer_room: Signal, drained: Value
    ) -> None:
        self._config, self._control = config, control
        self._offer_room, self._drained = offer_room, drained
        self.mode = Signal(2, reset_less=True)
        """`Resident` of the instruction"""
        self.replaying = Signal()
        self._keeping = Signal()
        self._place = Signal(32, reset_less=True)

    def capture(self, m: Module, payload: data.View) -> None:
        """Take what is in the instruction, in the state that accepts it."""
        mode = arguments(StreamWeights, payload.arguments).resident
        m.d.sync += [
            self.mode.eq(Mux(payload.opcode == Opcode.STREAM_WEIGHTS, mode, Resident.NONE)),
            self._place.eq(Mux(mode == Resident.KEEP, payload.aux_a, payload.address)),
        ]

    def is_beyond(self, count: Signal, half_codes: Signal) -> Value:
        """Whether the instruction's last place is none."""
        end = self._place + Mux(half_codes, count, count << 1)
        return (self.mode != Resident.NONE) & (end > self._config.resident_places)

    def states(
        self,
        m: Module,
        whole: Sequence[Any],
        segment: data.View,
        offer: Signal,
        nothing: Signal,
    ) -> None:
        """RESIDENT and what follows it, up to IDLE; ``whole`` makes the instruction's one segment,
        ``offer`` gives it to all parts, and ``nothing`` ends an instruction of which no beat
        tells the end."""
        control = self._control
        started = Signal()
        m.d.sync += started.eq(0)
        m.d.comb += [
            control.start.eq(started),
            control.keep.eq(self._keeping),
            control.place.eq(self._place),
            control.tiles.eq(segment.tiles),
            control.half_codes.eq(segment.half_codes),
        ]
        with m.State("RESIDENT"), m.If(self._drained):
            m.d.sync += [*whole, started.eq(1)]
            with m.If(self.mode == Resident.KEEP):
                m.d.comb += offer.eq(1)
                m.d.sync += self._keeping.eq(1)
                m.next = "KEEP"
            with m.Else():
                m.d.comb += self._offer_room.eq(1)
                m.d.sync += self.replaying.eq(1)
                m.next = "REPLAY"
        with m.State("KEEP"), m.If(self._drained):
            m.d.sync += self._keeping.eq(0)
            m.next = "IDLE"
        with m.State("REPLAY"), m.If(control.done):
            m.d.comb += nothing.eq(1)
            m.d.sync += self.replaying.eq(0)
            m.next = "IDLE"
