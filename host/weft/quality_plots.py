# SPDX-License-Identifier: Apache-2.0
"""The picture of an evaluation; it needs matplotlib (the extra `plots`)."""

from pathlib import Path

from weft.profile.plots import figure
from weft.quality import QualityReport

__all__ = ["plot_report"]

_BARS = {False: ("float arithmetic", "#a8b5c4"), True: ("device", "#2a9d8f")}


def plot_report(report: QualityReport, folder: Path) -> Path:
    """Mean KL divergence of each format, in float arithmetic and on the device, with a mark at the
    99.9th percentile; the file written, `quality_{model}.svg`."""
    formats = report.formats
    picture, axes = figure(8, 1.2 + 0.5 * len(formats))
    for number, (on_device, (label, colour)) in enumerate(_BARS.items()):
        rows = [report.find(name, on_device=on_device) for name in formats]
        found = [(at, row.comparison) for at, row in enumerate(rows) if row is not None]
        places = [at + 0.4 * number - 0.2 for at, _ in found]
        axes.barh(places, [c.mean_kl for _, c in found], height=0.38, color=colour, label=label)
        axes.plot([c.p999_kl for _, c in found], places, "|", color="#264653", markersize=10)
    axes.set_xscale("log")
    axes.set_yticks(range(len(formats)), formats)
    axes.invert_yaxis()
    axes.set_xlabel("KL divergence from float in nats: mean (bar), 99.9 % of positions (mark)")
    axes.set_title(f"{report.model}: {report.positions:,} positions of {report.texts}")
    axes.legend(loc="lower right")
    path = folder / f"quality_{report.model}.svg"
    picture.savefig(path, metadata={"Date": None})
    return path
