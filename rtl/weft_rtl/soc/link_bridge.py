# SPDX-License-Identifier: Apache-2.0
"""The board's side of the link: bytes of a line to accesses of memory and registers, and back."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft_arch.config import Configuration
from weft_arch.link import Identity
from weft_rtl.control.register_file import LITE_ADDRESS_BITS
from weft_rtl.dma.axi import axi4_signature, axi_lite_signature
from weft_rtl.register_slice import RegisterSlice
from weft_rtl.soc.link_deframer import FRAME_BYTE, LinkDeframer
from weft_rtl.soc.link_dispatcher import LinkDispatcher
from weft_rtl.soc.link_framer import LinkFramer
from weft_rtl.soc.link_memory import LinkMemory
from weft_rtl.soc.link_registers import LinkRegisters
from weft_rtl.soc.uart import UartReceiver, UartTransmitter

__all__ = ["BUFFER_BYTES", "LinkBridge", "LinkUart"]

BUFFER_BYTES = 2048
"""Receive buffer: one block RAM, room for the longest request while the last one is executed."""


def _bus_members(config: Configuration, register_address_bits: int) -> dict[str, Any]:
    return {
        "axi": Out(axi4_signature(config)),
        "bus": In(axi_lite_signature(register_address_bits)),
        "i_irq": In(1),
        "o_reset": Out(1),
    }


class LinkBridge(wiring.Component):
    """The protocol of `weft_arch.link`, without the line's electrical side.

    Members
    -------
    i : stream of 8 bits, In; always ready
    o : stream of 8 bits, Out
    axi : AXI4 manager for memory
    bus : AXI4-Lite manager for the accelerator's registers
    i_irq : the accelerator's interrupt
    o_reset : to the accelerator's reset input, for RESET

    Parameters
    ----------
    memory_base, memory_bytes : int
        The board's memory, as HELLO tells it; accesses elsewhere are the memory's to refuse.
    clock_hz : int
        The board's clock, by default the configuration's.
    register_address_bits : int
        Of ``bus``; by default, those of the accelerator alone.
    """

    i: stream.Interface
    o: stream.Interface
    axi: Any
    bus: Any
    i_irq: Signal
    o_reset: Signal

    def __init__(
        self,
        config: Configuration,
        *,
        memory_bytes: int,
        memory_base: int = 0,
        clock_hz: int | None = None,
        register_address_bits: int = LITE_ADDRESS_BITS,
    ) -> None:
        self._config = config
        self._address_bits = register_address_bits
        self._identity = Identity(
            fingerprint=config.fingerprint,
            memory_base=memory_base,
            memory_bytes=memory_bytes,
            clock_hz=config.clock_hz if clock_hz is None else clock_hz,
            session=0,
            buffer_bytes=BUFFER_BYTES,
        )
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                **_bus_members(config, register_address_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = LinkMemory(self._config)
        m.submodules.registers = registers = LinkRegisters(address_width=self._address_bits)
        m.submodules.deframer = deframer = LinkDeframer(buffer_bytes=BUFFER_BYTES)
        m.submodules.framer = framer = LinkFramer()
        m.submodules.dispatcher = dispatcher = LinkDispatcher(
            self._identity, memory=memory, registers=registers
        )
        connect(m, flipped(self.i), deframer.i)
        # Each of these looks through its streams; together they would be too long a path.
        m.submodules.requests = requests = RegisterSlice(FRAME_BYTE)
        m.submodules.answers = answers = RegisterSlice(FRAME_BYTE)
        connect(m, deframer.o, requests.i)
        connect(m, requests.o, dispatcher.i)
        connect(m, dispatcher.o, answers.i)
        connect(m, answers.o, framer.i)
        connect(m, framer.o, flipped(self.o))
        connect(m, memory.axi, flipped(self.axi))
        connect(m, registers.bus, flipped(self.bus))
        m.d.comb += [dispatcher.i_irq.eq(self.i_irq), self.o_reset.eq(dispatcher.o_reset)]
        return m


class LinkUart(wiring.Component):
    """`LinkBridge` on a serial line.

    Members
    -------
    i_line, o_line : the serial line, 1 at rest
    axi, bus, i_irq, o_reset : as of `LinkBridge`

    Parameters
    ----------
    clock_hz, baud : int
        The clock, and bits per second, at most an eighth of it.
    told_clock_hz : int
        What HELLO tells, by default ``clock_hz``; the others as of `LinkBridge`.
    """

    i_line: Signal
    o_line: Signal
    axi: Any
    bus: Any
    i_irq: Signal
    o_reset: Signal

    def __init__(
        self,
        config: Configuration,
        *,
        memory_bytes: int,
        memory_base: int = 0,
        clock_hz: int,
        baud: int = 3_000_000,
        told_clock_hz: int | None = None,
        register_address_bits: int = LITE_ADDRESS_BITS,
    ) -> None:
        self._config = config
        self._bridge = LinkBridge(
            config,
            memory_bytes=memory_bytes,
            memory_base=memory_base,
            clock_hz=clock_hz if told_clock_hz is None else told_clock_hz,
            register_address_bits=register_address_bits,
        )
        self._receiver = UartReceiver(clock_hz=clock_hz, baud=baud)
        self._transmitter = UartTransmitter(clock_hz=clock_hz, baud=baud)
        members = _bus_members(config, register_address_bits)
        super().__init__({"i_line": In(1), "o_line": Out(1), **members})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bridge = bridge = self._bridge
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        connect(m, bridge.o, transmitter.i)
        connect(m, bridge.axi, flipped(self.axi))
        connect(m, bridge.bus, flipped(self.bus))
        m.d.comb += [
            receiver.i_line.eq(self.i_line),
            self.o_line.eq(transmitter.o_line),
            bridge.i.valid.eq(receiver.o.valid),  # it is always ready
            bridge.i.payload.eq(receiver.o.payload),
            bridge.i_irq.eq(self.i_irq),
            self.o_reset.eq(bridge.o_reset),
        ]
        return m
