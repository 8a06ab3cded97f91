# SPDX-License-Identifier: Apache-2.0
"""An SDR SDRAM in SystemVerilog, for cocotb benches and whole simulated boards alike.

The model (``harness/sdram_model.sv``) is compiled by Verilator together with the design. It stores,
answers, counts, and compares every command with the part's data sheet. Instantiate the module
``sdram_model`` with `sdram_model_parameters`, append `sdram_model_verilog` to the design's text,
and look at its port ``rule`` now and then: `violation` makes a sentence of it.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

from weft_rtl.soc.sdram_timing import SdramPart

__all__ = ["MODEL_PORTS", "SdramRule", "sdram_model_parameters", "sdram_model_verilog", "violation"]

MODEL_PORTS = {
    "rule": 8,
    "rule_bank": 2,
    "rule_cycle": 64,
    "rule_needed": 32,
    "rule_found": 32,
    "cycles": 64,
    "words_read": 64,
    "words_written": 64,
    "activates": 64,
    "refreshes": 64,
}
"""What the model tells, and its bits."""

_SOURCE = Path(__file__).parent / "harness" / "sdram_model.sv"


class SdramRule(IntEnum):
    """The rules that the model checks; 0 is none broken."""

    NONE = 0
    POWER_UP = 1
    POWER_UP_PRECHARGE = 2
    POWER_UP_ORDER = 3
    MODE_BANK_OPEN = 4
    MODE_VALUE = 5
    MODE_CYCLE = 6
    LATENCY = 7
    ACTIVATE_OPEN = 8
    ROW_CYCLE = 9
    ACTIVATE_SPACING = 10
    ACTIVATE_TO_COLUMN = 11
    COLUMN_CLOSED = 12
    COLUMN_SPACING = 13
    ADDRESS = 14
    ROW_ACTIVE = 15
    ROW_ACTIVE_MAX = 16
    WRITE_RECOVERY = 17
    BURST_CUT = 18
    PRECHARGE_TIME = 19
    REFRESH_BANK_OPEN = 20
    REFRESH_CYCLE = 21
    REFRESH_LATE = 22
    RETENTION = 23
    CONTENTION = 24
    UNDRIVEN = 25
    UNSUPPORTED = 26


_AT_LEAST = "{found} cycles, and at least {needed} are needed"
_TEXT = {
    SdramRule.POWER_UP: "the first command came {found} cycles after power-up, before {needed}",
    SdramRule.POWER_UP_PRECHARGE: "the first command was not PRECHARGE of all banks",
    SdramRule.POWER_UP_ORDER: (
        "ACTIVATE came before the mode register was set, or after {found} refreshes of {needed}"
    ),
    SdramRule.MODE_BANK_OPEN: "the mode register was set while the bank was open",
    SdramRule.MODE_VALUE: "the mode register was set to {found:#x}, which the model does not know",
    SdramRule.MODE_CYCLE: f"tMRD: a command followed the mode register after {_AT_LEAST}",
    SdramRule.LATENCY: "CAS latency {found} was set, and {needed} is the least at this clock",
    SdramRule.ACTIVATE_OPEN: "ACTIVATE of an open bank",
    SdramRule.ROW_CYCLE: f"tRC: ACTIVATE followed ACTIVATE after {_AT_LEAST}",
    SdramRule.ACTIVATE_SPACING: f"tRRD: ACTIVATE followed another bank's after {_AT_LEAST}",
    SdramRule.ACTIVATE_TO_COLUMN: f"tRCD: READ or WRITE followed ACTIVATE after {_AT_LEAST}",
    SdramRule.COLUMN_CLOSED: "READ or WRITE in a bank without an open row",
    SdramRule.COLUMN_SPACING: f"tCCD: READ or WRITE followed another after {_AT_LEAST}",
    SdramRule.ADDRESS: "address {found:#x} does not exist, it must be below {needed:#x}",
    SdramRule.ROW_ACTIVE: f"tRAS: PRECHARGE followed ACTIVATE after {_AT_LEAST}",
    SdramRule.ROW_ACTIVE_MAX: "tRAS: a row was open for {found} cycles, longer than {needed}",
    SdramRule.WRITE_RECOVERY: f"tWR: PRECHARGE followed the last written word after {_AT_LEAST}",
    SdramRule.BURST_CUT: "PRECHARGE cut a burst off",
    SdramRule.PRECHARGE_TIME: f"tRP: a command followed PRECHARGE after {_AT_LEAST}",
    SdramRule.REFRESH_BANK_OPEN: "REFRESH while the bank was open",
    SdramRule.REFRESH_CYCLE: f"tRFC: a command followed REFRESH after {_AT_LEAST}",
    SdramRule.REFRESH_LATE: "tREFI: {found} refreshes were postponed, more than {needed}",
    SdramRule.RETENTION: "a row was not refreshed for {found} cycles, longer than {needed}",
    SdramRule.CONTENTION: "both sides drove DQ",
    SdramRule.UNDRIVEN: "nobody drove DQ for a word to write",
    SdramRule.UNSUPPORTED: (
        "auto precharge, burst stop and low CKE are commands that the model does not know"
    ),
}


def violation(rule: int, *, bank: int, cycle: int, needed: int, found: int) -> str:
    """The sentence for what the ports ``rule`` and ``rule_*`` say; empty while ``rule`` is 0.

    Cycles are the SDRAM's, counted from the end of reset.
    """
    if not rule:
        return ""
    name = SdramRule(rule)
    text = _TEXT[name].format(needed=needed, found=found)
    return f"SDRAM rule {name.name} was broken in cycle {cycle}, bank {bank}: {text}."


def sdram_model_parameters(
    part: SdramPart, clock_hz: int, *, late_data: bool = True
) -> dict[str, int]:
    """The parameters of ``sdram_model`` for a part.

    Args:
        part: its data sheet.
        clock_hz: of the port ``clk``.
        late_data: read data changes half a cycle after the clock's edge, not at it; so it is on a
            board, where the access time is longer than half a period.
    """

    def ps(ns: float) -> int:
        return round(1000 * ns)

    return {
        "PERIOD_PS": int(1e12 / clock_hz + 1e-3),
        "DATA_BITS": part.data_bits,
        "ROWS": part.rows,
        "COLUMNS": part.columns,
        "ADDRESS_BITS": part.address_bits,
        "LATENCY_2_PS": ps(part.clock_ns_latency_2),
        "LATENCY_3_PS": ps(part.clock_ns_latency_3),
        "RCD_PS": ps(part.activate_to_column_ns),
        "RP_PS": ps(part.precharge_ns),
        "RAS_PS": ps(part.row_active_ns),
        "RAS_MAX_PS": ps(part.row_active_max_ns),
        "RC_PS": ps(part.row_cycle_ns),
        "RRD_PS": ps(part.activate_to_activate_ns),
        "RFC_PS": ps(part.refresh_ns),
        "WR_PS": ps(part.write_recovery_ns),
        "WR_CYCLES": part.write_recovery_cycles,
        "CCD_CYCLES": part.column_to_column_cycles,
        "MRD_CYCLES": part.mode_cycles,
        "POWER_UP_PS": ps(part.power_up_ns),
        "POWER_UP_REFRESHES": part.power_up_refreshes,
        "REFRESHES": part.refreshes,
        "REFRESH_INTERVAL_PS": ps(part.retention_ns / part.refreshes),
        "LATE_DATA": int(late_data),
    }


def sdram_model_verilog() -> str:
    """The SystemVerilog text of the module ``sdram_model`` and the package it uses."""
    rules = "".join(f"    localparam int {r.name} = {r.value};\n" for r in SdramRule)
    return f"\npackage sdram_rule;\n{rules}endpackage\n\n{_SOURCE.read_text()}"
