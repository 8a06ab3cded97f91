# SPDX-License-Identifier: Apache-2.0
"""The on-chip memory of quantised activations that feeds the array."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from weft_arch.config import Configuration
from weft_rtl.interfaces import activation_block, activation_read_signature, activation_write

__all__ = ["ActivationBuffer"]


class ActivationBuffer(wiring.Component):
    """Blocks of 32 codes and their exponent behind one read and one write port.

    Data follows a request by 2 cycles (block RAM and its output register). A write is seen by the
    requests of later cycles. Address bits above the buffer's size are ignored.

    Area: the block RAMs (32 * activation_bits + 8 bits per block), about 1 LUT4 per bit of a block.

    Members
    -------
    array_read : In(activation_read_signature)
        The array's feeder; never held off.
    softmax_write, vector_write : In(stream of activation_write)
        Writers; ``softmax_write`` comes first and is never held off.
    """

    array_read: Any
    softmax_write: stream.Interface
    vector_write: stream.Interface

    def __init__(self, config: Configuration) -> None:
        self._config = config
        write = stream.Signature(activation_write(config))
        super().__init__(
            {
                "array_read": In(activation_read_signature(config)),
                "softmax_write": In(write),
                "vector_write": In(write),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One memory; two writers share its write port."""
        m = Module()
        config = self._config
        size = activation_block(config).size
        m.submodules.memory = ram = memory.Memory(
            shape=size, depth=config.activation_blocks, init=[], attrs={"ram_style": "block"}
        )
        depth_bits = ceil_log2(config.activation_blocks)

        read_port = ram.read_port()
        read = self.array_read
        data_register = Signal(size, name="read_data", reset_less=True)
        fetching = Signal()
        arrived = Signal()
        m.d.sync += [fetching.eq(read.request), arrived.eq(fetching)]
        m.d.comb += [
            read_port.addr.eq(read.address[:depth_bits]),
            read_port.en.eq(read.request),
            read.valid.eq(arrived),
            read.data.as_value().eq(data_register),
        ]
        with m.If(fetching):
            m.d.sync += data_register.eq(read_port.data)

        write_port = ram.write_port()
        first, second = self.softmax_write, self.vector_write
        chosen = Signal(activation_write(config), name="chosen_write")
        m.d.comb += [
            first.ready.eq(1),
            second.ready.eq(~first.valid),
            chosen.as_value().eq(
                Mux(first.valid, first.payload.as_value(), second.payload.as_value())
            ),
            write_port.addr.eq(chosen.address[:depth_bits]),
            write_port.data.eq(chosen.block.as_value()),
            write_port.en.eq(first.valid | second.valid),
        ]
        return m
