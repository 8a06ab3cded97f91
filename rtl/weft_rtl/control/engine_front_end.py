# SPDX-License-Identifier: Apache-2.0
"""What stands between an engine's queue and its core: the dependency tokens."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from weft_arch.registers import EngineState
from weft_rtl.control.instruction_queues import QueuedInstruction
from weft_rtl.control.token_board import TOKEN
from weft_rtl.interfaces import engine_signature

__all__ = ["IN_FLIGHT_LIMIT", "EngineFrontEnd"]

IN_FLIGHT_LIMIT = 15
"""Instructions that an engine may have accepted and not finished."""


class EngineFrontEnd(wiring.Component):
    """Takes the tokens that an instruction waits for, one after the other, then hands it to the
    engine; gives its tokens when the engine reports it done.

    Members
    -------
    i : stream of QueuedInstruction from the engine's queue.
    engine : the engine's interface (flipped).
    o_take, o_give : streams of tokens to the token board.
    i_enable : hand out new instructions. While it is down no new one is offered; one that is
        offered stays so.
    o_state : EngineState: BUSY while an instruction is in work, else WAITING_TOKEN while the next
        one waits for a token.
    o_waits_for : the token that the next instruction waits for, else 0.
    o_idle : nothing offered, in work or left to be given.

    From ``i`` to the engine 1 cycle; with tokens that are there as many cycles as the board takes,
    and one for each more. ``o_take`` and ``o_give`` are registers. The first token is offered to
    the board 2 cycles after ``done``.
    """

    i: stream.Interface
    engine: Any
    o_take: stream.Interface
    o_give: stream.Interface
    i_enable: Signal
    o_state: Signal
    o_waits_for: Signal
    o_idle: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(QueuedInstruction)),
                "engine": In(engine_signature()),
                "o_take": Out(stream.Signature(TOKEN)),
                "o_give": Out(stream.Signature(TOKEN)),
                "i_enable": In(1),
                "o_state": Out(2),
                "o_waits_for": Out(TOKEN),
                "o_idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        head = self.i.payload
        engine = self.engine

        # Asking for wait_a, then wait_b. The board's paths begin at the register that asks.
        asked_a, asked_b = Signal(), Signal()
        needs_a, needs_b = Signal(), Signal()
        free = Signal()
        take = self.o_take
        m.d.comb += [
            needs_a.eq((head.wait_a != 0) & ~asked_a),
            needs_b.eq((head.wait_b != 0) & ~asked_b),
            free.eq(~take.valid | take.ready),
            self.o_waits_for.eq(Mux(take.valid, take.payload, 0)),
        ]
        with m.If(free):
            m.d.sync += [
                take.valid.eq(self.i.valid & (needs_a | needs_b)),
                take.payload.eq(Mux(needs_a, head.wait_a, head.wait_b)),
            ]
            with m.If(self.i.valid):
                m.d.sync += [asked_a.eq(1), asked_b.eq(~needs_a)]

        # Offering.
        room, offered, transfer = Signal(), Signal(), Signal()
        m.d.comb += [
            engine.instruction.payload.eq(head.instruction),
            engine.instruction.valid.eq(offered),
            transfer.eq(offered & engine.instruction.ready),
            self.i.ready.eq(transfer),
        ]
        with m.If(transfer):
            m.d.sync += [offered.eq(0), asked_a.eq(0), asked_b.eq(0)]
        with m.Elif(self.i.valid & ~needs_a & ~needs_b & free & room & self.i_enable):
            m.d.sync += offered.eq(1)

        # The tokens to give, in the order of the instructions.
        tokens = data.StructLayout({"signal_a": 5, "signal_b": 5})
        m.submodules.remembered = remembered = memory.Memory(
            shape=tokens, depth=IN_FLIGHT_LIMIT + 1, init=[]
        )
        write, read = remembered.write_port(), remembered.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(transfer),
            write.data.signal_a.eq(head.signal_a),
            write.data.signal_b.eq(head.signal_b),
        ]
        m.d.sync += write.addr.eq(write.addr + transfer)

        in_work = Signal(range(IN_FLIGHT_LIMIT + 1))
        to_signal = Signal(range(IN_FLIGHT_LIMIT + 1))
        kept = Signal(range(IN_FLIGHT_LIMIT + 1))
        second, forget = Signal(), Signal()
        with m.If(~self.o_give.valid | self.o_give.ready):
            m.d.sync += self.o_give.valid.eq(0)
            with m.If(to_signal != 0):
                token = Mux(second, read.data.signal_b, read.data.signal_a)
                m.d.comb += forget.eq(second)
                m.d.sync += [
                    self.o_give.payload.eq(token),
                    self.o_give.valid.eq(token != 0),
                    second.eq(~second),
                    read.addr.eq(read.addr + second),
                ]
        m.d.sync += [
            in_work.eq(in_work + transfer - engine.done),
            to_signal.eq(to_signal + engine.done - forget),
            kept.eq(kept + transfer - forget),
        ]
        m.d.comb += [
            room.eq(kept != IN_FLIGHT_LIMIT),
            self.o_idle.eq(~offered & (kept == 0) & ~self.o_give.valid),
        ]
        with m.If(in_work != 0):
            m.d.comb += self.o_state.eq(EngineState.BUSY)
        with m.Elif(take.valid):
            m.d.comb += self.o_state.eq(EngineState.WAITING_TOKEN)
        return m
