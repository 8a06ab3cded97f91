# SPDX-License-Identifier: Apache-2.0
"""The control and status registers on the AXI4-Lite port."""

import functools
import operator
from collections.abc import Mapping
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_arch import registers
from weft_arch.config import Configuration
from weft_arch.isa import N_SCALARS, Engine
from weft_arch.registers import COUNTERS, REGISTERS, WINDOW_BYTES, Control, Interrupt, Status
from weft_rtl.dma.axi import axi_lite_signature

__all__ = ["LITE_ADDRESS_BITS", "STORED", "RegisterFile"]

LITE_ADDRESS_BITS = 12
"""Address bits of the AXI4-Lite port: a 4 KiB page, of which the registers fill the first part."""

STORED = (
    "PROGRAM_BASE",
    "PROGRAM_LENGTH",
    "REGION_BASE",
    "REGION_LIMIT",
    "WRITE_BASE",
    "WRITE_LIMIT",
)
"""The registers that just keep what is written to them."""
_DECERR = 3
_SCALAR_BASE = registers.scalar_offset(0)
_SCALAR_END = _SCALAR_BASE + 4 * N_SCALARS
_COUNTER_BASE = registers.counter_offset(next(iter(COUNTERS)))
_COUNTER_END = _COUNTER_BASE + 8 * len(COUNTERS)
_SHOWN = tuple(
    n for n, r in REGISTERS.items() if not n.startswith("SCALAR") and r.offset < _COUNTER_BASE
)


