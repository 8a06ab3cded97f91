# SPDX-License-Identifier: Apache-2.0
"""Levels of logic by the netlist of hand-made cells: times, names, clocks, loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from weft_rtl.bitstream.cell_delays import arcs_of, wire_ns
from weft_rtl.bitstream.levels import EstimatedPath, estimated_paths

CLOCK, OTHER = 1, 2
FLIP_FLOP, LUT, WIRE = 0.52, 0.24, 1.0


def cell(kind: str, module: str = "top", /, parameters: Any = None, **pins: Any) -> dict[str, Any]:
    outputs = ("Q", "Z", "S0", "S1", "COUT", "DO", "DOA0", "P0")
    return {
        "type": kind,
        "parameters": parameters or {},
        "attributes": {"weft_block": module},
        "port_directions": {pin: "output" if pin in outputs else "input" for pin in pins},
        "connections": {pin: bit if isinstance(bit, list) else [bit] for pin, bit in pins.items()},
    }


def paths(tmp_path: Path, cells: dict[str, Any]) -> list[EstimatedPath]:
    names = {"clk": {"bits": [CLOCK]}, "long.clk": {"bits": [CLOCK]}, "slow": {"bits": [OTHER]}}
    file = tmp_path / "netlist.json"
    file.write_text(json.dumps({"modules": {"top": {"cells": cells, "netnames": names}}}))
    return estimated_paths(file, "top")


def test_bits_of_a_register_are_one_and_the_longest_counts(tmp_path: Path) -> None:
    found = paths(
        tmp_path,
        {
            "a_TRELLIS_FF_Q": cell("TRELLIS_FF", "top.x", CLK=CLOCK, DI=10, Q=10),
            "lut": cell("LUT4", A=10, B="0", Z=11),
            "another": cell("LUT4", A=11, Z=12),
            "b_TRELLIS_FF_Q_1": cell("TRELLIS_FF", "top.y", CLK=CLOCK, DI=11, Q=20),
            "b_TRELLIS_FF_Q": cell("TRELLIS_FF", "top.y", CLK=CLOCK, DI=12, LSR=20, Q=21),
        },
    )
    assert [path.end for path in found] == ["b", "a"]
    longest = found[0]
    assert longest.ns == pytest.approx(FLIP_FLOP + 2 * (LUT + WIRE))
    assert (longest.levels, longest.begin, longest.clock) == (2, "a", "clk")
    assert (longest.begin_module, longest.end_module) == ("top.x", "top.y")
    assert found[1].ns == pytest.approx(FLIP_FLOP)
    assert found[1].levels == 0


def test_clocks_are_apart_and_loops_are_cut(tmp_path: Path) -> None:
    found = paths(
        tmp_path,
        {
            "a": cell("TRELLIS_FF", CLK=CLOCK, DI=11, Q=10),
            "lut": cell("LUT4", A=10, B=12, Z=11),
            "back": cell("LUT4", A=11, Z=12),
            "b": cell("TRELLIS_FF", CLK=OTHER, DI=10, Q=20),
            "c": cell("TRELLIS_FF", CLK=OTHER, DI=20, Q=21),
        },
    )
    assert {(path.begin, path.end, path.clock) for path in found} == {
        ("a", "a", "clk"),
        ("b", "c", "slow"),
    }


def test_a_carry_counts_once_and_little_for_each_two_bits(tmp_path: Path) -> None:
    cells = {"a": cell("TRELLIS_FF", CLK=CLOCK, DI=10, Q=10)}
    cells |= {
        f"add_{k}": cell(
            "CCU2C", A0=10 if k == 0 else "0", CIN="0" if k == 0 else 29 + k, COUT=30 + k, S0=50 + k
        )
        for k in range(8)
    }
    cells["sum"] = cell("TRELLIS_FF", CLK=CLOCK, DI=57, Q=60)
    longest = paths(tmp_path, cells)[0]
    assert longest.levels == 1
    assert longest.ns == pytest.approx(FLIP_FLOP + WIRE + 0.45 + 6 * 0.07 + 0.44)


@pytest.mark.parametrize(("mode", "ns"), [("NOREG", 5.6), ("OUTREG", 0.96)])
def test_block_ram_is_late_without_its_register(tmp_path: Path, mode: str, ns: float) -> None:
    ram = cell("DP16KD", CLKA=CLOCK, DOA0=10, ADA0=20, parameters={"REGMODE_A": mode})
    found = paths(tmp_path, {"ram": ram, "q": cell("TRELLIS_FF", CLK=CLOCK, DI=10, Q=20)})
    assert {path.end: path.ns for path in found} == {
        "q": pytest.approx(ns),
        "ram": pytest.approx(FLIP_FLOP + WIRE + 0.3),
    }


def test_wires_with_many_readers_are_longer() -> None:
    assert wire_ns(1) == WIRE
    assert wire_ns(2) < wire_ns(64) < 2 * WIRE


def test_what_has_no_logic_has_no_arcs() -> None:
    assert not list(arcs_of(cell("EHXPLLL", CLKI=10, CLKOP=11)))
