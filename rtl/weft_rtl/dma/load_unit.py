# SPDX-License-Identifier: Apache-2.0
"""The engine that loads rows of memory into the vector memory."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Out, connect

from weft_arch.config import Configuration
from weft_rtl.dma.dma_reader import DMAReader
from weft_rtl.dma.load_convert import LoadConvert
from weft_rtl.dma.load_rows import LoadPart, LoadRows
from weft_rtl.dma.ports import read_client_signature
from weft_rtl.interfaces import engine_signature, vector_write
from weft_rtl.memory.weight_buffer import BeatPacker

__all__ = ["LoadUnit"]

ROOM_BEATS = 256
PARTS_DEPTH = 16


class LoadUnit(wiring.Component):
    """Runs LOAD.

    `LoadRows` requests the rows; they wait in a buffer of 256 beats, and `LoadConvert` makes words
    of them. The two work at their own pace, so rows follow each other without a gap, also from
    one instruction to the next.

    A beat per cycle for F32 and F16 and in 5 for Q8; two words are in work at a time, so one takes
    1.5 cycles at least, of Q8 5. A row of Q8 must be whole blocks of 32 values, and
    ``words`` must not be 0, else the instruction is a fault; one without rows is not. ``done``
    follows the last word written by 1 cycle.

    Area (default preset): 1,510 LUT4, 260 CCU2C, 1,860 flip-flops, 4 DP16KD, 2 multipliers.

    Members
    -------
    engine : `engine_signature`
    read : read client (`read_client_signature`)
    vector_write : stream of `weft_rtl.interfaces.vector_write`, Out
    """

    engine: Any
    read: Any
    vector_write: stream.Interface

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "engine": Out(engine_signature()),
                "read": Out(read_client_signature(config)),
                "vector_write": Out(stream.Signature(vector_write(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        engine = self.engine
        beat_bits = 8 * config.beat_bytes
        room_beats = max(ROOM_BEATS, 2 * config.max_burst_beats)
        rows = m.submodules.rows = LoadRows(config)
        reader = m.submodules.reader = DMAReader(
            config, initial_beats=room_beats, room_beats=room_beats, length_width=18
        )
        buffer = m.submodules.buffer = BeatPacker(beat_bits, beat_bits, room_beats)
        convert = m.submodules.convert = LoadConvert(config)
        shape = LoadPart.as_shape()
        parts = m.submodules.parts = SyncFIFO(width=shape.size, depth=PARTS_DEPTH)
        connect(m, wiring.flipped(engine.instruction), rows.instruction)
        connect(m, rows.o_transfers, reader.i)
        connect(m, reader.o, wiring.flipped(self.read.burst))
        connect(m, buffer.o, convert.i_beats)
        connect(m, convert.o, wiring.flipped(self.vector_write))
        in_work = Signal(range(2 * PARTS_DEPTH))
        accepted = engine.instruction.valid & engine.instruction.ready
        m.d.comb += [
            parts.w_en.eq(rows.o_parts.valid),
            parts.w_data.eq(rows.o_parts.payload),
            rows.o_parts.ready.eq(parts.w_rdy),
            convert.i_parts.valid.eq(parts.r_rdy),
            convert.i_parts.payload.eq(parts.r_data),
            parts.r_en.eq(convert.i_parts.ready),
            buffer.i.valid.eq(self.read.valid),
            buffer.i.payload.eq(self.read.data),
            reader.i_granted.eq(buffer.o_freed),
            rows.i_numbers_write.eq(convert.o_numbers_write),
            rows.i_numbers.eq(buffer.o.payload),
            rows.i_numbers_done.eq(convert.o_numbers_done),
            rows.i_drained.eq(convert.o_drained),
            engine.done.eq(convert.o_done | rows.o_nothing),
            engine.busy.eq(in_work.any()),
            engine.fault.eq(rows.fault),
        ]
        m.d.sync += in_work.eq(in_work + accepted - engine.done)
        return m
