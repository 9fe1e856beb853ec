"""Draws the charts: `python -m tests.benchmarks.chart_renderer FOLDER`.

Reads `[{file, title, across, up, logarithmic, lines: [{name, ours, points}]}, …]`.
"""

import json
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

INK, GRID, PAPER = "#1f2328", "#d1d9e0", "#ffffff"
DARK = {INK: "#e6edf3", GRID: "#3d444d", PAPER: "#0d1117"}
# Distinguishable by lightness and markers too, on white and on black.
COLOURS = ("#2f81f7", "#d9730d", "#2e9e5b", "#8e63ce", "#d1495b", "#7d8590", "#b08800", "#0f9b9b")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "benchmarks",
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def main(folder: Path) -> None:
    mpl.rcParams.update(STYLE)
    for picture in json.load(sys.stdin):
        file = folder / picture["file"]
        _drawn(picture).savefig(file, metadata={"Date": None})
        file.write_text(_for_dark(file.read_text()))


def _drawn(picture: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for line, colour, mark in zip(picture["lines"], cycle(COLOURS), cycle(MARKS)):
        axes.plot(
            *zip(*line["points"], strict=True),
            label=line["name"],
            color=colour,
            marker=mark,
            markersize=6 if line["ours"] else 4,
            linewidth=2.2 if line["ours"] else 1.2,
            linestyle="-" if line["ours"] else "--",
        )
    axes.set(xlabel=picture["across"], ylabel=picture["up"])
    _scale(axes, picture)
    axes.grid(visible=True, which="major", linewidth=0.6)
    figure.suptitle(picture["title"], x=0.01, ha="left", fontsize=12)
    figure.legend(loc="outside right upper")
    return figure


def _scale(axes: Any, picture: dict[str, Any]) -> None:
    """Sets ticks at the measured values, with numbers in full."""
    plain = FuncFormatter(lambda value, _: f"{value:,.10g}")
    if picture["logarithmic"]:
        axes.set(xscale="log", yscale="log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    else:
        axes.set_ylim(bottom=0)
    sizes = sorted({at for line in picture["lines"] for at, _ in line["points"]})
    axes.set_xticks(sizes, minor=False)
    axes.xaxis.set_major_formatter(plain)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(plain)


def _for_dark(svg: str) -> str:
    """Keeps the light colours, and adds dark ones for readers who prefer them."""
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark}!important}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    end = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:end]}\n {style}{svg[end:]}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
