# SPDX-License-Identifier: Apache-2.0
"""The scales of a Q8 row, kept until its codes come."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.config import BLOCK, Configuration
from weft_rtl.dma.arithmetic import part_of, times

__all__ = ["LoadScales"]


class LoadScales(wiring.Component):
    """Takes the scale beats that begin a Q8 row and gives each block its scale.

    Members
    -------
    i_words : In(12)
        Words of the row, from the cycle before its first scales on until its last ones.
    i_write, i_data : In(1), In(8 * beat_bytes)
        A beat of scales.
    o_complete : Out(1)
        It is the row's last one.
    i_step : In(1)
        ``beat_bytes / 4`` codes of the row are taken.
    o_ready : Out(1)
        Pulse, 3 cycles after ``o_complete``: steps may be made from the next cycle on.
    o_block_starts : Out(1)
        This step is the first of a block.
    o_scale : Out(16)
        The block's float16 pattern. It is there in the cycle of the block's first step and stays
        for 2 more.
    """

    i_words: Signal
    i_write: Signal
    i_data: Signal
    o_complete: Signal
    i_step: Signal
    o_ready: Signal
    o_block_starts: Signal
    o_scale: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "i_words": In(12),
                "i_write": In(1),
                "i_data": In(8 * config.beat_bytes),
                "o_complete": Out(1),
                "i_step": In(1),
                "o_ready": Out(1),
                "o_block_starts": Out(1),
                "o_scale": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, beat_bytes = self._config.lanes, self._config.beat_bytes
        per_beat = beat_bytes // 2
        depth = (1 << 12) * lanes // (BLOCK * per_beat)
        m.submodules.memory = memory = Memory(shape=8 * beat_bytes, depth=depth, init=[])
        write_port, read_port = memory.write_port(), memory.read_port()
        write_index = Signal(range(depth))
        block = Signal(range(depth * per_beat))
        block_steps = 4 * BLOCK // beat_bytes
        steps_left = Signal(range(block_steps))
        complete = Signal(2)
        select_bits = per_beat.bit_length() - 1
        scales = Signal(8 * beat_bytes, reset_less=True)
        # One byte of scales for 16 values.
        last_index = Signal(range(depth), reset_less=True)
        m.d.sync += last_index.eq((times(self.i_words, lanes) - 1) >> (beat_bytes.bit_length() + 3))
        m.d.comb += [
            write_port.en.eq(self.i_write),
            write_port.addr.eq(write_index),
            write_port.data.eq(self.i_data),
            read_port.addr.eq(block[select_bits:]),
            self.o_complete.eq(self.i_write & (write_index == last_index)),
            self.o_block_starts.eq(self.i_step & (steps_left == 0)),
        ]
        m.d.sync += [
            scales.eq(read_port.data),
            self.o_scale.eq(part_of(scales, block[:select_bits], 16)),
            complete.eq(Cat(self.o_complete, complete[0])),
            self.o_ready.eq(complete[1]),
        ]
        with m.If(self.i_write):
            m.d.sync += write_index.eq(write_index + 1)
        with m.If(self.o_complete):
            m.d.sync += [write_index.eq(0), block.eq(0), steps_left.eq(0)]
        # Steps of other formats are counted, too; the next row of Q8 starts anew.
        with m.If(self.i_step):
            m.d.sync += steps_left.eq(steps_left - 1)
        with m.If(self.o_block_starts):
            m.d.sync += [steps_left.eq(block_steps - 1), block.eq(block + 1)]
        return m