class RegisterFile(wiring.Component):
    """Registers by `weft_arch.registers`. One access at a time, of about 7 cycles. Write strobes
    count for every register; unused offsets in the window read 0.

    Members
    -------
    bus : AXI4-Lite (`axi_lite_signature`)
    o_irq : an enabled interrupt is pending.
    o_program_base ... o_write_limit : the plain registers.
    o_start, o_reset, o_clear_counters : pulses, CONTROL.
    i_running, i_done, i_fault, i_resetting : STATUS.
    i_hold : begin no access; for a bounded time only.
    i_done_event, i_fault_event : pulses that set the pending interrupts.
    i_fault_cause, i_fault_address, i_program_counter : what the registers show.
    i_engine : array of 32-bit words, one per `weft_arch.isa.Engine`.
    o_scalar_index, i_scalar_value, o_scalar_write, o_scalar_value : host port of `ScalarFile`.
        Writes come only while the machine is not running.
    o_counter_read, o_counter_index, i_counter_value : read port of `Counters`.
    """

    bus: Any
    o_irq: Signal
    o_program_base: Signal
    o_program_length: Signal
    o_region_base: Signal
    o_region_limit: Signal
    o_write_base: Signal
    o_write_limit: Signal
    o_start: Signal
    o_reset: Signal
    o_clear_counters: Signal
    i_running: Signal
    i_done: Signal
    i_fault: Signal
    i_resetting: Signal
    i_hold: Signal
    i_done_event: Signal
    i_fault_event: Signal
    i_fault_cause: Signal
    i_fault_address: Signal
    i_program_counter: Signal
    i_engine: list[Signal]
    o_scalar_index: Signal
    i_scalar_value: Signal
    o_scalar_write: Signal
    o_scalar_value: Signal
    o_counter_read: Signal
    o_counter_index: Signal
    i_counter_value: Signal

    def __init__(self, config: Configuration) -> None:
        self._config = config
        super().__init__(
            {
                "bus": Out(axi_lite_signature(LITE_ADDRESS_BITS)),
                "o_irq": Out(1),
                **{f"o_{name.lower()}": Out(32) for name in STORED},
                "o_start": Out(1),
                "o_reset": Out(1),
                "o_clear_counters": Out(1),
                "i_running": In(1),
                "i_done": In(1),
                "i_fault": In(1),
                "i_resetting": In(1),
                "i_hold": In(1),
                "i_done_event": In(1),
                "i_fault_event": In(1),
                "i_fault_cause": In(4),
                "i_fault_address": In(32),
                "i_program_counter": In(13),
                "i_engine": In(32).array(len(Engine)),
                "o_scalar_index": Out(4),
                "i_scalar_value": In(32),
                "o_scalar_write": Out(1),
                "o_scalar_value": Out(32),
                "o_counter_read": Out(1),
                "o_counter_index": Out(range(len(COUNTERS))),
                "i_counter_value": In(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        # Each channel is taken into a register; `address` and `outside` are those of the access.
        aw_taken, w_taken, ar_taken = Signal(), Signal(), Signal()
        aw_address, ar_address = Signal(LITE_ADDRESS_BITS), Signal(LITE_ADDRESS_BITS)
        word, strobe = Signal(32), Signal(4)
        m.d.comb += [
            bus.awready.eq(~aw_taken),
            bus.wready.eq(~w_taken),
            bus.arready.eq(~ar_taken),
        ]
        with m.If(bus.awvalid & ~aw_taken):
            m.d.sync += [aw_taken.eq(1), aw_address.eq(bus.awaddr)]
        with m.If(bus.wvalid & ~w_taken):
            m.d.sync += [w_taken.eq(1), word.eq(bus.wdata), strobe.eq(bus.wstrb)]
        with m.If(bus.arvalid & ~ar_taken):
            m.d.sync += [ar_taken.eq(1), ar_address.eq(bus.araddr)]

        # Every access looks its register up; a write merges the bytes without a strobe.
        writes = Signal()  # one cycle: act
        is_write, reads_counter = Signal(), Signal()
        address, outside = Signal(LITE_ADDRESS_BITS), Signal()
        current, merged = Signal(32), Signal(32)
        mask = Cat(bit.replicate(8) for bit in strobe)
        m.d.comb += merged.eq((current & ~mask) | (word & mask))
        with m.FSM(name="access"):
            with m.State("IDLE"):
                m.d.sync += [
                    is_write.eq(aw_taken & w_taken),
                    reads_counter.eq(
                        ~(aw_taken & w_taken)
                        & (ar_address >= _COUNTER_BASE)
                        & (ar_address < WINDOW_BYTES)
                        & ~ar_address[2]
                    ),
                ]
                with m.If(self.i_hold):
                    pass
                with m.Elif(aw_taken & w_taken):
                    m.d.sync += [address.eq(aw_address), outside.eq(aw_address >= WINDOW_BYTES)]
                    m.next = "BEGIN"
                with m.Elif(ar_taken):
                    m.d.sync += [address.eq(ar_address), outside.eq(ar_address >= WINDOW_BYTES)]
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += self.o_counter_read.eq(reads_counter)
                m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.next = "SELECT"
            with m.State("SELECT"):
                m.next = "ANSWER"
            with m.State("ANSWER"):
                with m.If(is_write):
                    m.d.comb += writes.eq(~outside)
                    m.d.sync += [bus.bvalid.eq(1), bus.bresp.eq(Mux(outside, _DECERR, 0))]
                    m.next = "WRITE_RESPONSE"
                with m.Else():
                    m.d.sync += [
                        bus.rvalid.eq(1),
                        bus.rdata.eq(Mux(outside, 0, current)),
                        bus.rresp.eq(Mux(outside, _DECERR, 0)),
                    ]
                    m.next = "READ_RESPONSE"
            with m.State("WRITE_RESPONSE"), m.If(bus.bready):
                m.d.sync += [bus.bvalid.eq(0), aw_taken.eq(0), w_taken.eq(0)]
                m.next = "IDLE"
            with m.State("READ_RESPONSE"), m.If(bus.rready):
                m.d.sync += [bus.rvalid.eq(0), ar_taken.eq(0)]
                m.next = "IDLE"

        selects = Signal(len(_SHOWN))
        m.d.sync += selects.eq(Cat(address[2:8] == registers.offset(name) // 4 for name in _SHOWN))
        chosen = dict(zip(_SHOWN, selects, strict=True))
        enable, pending = Signal(2), Signal(2)
        self._write(m, writes, chosen, address, merged, word & mask, enable, pending)
        self._read(m, chosen, address, current, enable, pending)
        m.d.comb += self.o_counter_index.eq((address - _COUNTER_BASE)[3:])
        return m

    def _write(
        self,
        m: Module,
        writes: Value,
        chosen: dict[str, Value],
        address: Value,
        merged: Value,
        strobed: Value,
        enable: Signal,
        pending: Signal,
    ) -> None:
        """What a write does, in the one cycle of ``writes``."""
        writes = writes & (address < _COUNTER_BASE)
        for name in STORED:
            with m.If(writes & chosen[name]):
                m.d.sync += getattr(self, f"o_{name.lower()}").eq(merged)
        controls = writes & chosen["CONTROL"]
        clears = writes & chosen["INTERRUPT_PENDING"]
        events = _flags({Interrupt.DONE: self.i_done_event, Interrupt.FAULT: self.i_fault_event})
        m.d.sync += [
            self.o_start.eq(controls & (strobed & Control.START).any()),
            self.o_reset.eq(controls & (strobed & Control.RESET).any()),
            self.o_clear_counters.eq(controls & (strobed & Control.CLEAR_COUNTERS).any()),
            pending.eq((pending & ~Mux(clears, strobed[:2], 0)) | events),
            self.o_irq.eq((enable & pending).any()),
        ]
        with m.If(writes & chosen["INTERRUPT_ENABLE"]):
            m.d.sync += enable.eq(merged)
        m.d.comb += [
            self.o_scalar_index.eq((address - _SCALAR_BASE)[2:]),
            self.o_scalar_value.eq(merged),
            self.o_scalar_write.eq(
                writes & (address >= _SCALAR_BASE) & (address < _SCALAR_END) & ~self.i_running
            ),
        ]

    def _read(
        self,
        m: Module,
        chosen: dict[str, Value],
        address: Value,
        current: Signal,
        enable: Value,
        pending: Value,
    ) -> None:
        """The register at ``address``, 3 cycles later, in ``current``."""
        config = self._config
        status = {
            Status.RUNNING: self.i_running,
            Status.DONE: self.i_done,
            Status.FAULT: self.i_fault,
            Status.RESETTING: self.i_resetting,
        }
        shown: dict[str, Any] = {
            "ID": registers.ID_VALUE,
            "VERSION": registers.VERSION_VALUE,
            "FINGERPRINT_LOW": config.fingerprint & 0xFFFF_FFFF,
            "FINGERPRINT_HIGH": config.fingerprint >> 32,
            "GEOMETRY": config.array_cols | config.beat_bytes << 8 | config.activation_bits << 16,
            "STATUS": _flags(status),
            "INTERRUPT_ENABLE": enable,
            "INTERRUPT_PENDING": pending,
            "FAULT_CAUSE": self.i_fault_cause,
            "FAULT_ADDRESS": self.i_fault_address,
            "PROGRAM_COUNTER": self.i_program_counter,
            **{name: getattr(self, f"o_{name.lower()}") for name in STORED},
            **{f"ENGINE_{engine.name}": self.i_engine[engine] for engine in Engine},
        }
        single = Signal(32)
        terms = [Mux(chosen[name], Value.cast(value), 0) for name, value in shown.items()]
        m.d.sync += single.eq(functools.reduce(operator.or_, terms))
        with m.If(address >= _COUNTER_END):
            m.d.sync += current.eq(0)
        with m.Elif(address >= _COUNTER_BASE):
            m.d.sync += current.eq(self.i_counter_value.word_select(address[2], 32))
        with m.Elif((address >= _SCALAR_BASE) & (address < _SCALAR_END)):
            m.d.sync += current.eq(self.i_scalar_value)
        with m.Else():
            m.d.sync += current.eq(single)


def _flags(bits: Mapping[Any, Value]) -> Value:
    """Single bits at the places of their flags."""
    by_place = {int(flag).bit_length() - 1: bit for flag, bit in bits.items()}
    return Cat(by_place[place] for place in range(len(by_place)))
