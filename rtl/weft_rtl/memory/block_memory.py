# SPDX-License-Identifier: Apache-2.0
"""Memories in block RAM whose reads never meet a write to the same address.

A synchronous read port of `amaranth.lib.memory` promises the old word when the address is written
in the same cycle. Block RAM does not, so synthesis adds a copy of the write port in registers, an
address comparison and a multiplexer over the whole word: for 512 words of 200 bits 220 LUT4 and 400
flip-flops, and the multiplexer before the output register. A combinational port followed by a
register, with the attribute ``no_rw_check``, becomes the bare block RAM.
"""

from amaranth import Module, Shape, Signal, Value, ValueLike
from amaranth.hdl import ShapeLike
from amaranth.lib.memory import Memory

__all__ = ["block_memory", "block_read"]


_SMALL_BITS, _SMALL_DEPTH = 2048, 128
"""What is no larger than both is in distributed RAM: a block RAM would be an eighth full, and there
are fewer of these than there is logic."""


def block_memory(shape: ShapeLike, depth: int) -> Memory:
    """A memory for `block_read`; what a read gives in the cycle in which the same address is
    written must not matter (simulation: the old word)."""
    small = depth <= _SMALL_DEPTH and depth * Shape.cast(shape).width <= _SMALL_BITS
    style = "distributed" if small else "block"
    return Memory(shape=shape, depth=depth, init=[], attrs={"ram_style": style, "no_rw_check": 1})


def block_read(
    m: Module,
    memory: Memory,
    address: ValueLike,
    name: str,
    enable: ValueLike = 1,
    output_enable: ValueLike | None = None,
) -> Value:
    """The word at ``address`` two (enabled) cycles later: block RAM and its output register.

    ``enable`` is for both, unless the output register has its own ``output_enable``.
    """
    port = memory.read_port(domain="comb")
    word = Signal(memory.shape, name=f"{name}_word", reset_less=True)
    output = Signal(memory.shape, name=name, reset_less=True)
    m.d.comb += port.addr.eq(address)
    with m.If(enable):
        m.d.sync += word.eq(port.data)
    with m.If(enable if output_enable is None else output_enable):
        m.d.sync += output.eq(word)
    return output
