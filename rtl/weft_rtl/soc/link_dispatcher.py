# SPDX-License-Identifier: Apache-2.0
"""Executes requests: each once, in order, with the answers of the last ones remembered."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft_arch.link import (
    ANSWER_BYTES,
    PAYLOAD_BYTES,
    REQUEST_BYTES,
    RESET_CYCLES,
    WINDOW,
    Identity,
    LinkOpcode,
    LinkStatus,
)
from weft_rtl.soc.link_deframer import FRAME_BYTE
from weft_rtl.soc.link_memory import LinkMemory
from weft_rtl.soc.link_registers import LinkRegisters

__all__ = ["LinkDispatcher"]

_REQUEST = data.StructLayout(
    {"sequence": 8, "tag": 8, "opcode": 8, "reserved": 8, "address": 32, "value": 32}
)
_REMEMBERED = data.StructLayout({"value": 32, "status": 3})
_HEAD_BYTES, _TAIL_BYTES = 3, ANSWER_BYTES - 3


class LinkDispatcher(wiring.Component):
    """One request after the other; the rules are those of `weft_arch.link`.

    Members
    -------
    i : stream of FRAME_BYTE, In; checked requests with their CRC
    o : stream of FRAME_BYTE, Out; answers without CRC
    i_irq : In(1)
    o_reset : Out(1), the accelerator's reset input

    Parameters
    ----------
    identity : Identity
        What HELLO is answered; its ``session`` is not used.
    memory, registers : LinkMemory, LinkRegisters
        What requests are executed on; the dispatcher drives all but their buses.
    """

    i: stream.Interface
    o: stream.Interface
    i_irq: Signal
    o_reset: Signal

    def __init__(self, identity: Identity, *, memory: LinkMemory, registers: LinkRegisters) -> None:
        self._identity = identity
        self._memory, self._registers = memory, registers
        super().__init__(
            {
                "i": In(stream.Signature(FRAME_BYTE)),
                "o": Out(stream.Signature(FRAME_BYTE)),
                "i_irq": In(1),
                "o_reset": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory, registers = self._memory, self._registers
        m.submodules.answers = answers = Memory(shape=_REMEMBERED, depth=WINDOW, init=[])
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        remember, recall = answers.write_port(), answers.read_port(domain="comb")
        request: Any = Signal(_REQUEST, reset_less=True)
        flat = request.as_value()
        active = Signal()
        session = Signal(32, reset_less=True)
        expected = Signal(8)
        age = Signal(8)
        fresh = Signal(reset_less=True)
        plain = Signal(reset_less=True)
        payload = Signal(reset_less=True)
        status = Signal(LinkStatus, reset_less=True)
        value = Signal(32, reset_less=True)
        count = Signal(range(max(REQUEST_BYTES, 33)))
        opcode = request.opcode
        # What there is to judge, known when the request has been there for a cycle.
        names = ("hello", "reads", "writes", "is_new", "too_late", "same", "unknown", "too_many")
        hello, reads, writes, is_new, too_late, same, unknown, too_many = (
            Signal(name=name, reset_less=True) for name in names
        )
        waited = Signal(reset_less=True)
        m.d.sync += [
            hello.eq(opcode == LinkOpcode.HELLO),
            reads.eq(opcode == LinkOpcode.READ_MEMORY),
            writes.eq(opcode == LinkOpcode.WRITE_MEMORY),
            is_new.eq(age == 0),
            too_late.eq(age > WINDOW),
            same.eq(session == request.address),
            unknown.eq((opcode > max(LinkOpcode)) | (opcode == 0)),
            too_many.eq(request.value > PAYLOAD_BYTES),
            waited.eq(request.value == 0),
        ]
        m.d.comb += [
            age.eq(expected - request.sequence),
            memory.i_address.eq(request.address),
            memory.i_size.eq(request.value),
            memory.i_write.eq(writes),
            memory.i.payload.eq(self.i.payload.data),
            registers.i_address.eq(request.address),
            registers.i_value.eq(request.value),
            registers.i_write.eq(opcode == LinkOpcode.WRITE_REGISTER),
            crc.data.eq(memory.o.payload),
            recall.addr.eq(request.sequence),
            remember.addr.eq(request.sequence),
            remember.data.value.eq(value),
            remember.data.status.eq(status),
        ]

        def finish(result: Any, error: Any) -> None:
            m.d.sync += [value.eq(result), status.eq(Mux(error, LinkStatus.BUS_ERROR, 0))]
            m.next = "HEAD"

        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        flat.eq(Cat(flat[8:], self.i.payload.data)),
                        count.eq(count + 1),
                    ]
                    with m.If(count == REQUEST_BYTES - 1):
                        m.d.sync += count.eq(0)
                        m.next = "LOOK"

            with m.State("LOOK"):
                m.next = "JUDGE"

            with m.State("JUDGE"):
                # Whatever is not executed is answered at once: plain.
                m.d.sync += [
                    plain.eq(1),
                    fresh.eq(0),
                    payload.eq(0),
                    status.eq(LinkStatus.OKAY),
                    value.eq(0),
                ]
                m.next = "SKIP"
                with m.If(hello):
                    m.d.sync += [active.eq(1), session.eq(request.address), payload.eq(1)]
                    with m.If(~active | ~same):
                        m.d.sync += expected.eq(request.sequence + 1)
                with m.Elif(~active):
                    m.d.sync += status.eq(LinkStatus.NO_SESSION)
                with m.Elif(too_late):
                    m.d.sync += [status.eq(LinkStatus.OUT_OF_ORDER), value.eq(expected)]
                with m.Elif(~is_new & ~reads):
                    m.d.sync += [status.eq(recall.data.status), value.eq(recall.data.value)]
                with m.Else():
                    m.d.sync += fresh.eq(is_new)
                    with m.If(is_new):
                        m.d.sync += expected.eq(expected + 1)
                    with m.If(unknown):
                        m.d.sync += status.eq(LinkStatus.BAD_REQUEST)
                    with m.Elif(reads):
                        m.d.sync += payload.eq(~too_many)
                        with m.If(too_many):
                            m.d.sync += status.eq(LinkStatus.BAD_REQUEST)
                    with m.Elif(writes):
                        m.d.comb += memory.i_start.eq(1)
                        m.next = "WRITE"
                    with m.Else():
                        m.d.sync += plain.eq(0)

            with m.State("WRITE"):
                m.d.comb += [
                    memory.i.valid.eq(self.i.valid),
                    self.i.ready.eq(memory.i.ready),
                ]
                with m.If(memory.o_done):
                    m.d.sync += status.eq(Mux(memory.o_error, LinkStatus.BUS_ERROR, 0))
                    m.next = "SKIP"

            with m.State("SKIP"):  # the CRC, and the payload of what is not executed
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & self.i.payload.last):
                    with m.If(plain):
                        m.next = "HEAD"
                    with m.Else():
                        m.next = "START"

            with m.State("START"):
                m.d.comb += crc.start.eq(1)
                with m.Switch(opcode):
                    with m.Case(LinkOpcode.CHECK_MEMORY):
                        m.d.comb += memory.i_start.eq(1)
                        m.next = "CHECK"
                    with m.Case(LinkOpcode.WAIT_INTERRUPT):
                        m.next = "WAIT"
                    with m.Case(LinkOpcode.RESET):
                        m.next = "RESET"
                    with m.Default():
                        m.d.comb += registers.i_start.eq(1)
                        m.next = "REGISTER"

            with m.State("REGISTER"), m.If(registers.o_done):
                finish(Mux(registers.i_write, 0, registers.o_value), registers.o_error)

            with m.State("CHECK"):
                m.d.comb += [memory.o.ready.eq(1), crc.valid.eq(memory.o.valid)]
                with m.If(memory.o_done):
                    finish(crc.crc, memory.o_error)

            with m.State("WAIT"):
                m.d.sync += request.value.eq(request.value - 1)
                with m.If(self.i_irq | waited | self.i.valid):
                    finish(self.i_irq, 0)

            with m.State("RESET"):
                m.d.comb += self.o_reset.eq(1)
                m.d.sync += count.eq(count + 1)
                with m.If(count == RESET_CYCLES - 1):
                    m.d.sync += count.eq(0)
                    finish(0, 0)

            with m.State("HEAD"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(
                        Cat(request.sequence, request.tag, opcode).word_select(count[:2], 8)
                    ),
                ]
                with m.If(self.o.ready):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == _HEAD_BYTES - 1):
                        m.d.sync += count.eq(0)
                        with m.If(~payload):
                            m.next = "TAIL"
                        with m.Elif(hello):
                            m.next = "IDENTITY"
                        with m.Else():
                            m.d.comb += memory.i_start.eq(1)
                            m.next = "MEMORY"

            with m.State("IDENTITY"):
                words = int.from_bytes(self._identity.pack(), "little")
                size = len(self._identity.pack())
                constant = Const(words, 8 * size).word_select(count[:5], 8)
                named = session.word_select(count[:2], 8)
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(Mux(count >= size - 4, named, constant)),
                ]
                with m.If(self.o.ready):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == size - 1):
                        m.d.sync += count.eq(0)
                        m.next = "TAIL"

            with m.State("MEMORY"):
                m.d.comb += [
                    self.o.valid.eq(memory.o.valid),
                    self.o.payload.data.eq(memory.o.payload),
                    memory.o.ready.eq(self.o.ready),
                ]
                with m.If(memory.o_done):
                    with m.If(memory.o_error):
                        m.d.sync += status.eq(LinkStatus.BUS_ERROR)
                    m.next = "TAIL"

            with m.State("TAIL"):
                last = count == _TAIL_BYTES - 1
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(Mux(last, status, value.word_select(count[:2], 8))),
                    self.o.payload.last.eq(last),
                    remember.en.eq(fresh),
                ]
                with m.If(self.o.ready):
                    m.d.sync += count.eq(count + 1)
                    with m.If(last):
                        m.d.sync += count.eq(0)
                        m.next = "HEADER"
        return m
