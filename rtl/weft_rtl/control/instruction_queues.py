# SPDX-License-Identifier: Apache-2.0
"""The queues between the sequencer and the engines."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth import Cat, Module, Mux, Shape, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.isa import ENGINES
from weft_rtl.interfaces import ResolvedInstruction

__all__ = ["QUEUE_DEPTH", "InstructionQueues", "QueuedInstruction"]

QUEUE_DEPTH = 64
"""Instructions per queue. Block RAM is 512 deep anyway."""


class QueuedInstruction(data.Struct):
    """A resolved instruction and its dependency tokens."""

    instruction: ResolvedInstruction
    wait_a: 5
    wait_b: 5
    signal_a: 5
    signal_b: 5


class InstructionQueues(wiring.Component):
    """One FIFO per engine, all in one block RAM.

    Members
    -------
    i : stream of QueuedInstruction; goes to the queue that ``opcode`` bits 3-5 name. Ready is up
        only while that queue has room, and not in the first cycle of another engine's opcode.
    o : array of streams, one per engine of ENGINES. Each has an output register, filled through
        the memory's one read port.
    o_fill : array, instructions in each queue, the output register included.

    From ``i`` to ``o`` 4 cycles. All queues together deliver one instruction per cycle. Default:
    9 DP16KD, 1,500 flip-flops that hold the heads, about 200 LUTs.
    """

    i: stream.Interface
    o: list[Any]
    o_fill: list[Signal]

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(QueuedInstruction)),
                "o": Out(stream.Signature(QueuedInstruction)).array(len(ENGINES)),
                "o_fill": Out(8).array(len(ENGINES)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = Shape.cast(QueuedInstruction).width
        m.submodules.storage = storage = memory.Memory(
            shape=unsigned(width),
            depth=8 * QUEUE_DEPTH,
            init=[],
            attrs={"no_rw_check": 1},
        )
        write, read = storage.write_port(), storage.read_port()
        depth_shape = range(QUEUE_DEPTH)
        heads = [Signal(depth_shape, name=f"head_{e.name.lower()}") for e in ENGINES]
        tails = [Signal(depth_shape, name=f"tail_{e.name.lower()}") for e in ENGINES]
        stored = [Signal(range(QUEUE_DEPTH + 1), name=f"stored_{e.name.lower()}") for e in ENGINES]
        room = [Signal(name=f"room_{e.name.lower()}", init=1) for e in ENGINES]

        some = [Signal(name=f"some_{e.name.lower()}") for e in ENGINES]  # stored is not 0

        # In: at the tail of the queue that the opcode names. Which that is and whether there is
        # room is looked up a cycle before; after a push, the answer is old.
        engine = self.i.payload.instruction.opcode[3:]
        engine_before = Signal.like(engine, name="engine_before")
        here = Signal(len(ENGINES))
        room_here = Signal()
        same, push = Signal(), Signal()
        pushed = [Signal(name=f"pushed_{e.name.lower()}") for e in ENGINES]
        m.d.sync += [
            engine_before.eq(engine),
            here.eq(Cat(engine == e for e in ENGINES)),
            room_here.eq(Cat(r & (engine == e) for r, e in zip(room, ENGINES, strict=True)).any()),
        ]
        with m.If(push):
            m.d.sync += room_here.eq(0)
        m.d.comb += [
            same.eq(engine == engine_before),
            self.i.ready.eq(room_here & same),
            push.eq(self.i.valid & room_here & same),
            write.data.eq(self.i.payload.as_value()),
            write.en.eq(push),
            Cat(pushed).eq(push.replicate(len(ENGINES)) & here),
        ]
        places = (Mux(here[k], tails[k] | int(e) * QUEUE_DEPTH, 0) for k, e in enumerate(ENGINES))
        m.d.comb += write.addr.eq(reduce(or_, places))

        # Out: fill one empty head register per cycle. One is chosen, then read, then its word is
        # there.
        reads = Signal(len(ENGINES))
        arriving = Signal(len(ENGINES))
        wanted = Signal(len(ENGINES))
        for index, queue in enumerate(self.o):
            waits = queue.valid | arriving[index] | reads[index]
            m.d.comb += wanted[index].eq(some[index] & ~waits)
        m.d.sync += [reads.eq(wanted & (~wanted + 1)[: len(ENGINES)]), arriving.eq(reads)]
        m.d.comb += read.en.eq(reads.any())
        places = (Mux(reads[k], heads[k] | int(e) * QUEUE_DEPTH, 0) for k, e in enumerate(ENGINES))
        m.d.comb += read.addr.eq(reduce(or_, places))
        for index, queue in enumerate(self.o):
            payload = Signal(width, name=f"payload_{ENGINES[index].name.lower()}", reset_less=True)
            m.d.comb += [
                queue.payload.as_value().eq(payload),
                self.o_fill[index].eq(stored[index] + (queue.valid | arriving[index])),
            ]
            with m.If(queue.ready):
                m.d.sync += queue.valid.eq(0)
            with m.If(arriving[index]):
                m.d.sync += [payload.eq(read.data), queue.valid.eq(1)]
            with m.If(pushed[index]):
                m.d.sync += tails[index].eq(tails[index] + 1)
            with m.If(reads[index]):
                m.d.sync += heads[index].eq(heads[index] + 1)
            with m.If(pushed[index] & ~reads[index]):
                m.d.sync += [
                    stored[index].eq(stored[index] + 1),
                    room[index].eq(stored[index] != QUEUE_DEPTH - 1),
                    some[index].eq(1),
                ]
            with m.Elif(reads[index] & ~pushed[index]):
                m.d.sync += [
                    stored[index].eq(stored[index] - 1),
                    room[index].eq(1),
                    some[index].eq(stored[index] != 1),
                ]
        return m
