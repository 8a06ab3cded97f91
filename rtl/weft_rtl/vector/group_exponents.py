# SPDX-License-Identifier: Apache-2.0
"""The exponents of groups of words that are to be quantised."""

from collections.abc import Sequence
from typing import Any

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from weft_arch.blocks import (
    KEY_BITS,
    KEY_MIN_EXPONENT,
    MIN_EXPONENT,
    WIDE_KEY_MIN_EXPONENT,
)
from weft_arch.config import Configuration
from weft_rtl.floating.formats import fields
from weft_rtl.floating.quantizer import exponent_offset
from weft_rtl.interfaces import float_word
from weft_rtl.vector.job import VectorJob

__all__ = ["GroupExponents"]


def _largest(values: Sequence[Value]) -> Value:
    if len(values) == 1:
        return values[0]
    half = (len(values) + 1) // 2
    a, b = _largest(values[:half]), _largest(values[half:])
    return Mux(a > b, a, b)


class GroupExponents(wiring.Component):
    """Finds the block exponent of every ``group_length`` words, and queues it.

    One word per cycle; the exponent is there 3 cycles after the group's last word.

    Area: about 150 LUT4 for 8 lanes.

    Parameters
    ----------
    capacity : int
        Groups that the queue holds, a power of two.

    Members
    -------
    i_start : In(1)
        A job begins; nothing is under way.
    i_job : In(VectorJob)
    i_valid : In(1), i : In(float_word)
        A word.
    o : Out(stream of signed(8))
        Exponents of finished groups. The queue never overflows, as no more words than ``capacity``
        are under way.
    """

    i_start: Signal
    i_job: Any
    i_valid: Signal
    i: data.View
    o: stream.Interface

    def __init__(self, config: Configuration, capacity: int) -> None:
        self._config = config
        self._capacity = capacity
        super().__init__(
            {
                "i_start": In(1),
                "i_job": In(VectorJob),
                "i_valid": In(1),
                "i": In(float_word(config)),
                "o": Out(stream.Signature(signed(8))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Maximum over lanes, over words, then the queue."""
        m = Module()
        job = self.i_job
        exponents = [fields(self.i[lane]).exponent for lane in range(self._config.lanes)]
        part = min(4, len(exponents) // 2)
        partial = [
            Signal(8, name=f"partial_{k}", reset_less=True) for k in range(len(exponents) // part)
        ]
        words_left = Signal(6)
        word = Signal()
        last = Signal()
        arrived, last_arrived = Signal(), Signal()
        finished = Signal()
        running = Signal(8)
        m.d.comb += [word.eq(self.i_valid & job.quantize), last.eq(words_left == 1)]
        m.d.sync += [
            arrived.eq(word),
            last_arrived.eq(last),
            finished.eq(arrived & last_arrived),
        ]
        for k, value in enumerate(partial):
            m.d.sync += value.eq(_largest(exponents[k * part : (k + 1) * part]))
        with m.If(self.i_start):
            m.d.sync += words_left.eq(0)  # loaded in the first cycle of the job
        with m.Elif((words_left == 0) | (word & last)):
            m.d.sync += words_left.eq(job.group_length)
        with m.Elif(word):
            m.d.sync += words_left.eq(words_left - 1)
        base = Mux(finished, 0, running)
        with m.If(arrived):
            m.d.sync += running.eq(_largest([*partial, base]))
        with m.Elif(finished):
            m.d.sync += running.eq(0)

        # Queue
        address_bits = ceil_log2(self._capacity)
        m.submodules.queue = queue = memory.Memory(
            shape=signed(8), depth=self._capacity, init=[], attrs={"ram_style": "distributed"}
        )
        write_port = queue.write_port()
        read_port = queue.read_port(domain="comb")
        head = Signal(address_bits)
        tail = Signal(address_bits)
        count = Signal(address_bits + 1)
        taken = self.o.valid & self.o.ready
        # Steady while the words of a job come. They begin with values that they may have, so that
        # synthesis knows the bits that these share.
        own_offset = exponent_offset(self._config.activation_bits)
        bits = Mux(job.to_groups, KEY_BITS, self._config.activation_bits)
        minimum = Mux(
            job.wide_keys,
            WIDE_KEY_MIN_EXPONENT,
            Mux(job.to_groups & job.keys, KEY_MIN_EXPONENT, MIN_EXPONENT),
        )
        offset = Signal(8, init=own_offset, reset_less=True)
        smallest = Signal(signed(8), init=MIN_EXPONENT, reset_less=True)
        threshold = Signal(8, init=own_offset + MIN_EXPONENT, reset_less=True)
        m.d.sync += [
            offset.eq(exponent_offset(bits)),
            smallest.eq(minimum),
            threshold.eq(exponent_offset(bits) + minimum),
        ]
        m.d.comb += [
            write_port.addr.eq(tail),
            write_port.data.eq(Mux(running > threshold, running - offset, smallest)),
            write_port.en.eq(finished),
            read_port.addr.eq(head),
            self.o.payload.eq(read_port.data),
        ]
        m.d.sync += [
            tail.eq(tail + finished),
            head.eq(head + taken),
            count.eq(count + finished - taken),
            self.o.valid.eq(finished | Mux(taken, count[1:].any(), self.o.valid)),
        ]
        return m
