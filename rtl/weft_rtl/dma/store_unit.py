# SPDX-License-Identifier: Apache-2.0
"""The engine that writes results, keys and values to memory."""

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from weft_arch.config import Configuration
from weft_arch.isa import Opcode
from weft_rtl.dma.ports import write_client_signature
from weft_rtl.dma.store_kv import StoreKV
from weft_rtl.dma.store_rows import StoreRows
from weft_rtl.dma.store_top_k import StoreTopK
from weft_rtl.interfaces import engine_signature, quantized_group, vector_read_signature

__all__ = ["StoreUnit"]

IN_WORK_LIMIT = 256
"""More instructions than can wait for acknowledgements: each has at least a burst."""


class StoreUnit(wiring.Component):
    """Runs STORE, STORE_KV and STORE_TOP_K.

    `StoreRows`, `StoreKV` and `StoreTopK` say how. An instruction starts a cycle after the one
    before it has handed over its data; ``done`` comes 1 cycle after the memory acknowledged the
    last burst. ``words``, ``k_blocks`` or ``slots`` of 0 is a fault; no rows are not.

    Area (default preset): 1,900 LUT4, 210 CCU2C, 1,180 flip-flops, 8 block RAMs.

    Members
    -------
    engine : `engine_signature`
    write : write client (`write_client_signature`)
    vector_read : vector memory reader (`vector_read_signature`)
    i_groups : stream of `quantized_group`, In
        From the vector unit.
    o_read_index : Out(range(top_k_entries))
        Entry of the top-k list to read.
    i_value, i_index : In(24), In(32)
        Its value (F24) and index (all ones when unused), one cycle after ``o_read_index``.
    """

    engine: Any
    write: Any
    vector_read: Any
    i_groups: stream.Interface
    o_read_index: Signal
    i_value: Signal
    i_index: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "engine": Out(engine_signature()),
                "write": Out(write_client_signature(config)),
                "vector_read": Out(vector_read_signature(config)),
                "i_groups": In(stream.Signature(quantized_group())),
                "o_read_index": Out(range(config.top_k_entries)),
                "i_value": In(24),
                "i_index": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, engine = self._config, self.engine
        rows = m.submodules.rows = StoreRows(config)
        groups = m.submodules.groups = StoreKV(config)
        top_k = m.submodules.top_k = StoreTopK(config)
        connect(m, rows.vector_read, wiring.flipped(self.vector_read))
        connect(m, wiring.flipped(self.i_groups), groups.i_groups)
        m.d.comb += [
            self.o_read_index.eq(top_k.o_read_index),
            top_k.i_value.eq(self.i_value),
            top_k.i_index.eq(self.i_index),
        ]

        # One at a time hands over its data; the memory's answers may still be on their way.
        instruction = engine.instruction
        parts = {Opcode.STORE: rows, Opcode.STORE_KV: groups, Opcode.STORE_TOP_K: top_k}
        selected = Signal(range(len(parts)))
        nothing = Signal()
        nothing_found = rows.o_nothing | groups.o_nothing
        waiting = nothing | nothing_found
        accepted = instruction.valid & instruction.ready
        # All stay ready until an instruction comes, so this may be a cycle late: whatever decides
        # about an instruction begins at registers.
        m.d.sync += instruction.ready.eq(
            rows.i.ready & groups.i.ready & top_k.i.ready & ~waiting & ~accepted
        )
        command, beat = self.write.command, self.write.data
        for index, (opcode, part) in enumerate(parts.items()):
            chosen = instruction.payload.opcode == opcode
            m.d.comb += [
                part.i.payload.eq(instruction.payload),
                part.i.valid.eq(accepted & chosen),
                # The others are not valid.
                part.o_command.ready.eq(command.ready),
                part.o_data.ready.eq(beat.ready),
            ]
            with m.If(part.i.valid):
                m.d.sync += selected.eq(index)
            with m.If(selected == index):
                m.d.comb += [
                    command.payload.eq(part.o_command.payload),
                    beat.payload.eq(part.o_data.payload),
                ]
        m.d.comb += [
            command.valid.eq(Cat(part.o_command.valid for part in parts.values()).any()),
            beat.valid.eq(Cat(part.o_data.valid for part in parts.values()).any()),
        ]

        # An instruction without rows is done when those before it are.
        in_work = Signal(range(IN_WORK_LIMIT))
        nothing_done = nothing & (in_work == 1)
        m.d.comb += [
            engine.done.eq(self.write.done | nothing_done),
            engine.busy.eq(in_work.any()),
            engine.fault.eq(rows.fault),
        ]
        with m.If(nothing_found):
            m.d.sync += nothing.eq(1)
        with m.Elif(nothing_done):
            m.d.sync += nothing.eq(0)
        m.d.sync += in_work.eq(in_work + accepted - engine.done)
        with m.If(groups.fault.valid):
            m.d.comb += engine.fault.eq(groups.fault)
        return m
