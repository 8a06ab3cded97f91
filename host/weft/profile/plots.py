# SPDX-License-Identifier: Apache-2.0
"""The pictures of a profile; they need matplotlib (the extra `plots`)."""

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weft.profile.causes import DRAINING, IDLE, USEFUL, WEIGHTS
from weft.profile.timeline import Run
from weft_arch.config import Configuration
from weft_arch.observed import Wire

__all__ = ["have_matplotlib", "plot_layers", "plot_roofline"]

_COLOURS = {USEFUL: "#2a9d8f", WEIGHTS: "#e9c46a", DRAINING: "#a8b5c4", IDLE: "#e0e0e0"}
_OTHERS = ("#e76f51", "#8e6bbf", "#c2647a", "#6d8fc9", "#b0895a", "#5f9e6e", "#d08fb8")


def have_matplotlib() -> bool:
    """Whether pictures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib  # pyright: ignore[reportMissingImports]

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    from matplotlib import pyplot  # pyright: ignore[reportMissingImports]

    return pyplot.subplots(figsize=(width, height), layout="constrained")


def plot_roofline(runs: Sequence[Run], config: Configuration, path: Path) -> None:
    """What every run reached, under what the array and the memory allow: MACs per cycle over MACs
    per byte, both counted while it ran."""
    figure, axes = _figure(7, 4.5)
    per_cycle = config.memory_bytes_per_cycle
    reach = [2**k for k in range(-3, 10)]
    axes.loglog(reach, [min(config.cells, x * per_cycle) for x in reach], color="#264653")
    for kind, colour in (("prefill", "#e76f51"), ("decode", "#2a9d8f")):
        points = [_point(run, config) for run in runs if run.name.startswith(kind)]
        if points:
            axes.loglog(*zip(*points, strict=True), "o", color=colour, label=kind)
    axes.set_xlabel("MACs per byte moved")
    axes.set_ylabel("MACs per cycle")
    axes.set_title(f"{config.name}: {config.cells} cells, {per_cycle} bytes per cycle")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def _point(run: Run, config: Configuration) -> tuple[float, float]:
    macs = run.cycles_of(Wire.MAC) * config.cells
    beats = run.cycles_of(Wire.READ_BEAT) + run.cycles_of(Wire.WRITE_BEAT)
    return macs / (beats * config.beat_bytes), macs / run.cycles


def plot_layers(title: str, causes: Mapping[str, Counter[str]], path: Path) -> None:
    """A bar of the array's cycles by cause for every phase."""
    total: Counter[str] = Counter()
    for counted in causes.values():
        total += counted
    order = [c for c in (USEFUL, WEIGHTS) if c in total]
    order += [c for c, _ in total.most_common() if c not in (USEFUL, WEIGHTS, DRAINING, IDLE)]
    order += [c for c in (DRAINING, IDLE) if c in total]
    others = iter(_OTHERS * (1 + len(order) // len(_OTHERS)))
    phases = list(causes)
    figure, axes = _figure(9, 1.2 + 0.35 * len(phases))
    left = [0] * len(phases)
    for cause in order:
        widths = [causes[phase][cause] for phase in phases]
        colour = _COLOURS.get(cause) or next(others)
        axes.barh(phases, widths, left=left, color=colour, label=cause)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("cycles")
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None})
