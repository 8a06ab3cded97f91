# SPDX-License-Identifier: Apache-2.0
"""The controller with the SDRAM model behind it, and an AXI4 manager that checks what it gets."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

from amaranth import ClockDomain, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock

from weft_arch.config import preset
from weft_rtl.dma.axi import axi4_signature, flat_members
from weft_rtl.soc.sdram_controller import SdramController
from weft_rtl.soc.sdram_timing import ULX3S, SdramTiming
from weft_rtl.verilog_text import to_verilog
from weft_sim.bench import Bench, Stalls
from weft_sim.sdram_model import MODEL_PORTS, sdram_model_parameters, sdram_model_verilog, violation

PART = dataclasses.replace(ULX3S, power_up_ns=20e3)
"""The ULX3S's, with a shorter wait after power-up."""
TIMING = SdramTiming(part=PART, clock_hz=133_333_333)


class SdramSystem(wiring.Component):
    """AXI port, controller, model. ``clk_sdram`` is the SDRAM domain's clock."""

    clk_sdram: Signal
    o_ready: Signal

    def __init__(self, timing: SdramTiming, *, late_data: bool = True) -> None:
        self._timing, self._late = timing, late_data
        config = preset("default")
        self._controller = SdramController(
            config, timing, read_delay_cycles=timing.cas_latency + (3 if late_data else 2)
        )
        names = flat_members("s_axi", axi4_signature(config).flip())
        super().__init__(
            {
                "clk_sdram": In(1),
                "o_ready": Out(1),
                **names,
                **{name: Out(width) for name, width in MODEL_PORTS.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sdram: Any = ClockDomain("sdram", reset_less=True)
        m.domains += sdram
        m.d.comb += sdram.clk.eq(self.clk_sdram)
        controller = m.submodules.controller = self._controller
        for name, member in controller.axi.signature.members.items():
            outer, inner = getattr(self, f"s_axi_{name}"), getattr(controller.axi, name)
            m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        m.d.comb += self.o_ready.eq(controller.o_ready)
        pads = controller.pads
        parameters = sdram_model_parameters(
            self._timing.part, self._timing.clock_hz, late_data=self._late
        )
        ports = {f"i_{n}": getattr(pads, n) for n in ("clk", "cke", "cs_n", "ras_n", "cas_n")}
        ports |= {f"i_{n}": getattr(pads, n) for n in ("we_n", "ba", "a", "dqm")}
        m.submodules.model = Instance(
            "sdram_model",
            **{f"p_{name}": value for name, value in parameters.items()},
            **ports,
            i_rst=ResetSignal(),
            i_dq_i=pads.dq_o,
            i_dq_driven=pads.dq_oe.any(),
            o_dq_o=pads.dq_i,
            **{f"o_{name}": getattr(self, name) for name in MODEL_PORTS},
        )
        return m


def system_verilog(timing: SdramTiming, *, late_data: bool = True) -> str:
    """The system as text; its top module is ``sdram_system``."""
    return to_verilog(SdramSystem(timing, late_data=late_data), "sdram_system") + (
        sdram_model_verilog()
    )


class Manager:
    """Issues reads and writes, and keeps what came back.

    Members
    -------
    read_beats : (data, response) of every beat, checked for ``rlast`` and ``rid``
    write_responses : of every burst, in order
    """

    def __init__(self, bench: Bench, *, period_ns: float = 7.5) -> None:
        self.bench, self.dut = bench, bench.dut
        self.reads: deque[tuple[int, int]] = deque()
        self.writes: deque[tuple[int, int]] = deque()
        self.beats: deque[tuple[int, int, int]] = deque()
        self.expected: deque[tuple[int, int]] = deque()
        self.read_beats: list[tuple[int, int]] = []
        self.write_responses: list[int] = []
        self.issued_writes = 0
        self._driven: dict[str, int] = {}
        self._held: dict[str, tuple[int, ...]] = {}
        self._stalls = {c: Stalls(bench.stall, bench.random_for(c)) for c in ("ar", "aw", "w")}
        self._stalls |= {c: Stalls(bench.stall, bench.random_for(c)) for c in ("r", "b")}
        for name, member in axi4_signature(preset("default")).members.items():
            if member.flow is Out:
                self._drive(name, 0)
        for channel in ("ar", "aw"):
            self._drive(f"{channel}size", 3)
            self._drive(f"{channel}burst", 1)
        Clock(self.dut.clk_sdram, round(period_ns * 1000), unit="ps").start()
        bench.add_agent(self._at_edge)
        bench.add_report(self._report)

    def read(self, address: int, beats: int) -> None:
        """Queue a read burst."""
        self.reads.append((address, beats))

    def write(self, address: int, data: list[tuple[int, int]]) -> None:
        """Queue a write burst of (data, strobe)."""
        self.writes.append((address, len(data)))
        self.beats.extend((d, s, int(k == len(data) - 1)) for k, (d, s) in enumerate(data))

    async def finished(self, *, reads: int, writes: int) -> None:
        """Wait until so many beats and responses have come since the start."""
        while len(self.read_beats) < reads or len(self.write_responses) < writes:
            await self.bench.cycles(10)
        self.check_model()

    def check_model(self) -> None:
        """Raise what the model has seen."""
        value = {name: int(getattr(self.dut, name).value) for name in MODEL_PORTS}
        text = violation(
            value["rule"],
            bank=value["rule_bank"],
            cycle=value["rule_cycle"],
            needed=value["rule_needed"],
            found=value["rule_found"],
        )
        assert not text, text

    def _at_edge(self) -> None:
        self._send("ar", self.reads, ("addr", "len"), self._read_issued)
        self._send("aw", self.writes, ("addr", "len"), None)
        self._send("w", self.beats, ("data", "strb", "last"), None)
        self._receive("r", ("data", "resp", "last", "id"))
        self._receive("b", ("resp", "id"))
        if int(self.dut.rule.value):
            self.check_model()

    def _read_issued(self, burst: tuple[int, ...]) -> None:
        self.expected.extend((k == burst[1] - 1, burst[0]) for k in range(burst[1]))

    def _send(self, channel: str, queue: Any, fields: tuple[str, ...], issued: Any) -> None:
        if self._driven[f"{channel}valid"]:
            if not int(getattr(self.dut, f"s_axi_{channel}ready").value):
                return
            item = queue.popleft()
            if issued:
                issued(item)
        if not queue or self._stalls[channel].now():
            self._drive(f"{channel}valid", 0)
            return
        self._drive(f"{channel}valid", 1)
        for field, value in zip(fields, queue[0], strict=True):
            self._drive(f"{channel}{field}", value - (field == "len"))

    def _receive(self, channel: str, fields: tuple[str, ...]) -> None:
        valid = int(getattr(self.dut, f"s_axi_{channel}valid").value)
        values = tuple(int(getattr(self.dut, f"s_axi_{channel}{f}").value) for f in fields)
        held = self._held.get(channel)
        assert held is None or (valid and held == values), f"{channel} changed while it waited"
        taken = valid and self._driven[f"{channel}ready"]
        self._held[channel] = values if valid and not taken else None  # type: ignore[assignment]
        if taken and channel == "r":
            last, address = self.expected.popleft()
            assert bool(values[2]) == last, f"rlast of the burst at {address:#x}"
            self.read_beats.append(values[:2])  # type: ignore[arg-type]
        elif taken:
            self.write_responses.append(values[0])
        self._drive(f"{channel}ready", int(not self._stalls[channel].now()))

    def _drive(self, name: str, value: int) -> None:
        if self._driven.get(name) != value:
            getattr(self.dut, f"s_axi_{name}").value = value
            self._driven[name] = value

    def _report(self) -> str:
        return (
            f"manager: {len(self.read_beats)} beats, {len(self.write_responses)} responses; "
            f"{len(self.reads)} reads and {len(self.writes)} writes to go"
        )


async def begin(bench: Bench) -> Manager:
    """A manager, after a reset in which both clocks run, as the controller and the model need."""
    manager = Manager(bench)
    await bench.reset(8)
    return manager
