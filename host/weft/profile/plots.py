# SPDX-License-Identifier: Apache-2.0
"""The pictures of a profile; they need matplotlib (the extra `plots`)."""

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from weft.profile.causes import DRAINING, IDLE, USEFUL, WEIGHTS
from weft.profile.timeline import Run
from weft_arch.config import Configuration
from weft_arch.observed import Wire

__all__ = ["MISSING", "figure", "have_matplotlib", "plot_layers", "plot_roofline", "run_points"]

MISSING = 'The pictures need matplotlib: pip install "weft[plots]".'

_COLOURS = {USEFUL: "#2a9d8f", WEIGHTS: "#e9c46a", DRAINING: "#a8b5c4", IDLE: "#e0e0e0"}
_OTHERS = ("#e76f51", "#8e6bbf", "#c2647a", "#6d8fc9", "#b0895a", "#5f9e6e", "#d08fb8")


def have_matplotlib() -> bool:
    """Whether pictures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def figure(width: float, height: float) -> tuple[Any, Any]:
    """An empty picture, in inches, and its axes."""
    import matplotlib  # pyright: ignore[reportMissingImports]

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    from matplotlib import pyplot  # pyright: ignore[reportMissingImports]

    return pyplot.subplots(figsize=(width, height), layout="constrained")


def run_points(runs: Sequence[Run], config: Configuration) -> dict[str, list[tuple[float, float]]]:
    """Of all runs of a kind (prefill, decode) the points in a roofline."""
    points: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        macs = run.cycles_of(Wire.MAC) * config.cells
        beats = run.cycles_of(Wire.READ_BEAT) + run.cycles_of(Wire.WRITE_BEAT)
        point = (macs / (beats * config.beat_bytes), macs / run.cycles)
        points.setdefault(run.name.split()[0], []).append(point)
    return points


def plot_roofline(
    points: Mapping[str, Sequence[tuple[float, float]]], config: Configuration, path: Path
) -> None:
    """What was reached, under what the array and the memory allow. A point: MACs per byte moved,
    MACs per cycle; both counted."""
    picture, axes = figure(8, 4.5)
    per_cycle = config.memory_bytes_per_cycle
    reach = [2**k for k in range(-3, 10)]
    axes.loglog(reach, [min(config.cells, x * per_cycle) for x in reach], color="#264653")
    for (name, reached), colour in zip(points.items(), cycle(_OTHERS), strict=False):
        axes.loglog(*zip(*reached, strict=True), "o", color=colour, label=name)
    axes.set_xlabel("MACs per byte moved")
    axes.set_ylabel("MACs per cycle")
    axes.set_title(f"{config.name}: {config.cells} cells, {per_cycle} bytes per cycle")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)
    picture.savefig(path, metadata={"Date": None})


def plot_layers(title: str, causes: Mapping[str, Counter[str]], path: Path) -> None:
    """A bar of the array's cycles by cause for every phase."""
    total: Counter[str] = Counter()
    for counted in causes.values():
        total += counted
    order = [c for c in (USEFUL, WEIGHTS) if c in total]
    order += [c for c, _ in total.most_common() if c not in (USEFUL, WEIGHTS, DRAINING, IDLE)]
    order += [c for c in (DRAINING, IDLE) if c in total]
    others = cycle(_OTHERS)
    phases = list(causes)
    picture, axes = figure(9, 1.2 + 0.35 * len(phases))
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
    picture.savefig(path, metadata={"Date": None})
