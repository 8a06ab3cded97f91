# SPDX-License-Identifier: Apache-2.0
"""Pictures of benchmark results, from the counters; they need matplotlib (the extra `plots`)."""

from collections.abc import Sequence
from pathlib import Path

from weft.benchmarks.result import Result
from weft.devices import find_preset
from weft.profile.plots import figure, plot_roofline

__all__ = ["plot_results"]


def plot_results(results: Sequence[Result], folder: Path) -> list[Path]:
    """Fractions beside their targets, and a roofline per preset; the files written."""
    written: list[Path] = []
    fractions = [r for r in results if r.unit == "fraction"]
    if fractions:
        written.append(folder / "fractions.svg")
        _plot_fractions(fractions, written[-1])
    for preset in dict.fromkeys(r.preset for r in results):
        config = find_preset(preset)
        points: dict[str, list[tuple[float, float]]] = {}
        for r in results:
            moved = r.counters.get("bytes_read", 0) + r.counters.get("bytes_written", 0)
            if r.preset == preset and moved:
                macs = r.counters["mac_cycles"] * config.cells
                points[r.name] = [(macs / moved, macs / r.cycles)]
        if points:
            written.append(folder / f"roofline_{preset}.svg")
            plot_roofline(points, config, written[-1])
    return written


def _plot_fractions(results: Sequence[Result], path: Path) -> None:
    """A bar per result, and a mark where its target is."""
    picture, axes = figure(8, 1 + 0.35 * len(results))
    names = [r.name for r in results]
    targets = [float(r.target.rstrip(" %")) for r in results]
    axes.barh(names, [100 * r.value for r in results], color="#2a9d8f")
    axes.plot(targets, names, "|", color="#264653", markersize=14, label="target")
    axes.invert_yaxis()
    axes.set_xlabel("% of MAC cycles, bandwidth or roofline")
    axes.legend(loc="lower left")
    picture.savefig(path, metadata={"Date": None})
