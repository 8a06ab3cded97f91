# SPDX-License-Identifier: Apache-2.0
"""STORE_TOP_K: the list of the largest logits to memory."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.config import Configuration
from weft_rtl.dma.ports import Transfer, write_beat
from weft_rtl.interfaces import ResolvedInstruction

__all__ = ["StoreTopK"]


class StoreTopK(wiring.Component):
    """Runs STORE_TOP_K up to the handing over of its data: one command, 4 bytes in 3 cycles.

    Members
    -------
    i : stream of ResolvedInstruction, In
        Taken when the one before it is handed over.
    o_command : stream of Transfer, Out
    o_data : stream of `write_beat`, Out
    o_read_index, i_value, i_index
        The list's read port; value and index come one cycle after the index of the entry.
    """

    i: stream.Interface
    o_command: stream.Interface
    o_data: stream.Interface
    o_read_index: Signal
    i_value: Signal
    i_index: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(ResolvedInstruction)),
                "o_command": Out(stream.Signature(Transfer)),
                "o_data": Out(stream.Signature(write_beat(config))),
                "o_read_index": Out(range(config.top_k_entries)),
                "i_value": In(24),
                "i_index": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat_bytes = self._config.beat_bytes
        numbers = 2 * self._config.top_k_entries
        per_beat = beat_bytes // 4
        # Values and indexes alternately; a beat collects ``per_beat`` of them.
        number = Signal(range(numbers))
        address = Signal(32, reset_less=True)
        command_waits = Signal()
        collected = Signal(8 * beat_bytes, reset_less=True)
        strobe = Signal(beat_bytes)
        m.d.comb += [
            self.o_read_index.eq(number >> 1),
            self.o_command.valid.eq(command_waits),
            self.o_command.payload.address.eq(address),
            self.o_command.payload.beats.eq((4 * numbers + beat_bytes - 1) // beat_bytes),
            self.o_command.payload.last.eq(1),
            self.o_data.payload.data.eq(collected),
            self.o_data.payload.strobe.eq(strobe),
        ]
        with m.If(self.o_command.ready):
            m.d.sync += command_waits.eq(0)
        with m.FSM(name="state"):
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [number.eq(0), strobe.eq(0), address.eq(self.i.payload.address)]
                with m.If(self.i.valid):
                    m.d.sync += command_waits.eq(1)
                    m.next = "READ"
            with m.State("READ"):
                m.next = "COLLECT"
            with m.State("COLLECT"):
                place = number[: (per_beat - 1).bit_length()]
                with m.Switch(place):
                    for k in range(per_beat):
                        part = collected.word_select(k, 32)
                        with m.Case(k):
                            m.d.sync += strobe.word_select(k, 4).eq(0b1111)
                            with m.If(number[0]):
                                m.d.sync += part.eq(self.i_index)
                            with m.Else():
                                m.d.sync += part.eq(Cat(Const(0, 8), self.i_value))
                with m.If((place == per_beat - 1) | (number == numbers - 1)):
                    m.next = "SEND"
                with m.Else():
                    m.d.sync += number.eq(number + 1)
                    m.next = "READ"
            with m.State("SEND"):
                m.d.comb += self.o_data.valid.eq(1)
                with m.If(self.o_data.ready):
                    m.d.sync += [strobe.eq(0), number.eq(number + 1)]
                    with m.If(number == numbers - 1):
                        m.next = "LEAVE"
                    with m.Else():
                        m.next = "READ"
            with m.State("LEAVE"), m.If(~command_waits):
                m.next = "IDLE"
        return m
