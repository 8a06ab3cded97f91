# SPDX-License-Identifier: Apache-2.0
"""Reads the program into the instruction memory."""

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from weft_arch.config import Configuration
from weft_arch.isa import INSTRUCTION_BYTES
from weft_rtl.dma.arithmetic import times
from weft_rtl.dma.burst_splitter import BurstSplitter
from weft_rtl.dma.ports import read_client_signature

__all__ = ["FetchCommand", "FetchUnit"]


class FetchCommand(data.Struct):
    """Read ``instructions`` (up to instruction_words) from ``address``."""

    address: 32
    instructions: 13


class FetchUnit(wiring.Component):
    """Reads a program and writes its instructions, whole, from index 0 on.

    Members
    -------
    i : stream of FetchCommand, In
    read : read client (`read_client_signature`)
    o_write : Out(1)
        Write ``o_instruction`` to index ``o_index`` of the instruction memory.
    o_index : Out(range(instruction_words))
    o_instruction : Out(256)
    o_done : Out(1)
        Pulse, one cycle after the last write (at once for no instructions).
    """

    i: stream.Interface
    read: Any
    o_write: Signal
    o_index: Signal
    o_instruction: Signal
    o_done: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(FetchCommand)),
                "read": Out(read_client_signature(config)),
                "o_write": Out(1),
                "o_index": Out(range(config.instruction_words)),
                "o_instruction": Out(8 * INSTRUCTION_BYTES),
                "o_done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat_bits = 8 * self._config.beat_bytes
        beats = 8 * INSTRUCTION_BYTES // beat_bits
        splitter = m.submodules.splitter = BurstSplitter(self._config, length_width=17)
        connect(m, splitter.o, wiring.flipped(self.read.burst))

        active = Signal()
        left = Signal(self.i.payload.instructions.shape())
        index = Signal(self.o_index.shape())
        beat = Signal(range(beats))
        count = self.i.payload.instructions
        m.d.comb += [
            self.i.ready.eq(~active & splitter.i.ready),
            splitter.i.valid.eq(self.i.valid & ~active & count.any()),
            splitter.i.payload.address.eq(self.i.payload.address),
            splitter.i.payload.beats.eq(times(count, beats)),
        ]
        m.d.sync += [self.o_done.eq(0), self.o_write.eq(0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [active.eq(count.any()), self.o_done.eq(~count.any())]
            m.d.sync += [left.eq(count), index.eq(0), beat.eq(0)]

        instruction = Signal(8 * INSTRUCTION_BYTES, reset_less=True)
        m.d.comb += self.o_instruction.eq(instruction)
        with m.If(self.read.valid):
            m.d.sync += [
                instruction.eq(Cat(instruction[beat_bits:], self.read.data)),
                beat.eq(beat + 1),
                self.o_write.eq(beat == beats - 1),
                self.o_index.eq(index),
            ]
            with m.If(beat == beats - 1):
                m.d.sync += [index.eq(index + 1), left.eq(left - 1)]
        with m.If(active & (left == 0)):
            m.d.sync += [active.eq(0), self.o_done.eq(1)]
        return m
