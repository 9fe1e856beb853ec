"""Defines the scaling charts and their data; `chart_renderer.py` draws them.

The renderer uses a library of its own, installed from PyPI into the benchmarks' cache when first
needed.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from . import scale_out, sweeps
from .load import CACHE
from .results import Results, Row
from .systems import PRODUCT

FOLDER = "pictures"
LIBRARY = "matplotlib==3.11.2"
INSTALLED = CACHE / "drawing"
INSTALLS_TIMEOUT = 300
DRAWS_TIMEOUT = 120


@dataclass(frozen=True)
class Chart:
    """Charts medians of `work` by the varied number, a line per system and `what`."""

    file: str
    title: str
    work: str
    whats: tuple[str, ...]
    across: str
    up: str
    logarithmic: bool = True


PARTS = (scale_out.SERVER, "Redis", "PostgreSQL")
CHARTS = [
    Chart(
        "members.svg",
        "Deliveries a second in one room",
        sweeps.MEMBERS,
        (sweeps.DELIVERIES,),
        "members of the room",
        "deliveries/s",
    ),
    Chart(
        "cost.svg",
        "CPU of the server for each delivery",
        sweeps.MEMBERS,
        (sweeps.COST,),
        "members of the room",
        "CPU per delivery, µs",
    ),
    Chart(
        "rooms.svg",
        "Acknowledged messages a second, one sender in each room of 10",
        sweeps.ROOMS,
        (sweeps.ANSWERS,),
        "rooms",
        "messages/s",
    ),
    Chart(
        "processes.svg",
        "CPU for each delivery, rooms of 20 spread over processes",
        scale_out.STEADY,
        tuple(scale_out.cost_of(part) for part in PARTS),
        "server processes",
        "CPU per delivery, µs",
        logarithmic=False,
    ),
]


def draw(results: Results, folder: Path) -> list[Chart]:
    """Draws the charts that have data, and returns them."""
    plans = [(chart, _lines(chart, results)) for chart in CHARTS]
    plans = [(chart, lines) for chart, lines in plans if lines]
    if not plans:
        return []
    _install()
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.chart_renderer", str(folder)],
        env=os.environ | {"PYTHONPATH": str(INSTALLED), "MPLCONFIGDIR": str(INSTALLED)},
        input=json.dumps([asdict(chart) | {"lines": lines} for chart, lines in plans]),
        text=True,
        timeout=DRAWS_TIMEOUT,
        check=True,
    )
    return [chart for chart, _ in plans]


def _lines(chart: Chart, results: Results) -> list[dict[str, object]]:
    lines: dict[str, list[Row]] = {}
    for quantity, row in results.rows.items():
        if quantity.work == chart.work and quantity.what in chart.whats:
            parts = {scale_out.cost_of(part): part for part in PARTS}
            name = parts.get(quantity.what, str(quantity.system))
            lines.setdefault(name, []).append(row)
    return [
        {
            "name": name,
            "ours": rows[0].quantity.system.name == PRODUCT,
            "points": sorted((row.quantity.at, row.median) for row in rows),
        }
        for name, rows in lines.items()
    ]


def _install() -> None:
    stamp = INSTALLED / "installed"
    if stamp.exists() and stamp.read_text() == LIBRARY:
        return
    print(f"installing {LIBRARY} …", file=sys.stderr, flush=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*install, "--upgrade", "--target", str(INSTALLED), LIBRARY],
        timeout=INSTALLS_TIMEOUT,
        check=True,
    )
    stamp.write_text(LIBRARY)
