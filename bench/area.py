# SPDX-License-Identifier: Apache-2.0
"""Area of a preset on Lattice ECP5, block by block, from Yosys.

    python bench/area.py [preset]

Prints a table and writes ``build/area/<preset>.json``. Each block is synthesised on its own
(`keep_hierarchy`), so sums are a little above what one flat synthesis gives. A CCU2C takes the
place of two LUT4, a TRELLIS_DPR16X4 that of six. The default preset takes several minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pyosys import libyosys as yosys  # pyright: ignore

from weft_arch.config import PRESETS, preset
from weft_rtl.array.ecp5_multiplier import black_boxes, techmap
from weft_rtl.top import MODULE_NAME, generate_verilog

CELLS = ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "TRELLIS_FF", "MULT18X18D", "DP16KD")
PART = "LFE5U-85F"
PART_LIMITS = {"LUT4": 83_640, "TRELLIS_FF": 83_640, "MULT18X18D": 156, "DP16KD": 208}
LUT4_PER_CELL = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}

BLOCKS = (
    "host",
    "machine.control",
    "machine.fetch",
    "machine.port",
    "machine.stream",
    "machine.load",
    "machine.store",
    "machine.weight_buffer",
    "machine.vector_memory",
    "machine.activation_buffer",
    "machine.vector",
    "machine.vector.lanes",
    "machine.compute",
    "machine.compute.array",
    "machine.compute.array.array",
    "machine.compute.array.accumulator",
    "machine.compute.attention",
    "machine.compute.softmax",
    "machine.compute.top_k",
)
"""Modules, below the top, that get a row of their own; a row counts what is in no row below it."""


@contextmanager
def standard_output_to(path: Path) -> Generator[None, None, None]:
    """What Yosys prints goes to a file, that of Python and native code alike."""
    sys.stdout.flush()
    saved = os.dup(1)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(saved, 1)
            os.close(saved)


def synthesize(name: str, build: Path) -> dict[str, Counter[str]]:
    """Cells of each block."""
    config = preset(name)
    build.mkdir(parents=True, exist_ok=True)
    text = generate_verilog(config, target="ecp5")
    source, mapping = build / f"{name}.v", build / f"{name}_map.v"
    source.write_text(black_boxes(config.activation_bits) + text)
    mapping.write_text(techmap(config.activation_bits))
    modules = set(re.findall(r"^module \\?([^ (]+)", text, re.MULTILINE))
    kept = [f"{MODULE_NAME}.{block}" for block in BLOCKS if f"{MODULE_NAME}.{block}" in modules]
    missing = len(BLOCKS) - len(kept)
    if missing:
        print(f"{missing} of the blocks are not in the design", file=sys.stderr)

    statistics = build / f"{name}_stat.json"
    commands = [
        f"read_verilog -sv {source}",
        f"hierarchy -top {MODULE_NAME}",
        *(f"setattr -mod -set keep_hierarchy 1 \\{module}" for module in kept),
        "flatten",
        # abc9 fails where a public and a private name differ in their first character only.
        "rename -hide w:* c:*",
        f"synth_ecp5 -top {MODULE_NAME}",
        f"techmap -map {mapping}",
        "opt_clean",
        f"tee -o {statistics} stat -json",
    ]
    design = yosys.Design()
    with standard_output_to(build / f"{name}_yosys.log"):
        for command in commands:
            yosys.run_pass(command, design)
    found = json.loads(statistics.read_text())["modules"]
    cells: dict[str, Counter[str]] = {}
    for module, entry in found.items():
        counts = {cell: int(entry["num_cells_by_type"].get(cell, 0)) for cell in CELLS}
        block = module.lstrip("\\").removeprefix(MODULE_NAME).lstrip(".") or "(top)"
        cells[block] = Counter(counts)
    return cells


def lut4(cells: Counter[str]) -> int:
    """Logic cells in units of LUT4."""
    return sum(count * LUT4_PER_CELL.get(cell, 0) for cell, count in cells.items())


def print_table(cells: dict[str, Counter[str]]) -> Counter[str]:
    """The blocks and their sum."""
    header = ["logic", *CELLS]
    print(f"{'block':36}" + "".join(f"{name[-10:]:>11}" for name in header))
    for block in sorted(cells):
        row = [lut4(cells[block]), *(cells[block][cell] for cell in CELLS)]
        print(f"{block:36}" + "".join(f"{value:>11,}" for value in row))
    total: Counter[str] = sum(cells.values(), Counter())
    row = [lut4(total), *(total[cell] for cell in CELLS)]
    print(f"{'total':36}" + "".join(f"{value:>11,}" for value in row))
    return total


def main() -> None:
    """Synthesise, print, write."""
    parser = argparse.ArgumentParser(description="Area of a preset on Lattice ECP5.")
    parser.add_argument("preset", nargs="?", default="default", choices=sorted(PRESETS))
    parser.add_argument("--build", type=Path, default=Path("build/area"))
    options = parser.parse_args()
    begin = time.monotonic()
    cells = synthesize(options.preset, options.build)
    total = print_table(cells)
    used = {"LUT4": lut4(total), **{c: total[c] for c in PART_LIMITS if c != "LUT4"}}
    for cell, limit in PART_LIMITS.items():
        print(f"{cell}: {used[cell]:,} of {limit:,} in the {PART} ({used[cell] / limit:.0%})")
    result = {
        "preset": options.preset,
        "part": PART,
        "limits": PART_LIMITS,
        "used": used,
        "blocks": {block: {"logic": lut4(c), **c} for block, c in sorted(cells.items())},
        "seconds": round(time.monotonic() - begin),
    }
    path = options.build / f"{options.preset}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(path)


if __name__ == "__main__":
    main()
