# SPDX-License-Identifier: Apache-2.0
"""The ECP5 multipliers: the mapped netlists multiply, and the hard one uses its registers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from weft_rtl.array.ecp5_multiplier import black_boxes, techmap
from weft_sim.bench import Bench, bench_test, run_cocotb


def _yosys(*commands: str) -> None:
    """Run Yosys in a process of its own, which it ends when there is an error."""
    pytest.importorskip("pyosys")
    script = "import sys\nfrom pyosys import libyosys\ndesign = libyosys.Design()\n"
    script += "for command in sys.argv[1:]:\n    libyosys.run_pass(command, design)\n"
    process = subprocess.run(
        [sys.executable, "-c", script, *commands], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]


def _mapped(cell: str, bits: int, folder: Path) -> str:
    """The cell after synthesis and mapping, as Verilog."""
    swap = " input swap," if cell == "weft_hard_multiplier" else ""
    connect = " .swap(swap)," if swap else ""
    top = (
        f"module top(input clk, input [{bits - 1}:0] activation, input [7:0] weight,{swap} "
        f"output [{bits + 7}:0] product);\n"
        f"  {cell} cell(.clk(clk), .activation(activation), .weight(weight),{connect} "
        ".product(product));\nendmodule\n"
    )
    (folder / "top.v").write_text(black_boxes(bits) + top)
    (folder / "map.v").write_text(techmap(bits))
    _yosys(
        f"read_verilog {folder / 'top.v'}",
        "synth_ecp5 -top top",
        f"techmap -map {folder / 'map.v'}",
        "opt_clean",
        f"write_verilog -noattr {folder / 'mapped.v'}",
    )
    return (folder / "mapped.v").read_text()


def _simulatable(netlist: str, folder: Path) -> str:
    """The netlist with the models of its primitives inside."""
    (folder / "netlist.v").write_text(netlist)
    _yosys(
        f"read_verilog {folder / 'netlist.v'}",
        "read_verilog +/ecp5/common_sim.vh +/ecp5/ccu2c_sim.vh",
        "hierarchy -top top",
        "proc",
        "flatten",
        "opt",
        f"write_verilog -noattr {folder / 'flat.v'}",
    )
    return (folder / "flat.v").read_text()


@bench_test(deadline_cycles=200_000)
async def multiplies(bench: Bench) -> None:
    bits = bench.parameters["bits"]
    limit = 1 << bits - 1
    dut = bench.dut
    values = sorted({0, 1, 2, 3, limit - 1, limit // 2, *(1 << k for k in range(bits - 1))})
    values += [-v for v in values] + [-limit]
    values += [bench.random.randrange(-limit, limit) for _ in range(20)]
    pairs = [(a, w) for w in range(-128, 128) for a in values]
    results = []
    for a, w in [*pairs, (0, 0), (0, 0)]:
        dut.activation.value = a & (2 * limit - 1)
        dut.weight.value = w & 255
        await bench.cycles(1)
        results.append(int(dut.product.value))
    # The product register and one before it; the operands come from registers of the array.
    expected = [a * w & (256 * 2 * limit - 1) for a, w in pairs]
    assert results[2:] == expected


@pytest.mark.parametrize("bits", [8, 10, 11, 12])
def test_row_multiplier(bits: int, tmp_path: Path) -> None:
    netlist = _mapped("weft_row_multiplier", bits, tmp_path)
    cells = len(re.findall(r"CCU2C #\(", netlist))
    assert len(re.findall(r"^\s*LUT4 ", netlist, re.MULTILINE)) == 0
    assert cells == 6 * ((bits + 3) // 2) + (bits + 5) // 2
    flat = _simulatable(netlist, tmp_path)
    run_cocotb(flat, __file__, tests="multiplies", name="top", parameters={"bits": bits})


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_hard_multiplier_uses_its_registers(bits: int, tmp_path: Path) -> None:
    netlist = _mapped("weft_hard_multiplier", bits, tmp_path)
    for name in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT"):
        assert f'.REG_{name}_CLK("CLK0")' in netlist
    assert '.REG_INPUTB_CE("CE1")' in netlist
    # Operands sit at the top, so that the product is at the top, too.
    pins = dict(re.findall(r"\.(A\d+|B\d+|P\d+|CE1)\(([^)]*)\)", netlist))
    for i in range(18):
        used_a, used_b = i - (18 - bits), i - 10
        assert pins[f"A{i}"] == (f"activation[{used_a}]" if used_a >= 0 else "1'h0")
        assert pins[f"B{i}"] == (f"weight[{used_b}]" if used_b >= 0 else "1'h0")
    for i in range(bits + 8):
        assert pins[f"P{35 - (bits + 7) + i}"] == f"product[{i}]"
    assert pins["CE1"] == "swap"
