# SPDX-License-Identifier: Apache-2.0
"""The on-chip memory of F24 words that all engines share."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from weft_arch.config import Configuration
from weft_rtl.interfaces import float_word, vector_read_signature, vector_write
from weft_rtl.memory.block_memory import block_memory, block_read

__all__ = ["VectorMemory"]


class VectorMemory(wiring.Component):
    """Words of ``lanes`` F24 patterns behind one read and one write port.

    Data follows a granted request by 2 cycles (block RAM and its output register). A write is seen
    by the requests that are granted in later cycles. One read and one write per cycle; requests of
    a lower priority wait, by their ``ready``. Address bits above the memory's size are ignored.

    Area: the block RAMs (24 bits per lane and word), about 2.5 LUT4 per bit of a word.

    Members
    -------
    compute_read, store_read, vector_read : In(vector_read_signature)
        Readers, by falling priority; ``compute_read`` is never held off. The bus bounds what a
        store reads; behind the vector unit it would get nothing for long.
    compute_write, vector_write, load_write : In(stream of vector_write)
        Writers, by falling priority; ``compute_write`` is never held off.
    """

    compute_read: Any
    store_read: Any
    vector_read: Any
    compute_write: stream.Interface
    vector_write: stream.Interface
    load_write: stream.Interface

    def __init__(self, config: Configuration) -> None:
        self._config = config
        read = vector_read_signature(config)
        write = stream.Signature(vector_write(config))
        super().__init__(
            {
                "compute_read": In(read),
                "store_read": In(read),
                "vector_read": In(read),
                "compute_write": In(write),
                "vector_write": In(write),
                "load_write": In(write),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One memory, two priority chains."""
        m = Module()
        config = self._config
        word = float_word(config)
        m.submodules.memory = ram = block_memory(word.size, config.vector_memory_words)
        depth_bits = ceil_log2(config.vector_memory_words)

        # Reads
        readers = (self.compute_read, self.store_read, self.vector_read)
        address = self.vector_read.request.payload
        for reader in (self.store_read, self.compute_read):
            address = Mux(reader.request.valid, reader.request.payload, address)
        taken = Signal(name="read_taken")
        fetched = Signal()
        read_data = block_read(
            m, ram, address[:depth_bits], "read_data", enable=taken, output_enable=fetched
        )
        m.d.comb += taken.eq(Cat(reader.request.valid for reader in readers).any())
        m.d.sync += fetched.eq(taken)
        held_off = 0
        for name, reader in zip(("compute", "store", "vector"), readers, strict=True):
            granted = Signal(name=f"{name}_granted")
            fetching = Signal(name=f"{name}_fetching")
            arrived = Signal(name=f"{name}_arrived")
            m.d.comb += [
                reader.request.ready.eq(~held_off),
                granted.eq(reader.request.valid & ~held_off),
                reader.valid.eq(arrived),
                reader.data.as_value().eq(read_data),
            ]
            m.d.sync += [fetching.eq(granted), arrived.eq(fetching)]
            held_off = held_off | reader.request.valid

        # Writes
        write_port = ram.write_port()
        payload = self.load_write.payload.as_value()
        writing = 0
        for writer in (self.compute_write, self.vector_write, self.load_write):
            m.d.comb += writer.ready.eq(~writing)
            writing = writing | writer.valid
        for writer in (self.vector_write, self.compute_write):
            payload = Mux(writer.valid, writer.payload.as_value(), payload)
        chosen = Signal(vector_write(config), name="chosen_write")
        m.d.comb += [
            chosen.as_value().eq(payload),
            write_port.addr.eq(chosen.address[:depth_bits]),
            write_port.data.eq(chosen.data.as_value()),
            write_port.en.eq(writing),
        ]
        return m
