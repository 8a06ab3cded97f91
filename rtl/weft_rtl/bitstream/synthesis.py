# SPDX-License-Identifier: Apache-2.0
"""Yosys: from a design to a netlist of the part's cells."""

from pathlib import Path

from weft_rtl.bitstream.carries import drop_unread_carries
from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.parts import EcpPart, GowinPart
from weft_rtl.bitstream.tools import Progress, require, run_tool

__all__ = ["BLOCK_ATTRIBUTE", "NETLIST", "synthesis_script", "synthesize"]

NETLIST = "netlist.json"
BLOCK_ATTRIBUTE = "weft_block"
"""A cell's attribute with the module that it came from. Yosys keeps it on registers, memories and
multipliers; for logic see `weft_rtl.bitstream.netlist`."""

STEPS = (
    ("begin", 0.08),
    ("coarse", 0.10),
    ("map_ram", 0.40),
    ("map_ffram", 0.47),
    ("map_gates", 0.53),
    ("map_ffs", 0.70),
    ("map_luts", 0.74),
    ("map_cells", 0.93),
    ("check", 0.97),
)
"""The steps of ``synth_ecp5``, and how much is done when each begins (measured, whole chip);
``synth_gowin`` has the same."""

_RUN_SCRIPT = """
import sys
from pyosys import libyosys as yosys
design = yosys.Design()
for line in open(sys.argv[1]):
    if line.strip():
        yosys.run_pass(line.strip(), design)
"""


def synthesis_script(design: Design) -> str:
    """Yosys commands, one in a line; files are those that `synthesize` writes.

    The design is flattened before it is mapped: logic is then shared and shortened across
    blocks, and the whole chip takes a quarter of the time that it takes block by block.
    """
    read = [f"read_verilog -sv source_{index}.v" for index in range(len(design.sources))]
    places = [f'setattr -set BEL "{site}" c:*.{cell}' for cell, site in design.places.items()]
    label = [f'setattr -set {BLOCK_ATTRIBUTE} "{module}" {module}/c:*' for module in design.modules]
    family = "gowin -family gw5a" if isinstance(design.part, GowinPart) else "ecp5"
    synth = f"synth_{family} -top {design.name}"
    steps = [line for s, _ in STEPS for line in (f"log step {s}.", f"{synth} -run {s}:{s}")]
    lines = [
        "read_verilog black_boxes.v",
        *read,
        "read_rtlil design.il",
        f"hierarchy -top {design.name}",
        "proc",
        *label,
        "flatten",
        *steps,
        "techmap -map techmap.v",
        "opt_clean",
        *places,
        f"write_json {NETLIST}",
    ]
    return "\n".join(lines) + "\n"


def synthesize(design: Design, folder: Path, progress: Progress) -> None:
    """Write the netlist of ``design`` to ``folder``/`NETLIST`; a `BuildError` says why not."""
    require("pyosys")
    texts = {
        "design.il": design.rtlil,
        "black_boxes.v": design.black_boxes,
        "techmap.v": design.techmap,
        "synthesis.ys": synthesis_script(design),
        **{f"source_{index}.v": text for index, text in enumerate(design.sources)},
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    run_tool(
        "synthesise",
        _RUN_SCRIPT,
        ["synthesis.ys"],
        folder=folder,
        log=folder / "yosys.log",
        marks={f"step {step}.": done for step, done in STEPS},
        progress=progress,
    )
    if isinstance(design.part, EcpPart):
        drop_unread_carries(folder / NETLIST)
