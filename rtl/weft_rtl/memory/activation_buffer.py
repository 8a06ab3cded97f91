# SPDX-License-Identifier: Apache-2.0
"""The on-chip memory of quantised activations that feeds the array."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from weft_arch.config import Configuration
from weft_rtl.interfaces import (
    activation_block,
    activation_read_signature,
    activation_write,
    strobe_signature,
)
from weft_rtl.memory.block_memory import block_memory, block_read

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
    softmax_write : In(strobe of activation_write)
        Always accepted.
    vector_write : In(stream of activation_write)
        Waits while ``softmax_write`` comes.
    """

    array_read: Any
    softmax_write: Any
    vector_write: stream.Interface

    def __init__(self, config: Configuration) -> None:
        self._config = config
        write = activation_write(config)
        super().__init__(
            {
                "array_read": In(activation_read_signature(config)),
                "softmax_write": In(strobe_signature(write)),
                "vector_write": In(stream.Signature(write)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One memory; two writers share its write port."""
        m = Module()
        config = self._config
        size = activation_block(config).size
        m.submodules.memory = ram = block_memory(size, config.activation_blocks)
        depth_bits = ceil_log2(config.activation_blocks)

        read = self.array_read
        fetching = Signal()
        arrived = Signal()
        m.d.sync += [fetching.eq(read.request), arrived.eq(fetching)]
        m.d.comb += [
            read.valid.eq(arrived),
            read.data.as_value().eq(
                block_read(
                    m,
                    ram,
                    read.address[:depth_bits],
                    "read_data",
                    enable=read.request,
                    output_enable=fetching,
                )
            ),
        ]

        write_port = ram.write_port()
        first, second = self.softmax_write, self.vector_write
        chosen = Signal(activation_write(config), name="chosen_write")
        m.d.comb += [
            second.ready.eq(~first.valid),
            chosen.as_value().eq(
                Mux(first.valid, first.payload.as_value(), second.payload.as_value())
            ),
            write_port.addr.eq(chosen.address[:depth_bits]),
            write_port.data.eq(chosen.block.as_value()),
            write_port.en.eq(first.valid | second.valid),
        ]
        return m
