# SPDX-License-Identifier: Apache-2.0
"""Each rule of the SDRAM model: a sequence that just keeps it, and one that just breaks it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from amaranth import Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.soc.sdram_timing import ULX3S
from weft_rtl.verilog_text import to_verilog
from weft_sim.bench import Bench, bench_test, run_cocotb
from weft_sim.sdram_model import (
    MODEL_PORTS,
    SdramRule,
    sdram_model_parameters,
    sdram_model_verilog,
    violation,
)

# At 10 ns: tRCD 2, tRP 3, tRAS 6, tRC 10, tRRD 4, tRFC 12, tWR 3, tCCD 2, tMRD 2, at most 200
# cycles open, a refresh every 100 cycles, 16 of them; power-up 20 cycles and 2 refreshes.
PART = dataclasses.replace(
    ULX3S,
    rows=64,
    columns=64,
    activate_to_column_ns=20.0,
    precharge_ns=30.0,
    row_active_ns=60.0,
    row_active_max_ns=2000.0,
    row_cycle_ns=100.0,
    activate_to_activate_ns=40.0,
    refresh_ns=120.0,
    write_recovery_ns=30.0,
    column_to_column_cycles=2,
    retention_ns=16_000.0,
    refreshes=16,
    power_up_ns=200.0,
    power_up_refreshes=2,
    clock_ns_latency_2=11.0,
)
PINS = {"cke": 1, "cs_n": 1, "ras_n": 1, "cas_n": 1, "we_n": 1, "ba": 2, "a": 11, "dqm": 2}
PINS |= {"dq_i": 16, "dq_driven": 1}
CODES = {"mode": 0, "ref": 1, "pre": 2, "act": 3, "write": 4, "read": 5, "stop": 6, "nop": 7}
MODE = 0x31  # bursts of 2, latency 3
ALL = 1 << 10


class ModelAlone(wiring.Component):
    """The model's pins as ports."""

    def __init__(self) -> None:
        ports = {**{n: In(w) for n, w in PINS.items()}, "dq_o": Out(16)}
        super().__init__({**ports, **{n: Out(w) for n, w in MODEL_PORTS.items()}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unused = Signal()
        m.d.sync += unused.eq(1)
        parameters = sdram_model_parameters(PART, 100_000_000, late_data=False)
        m.submodules.model = Instance(
            "sdram_model",
            **{f"p_{name}": value for name, value in parameters.items()},
            i_clk=self._clock(),
            i_rst=ResetSignal(),
            **{f"i_{name}": getattr(self, name) for name in PINS},
            **{f"o_{name}": getattr(self, name) for name in ("dq_o", *MODEL_PORTS)},
        )
        return m

    def _clock(self) -> Any:
        from amaranth import ClockSignal

        return ClockSignal()


Step = tuple[Any, ...]
"""Cycles since the step before, command, bank, address, and what else the pins show."""
WAKE: list[Step] = [(21, "pre", 0, ALL), (3, "ref"), (12, "ref"), (12, "mode", 0, MODE)]
OPEN: list[Step] = [*WAKE, (2, "act", 0, 5)]
DATA = {"dq_i": 0x1234, "dq_driven": 1}
WRITTEN: list[Step] = [*OPEN, (4, "write", 0, 8, DATA), (1, "nop", 0, 0, DATA)]
REFRESHED: list[Step] = [*WAKE, *[(50, "ref")] * 40]

CASES: dict[str, tuple[str, list[Step]]] = {
    "power_up_kept": ("", WAKE),
    "power_up": ("POWER_UP .*after power-up", [(15, "pre", 0, ALL)]),
    "power_up_precharge": ("POWER_UP_PRECHARGE .*first command", [(21, "ref")]),
    "power_up_one_bank": ("POWER_UP_PRECHARGE .*first command", [(21, "pre", 0, 0)]),
    "power_up_mode": ("POWER_UP_ORDER .*mode register", [*WAKE[:3], (12, "act", 0, 5)]),
    "power_up_refreshes": (
        "POWER_UP_ORDER .*after 1 refreshes of 2",
        [*WAKE[:2], (12, "mode", 0, MODE), (2, "act", 0, 5)],
    ),
    "mode_open": ("MODE_BANK_OPEN", [*OPEN, (6, "mode", 0, MODE)]),
    "mode_value": ("MODE_VALUE .*0x39", [*WAKE, (2, "mode", 0, 0x39)]),
    "mode_cycle": ("MODE_CYCLE .*tMRD", [*WAKE, (1, "act", 0, 5)]),
    "latency": ("LATENCY .*CAS latency 2 was set, and 3", [*WAKE, (2, "mode", 0, 0x21)]),
    "activate_open": ("ACTIVATE_OPEN", [*OPEN, (10, "act", 0, 6)]),
    "row_cycle_kept": ("", [*OPEN, (6, "pre"), (4, "act", 0, 6)]),
    "row_cycle": ("ROW_CYCLE .*bank 0: tRC.* 9 cycles.* 10", [*OPEN, (6, "pre"), (3, "act")]),
    "spacing_kept": ("", [*OPEN, (4, "act", 1, 6)]),
    "spacing": ("ACTIVATE_SPACING .*bank 1: tRRD.* 3 cycles.* 4", [*OPEN, (3, "act", 1, 6)]),
    "to_column_kept": ("", [*OPEN, (2, "read", 0, 8)]),
    "to_column": ("ACTIVATE_TO_COLUMN .*tRCD.* 1 cycles.* 2", [*OPEN, (1, "read", 0, 8)]),
    "column_closed": ("COLUMN_CLOSED .*bank 2", [*OPEN, (4, "read", 2, 8)]),
    "column_spacing_kept": ("", [*OPEN, (2, "read", 0, 8), (2, "read", 0, 10)]),
    "column_spacing": ("COLUMN_SPACING .*tCCD", [*OPEN, (2, "read", 0, 8), (1, "read", 0, 10)]),
    "row_address": ("ADDRESS .*0x40", [*WAKE, (2, "act", 0, 64)]),
    "column_address": ("ADDRESS .*0x40", [*OPEN, (2, "read", 0, 64)]),
    "row_active_kept": ("", [*OPEN, (6, "pre")]),
    "row_active": ("ROW_ACTIVE .*tRAS.* 5 cycles.* 6", [*OPEN, (5, "pre")]),
    "row_active_max": ("ROW_ACTIVE_MAX .*201 cycles, longer than 200", [*OPEN, (202, "nop")]),
    "write_recovery_kept": ("", [*WRITTEN, (3, "pre")]),
    "write_recovery": ("WRITE_RECOVERY .*tWR.* 2 cycles.* 3", [*WRITTEN, (1, "nop"), (1, "pre")]),
    "burst_kept": ("", [*OPEN, (6, "read", 0, 8), (2, "pre")]),
    "burst_cut": ("BURST_CUT", [*OPEN, (6, "read", 0, 8), (1, "pre")]),
    "precharge_kept": ("", [*OPEN, (8, "pre"), (3, "act")]),
    "precharge": ("PRECHARGE_TIME .*tRP.* 2 cycles.* 3", [*OPEN, (8, "pre"), (2, "act")]),
    "precharge_refresh": ("PRECHARGE_TIME .*tRP", [*OPEN, (8, "pre"), (2, "ref")]),
    "refresh_open": ("REFRESH_BANK_OPEN .*bank 0", [*OPEN, (8, "ref")]),
    "refresh_cycle_kept": ("", [*WAKE, (2, "ref"), (12, "ref")]),
    "refresh_cycle": ("REFRESH_CYCLE .*tRFC.* 11 cycles.* 12", [*WAKE, (2, "ref"), (11, "ref")]),
    "refresh_late": ("REFRESH_LATE .*9 refreshes.*more than 8", [*WAKE, (905, "nop")]),
    "refreshed": ("", REFRESHED),
    "retention": ("RETENTION", [*REFRESHED, (1200, "nop")]),
    "retention_after_a_long_power_up": ("", [(700, "nop"), *WAKE, *[(100, "ref")] * 15]),
    "turn_kept": (
        "",
        [*OPEN, (2, "read", 0, 8), (6, "write", 0, 8, DATA), (1, "nop", 0, 0, DATA)],
    ),
    "contention": ("CONTENTION", [*OPEN, (2, "read", 0, 8), (5, "write", 0, 8, DATA)]),
    "undriven": ("UNDRIVEN", [*OPEN, (2, "write", 0, 8)]),
    "auto_precharge": ("UNSUPPORTED", [*OPEN, (2, "read", 0, 8 | ALL)]),
    "stop": ("UNSUPPORTED", [*OPEN, (2, "stop")]),
    "clock_off": ("UNSUPPORTED", [*OPEN, (2, "nop", 0, 0, {"cke": 0})]),
}


async def play(bench: Bench, steps: list[Any]) -> None:
    dut = bench.dut

    def show(name: str, bank: int = 0, address: int = 0, extra: dict[str, int] | None = None):
        code = CODES[name]
        pins = {"cke": 1, "cs_n": 0, "ba": bank, "a": address, "dqm": 0, "dq_driven": 0}
        pins |= {"ras_n": code >> 2, "cas_n": code >> 1 & 1, "we_n": code & 1, "dq_i": 0}
        for pin, value in (pins | (extra or {})).items():
            getattr(dut, pin).value = value

    show("nop")
    await bench.reset(2)
    for wait, *step in steps:
        if wait > 1:
            await bench.cycles(1)
            show("nop")
            await bench.cycles(wait - 2)
        await bench.cycles(1)
        show(*step)
    await bench.cycles(1)
    show("nop")
    await bench.cycles(2)


def sentence(bench: Bench) -> str:
    value = {name: int(getattr(bench.dut, name).value) for name in MODEL_PORTS}
    return violation(
        value["rule"],
        bank=value["rule_bank"],
        cycle=value["rule_cycle"],
        needed=value["rule_needed"],
        found=value["rule_found"],
    )


@bench_test(deadline_cycles=300_000)
async def rules(bench: Bench) -> None:
    import re

    wrong = []
    for name, (message, steps) in bench.parameters["cases"].items():
        await play(bench, steps)
        said = sentence(bench)
        if not (re.search(message, said) if message else not said):
            wrong.append(f"{name}: expected {message!r}, the model said {said!r}")
    assert not wrong, "\n".join(wrong)


def test_every_rule_is_broken_by_a_case() -> None:
    named = {message.split(" ")[0] for message, _ in CASES.values() if message}
    assert named == {rule.name for rule in SdramRule if rule}


def test_rules() -> None:
    text = to_verilog(ModelAlone(), "model_alone") + sdram_model_verilog()
    parameters = {"cases": CASES}
    run_cocotb(text, __file__, name="model_alone", tests="rules", parameters=parameters)


@pytest.mark.parametrize("rule", [rule for rule in SdramRule if rule])
def test_every_rule_has_a_sentence(rule: SdramRule) -> None:
    text = violation(rule, bank=2, cycle=77, needed=3, found=1)
    assert text.startswith(f"SDRAM rule {rule.name} was broken in cycle 77, bank 2: ")
    assert text.endswith(".")


def test_no_rule_no_sentence() -> None:
    assert violation(0, bank=0, cycle=0, needed=0, found=0) == ""
