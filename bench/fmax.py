# SPDX-License-Identifier: Apache-2.0
"""Area and clock of one block alone on a part, after place and route.

    python bench/fmax.py BLOCK [--preset default] [--part LFE5U-85F] [--seed 1] [--paths 5]

BLOCK is the name of a component of `weft_rtl`, as ScaledAccumulator or WeftTop. Its ports get a
register each, as in the whole design. Prints cells, the clock and the longest paths, one for each
register that they end in, and writes everything to ``build/fmax/BLOCK``. Logic alone on an empty
die is placed better than in a full one, so a clock is an upper bound. On a Gowin part every cell
of the array gets a multiplier of the part.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import time
from pathlib import Path
from typing import Any

import weft_rtl
from weft_arch.config import PRESETS, preset
from weft_rtl.bitstream.design import Design
from weft_rtl.bitstream.flow import build
from weft_rtl.bitstream.out_of_context import OutOfContext
from weft_rtl.bitstream.parts import PARTS, EcpPart
from weft_rtl.bitstream.tools import BuildError
from weft_rtl.soc.sdram_timing import ULX3S, SdramTiming
from weft_rtl.top import ECP5_HARD_MULTIPLIERS

ARGUMENTS: dict[str, dict[str, Any]] = {
    "FloatToFixed": {"fraction_bits": 12, "width": 24},
    "IntegerToFloat": {"shape": 23},
    "SdramController": {"timing": SdramTiming(part=ULX3S, clock_hz=133_333_333)},
    "Quantizer": {"bits": 10},
}
"""For components that want more than a configuration."""
DOMAINS = {"SdramController": {"pads": "sdram"}}
"""For components with ports of another clock than the one they share with all others."""
MHZ = {"sync": 100, "sdram": 166}


def find_component(name: str) -> Any:
    """The component called ``name``, wherever in `weft_rtl` it is."""
    root = Path(weft_rtl.__path__[0])
    for path in sorted(root.rglob("*.py")):
        if f"class {name}(wiring.Component)" in path.read_text():
            module = ".".join(("weft_rtl", *path.relative_to(root).with_suffix("").parts))
            return getattr(importlib.import_module(module), name)
    raise SystemExit(f"weft_rtl has no component {name}.")


def make(name: str, preset_name: str) -> Any:
    """An instance, with what its constructor asks for."""
    component = find_component(name)
    config = preset(preset_name)
    known = {
        "config": config,
        "lanes": config.lanes,
        "max_rows": config.max_rows,
        **ARGUMENTS.get(name, {}),
    }
    asked = inspect.signature(component.__init__).parameters
    return component(**{key: value for key, value in known.items() if key in asked})


def main() -> None:
    """Build, print."""
    parser = argparse.ArgumentParser(description="Area and clock of one block alone.")
    parser.add_argument("block")
    parser.add_argument("--preset", default="default", choices=sorted(PRESETS))
    parser.add_argument("--part", default="LFE5U-85F", choices=sorted(PARTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mhz", type=int, help="Clock to try for, instead of the usual.")
    parser.add_argument("--paths", type=int, default=5)
    parser.add_argument("--build", type=Path, default=Path("build/fmax"))
    options = parser.parse_args()
    config = preset(options.preset)
    top = OutOfContext(make(options.block, options.preset), DOMAINS.get(options.block, {}))
    clocks = {port: options.mhz or MHZ[domain] for port, domain in top.clocks.items()}
    part = PARTS[options.part]
    hard = ECP5_HARD_MULTIPLIERS if isinstance(part, EcpPart) else config.cells
    design = Design(
        name="alone",
        part=part,
        component=top,
        constraints="".join(part.frequency("PORT", port, mhz) for port, mhz in clocks.items()),
        hard_multipliers=min(hard, config.cells),
        activation_bits=config.activation_bits,
    )
    begin = time.monotonic()

    def progress(stage: str, fraction: float) -> None:
        print(f"{time.monotonic() - begin:6.0f} s  {stage} {fraction:.0%}", file=sys.stderr)

    folder = options.build / options.block
    try:
        report = build(design, folder, seed=options.seed, bitstream=False, progress=progress)
    except BuildError as error:
        raise SystemExit(str(error)) from None
    for name, used in report["used"].items():
        print(f"{name:12} {used:>7,} of {report['limits'][name]:,}")
    for name, clock in report["clocks"].items():
        print(f"{name:12} {clock['mhz']:>7} MHz")
    for path in report["longest_paths"][: options.paths]:
        print(f"{path['ns']:6.2f} ns, {path['levels']} levels: {path['from']} > {path['to']}")


if __name__ == "__main__":
    main()
