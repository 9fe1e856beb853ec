"""Writes docs/faults.md: each drill's last line, with the machine and the day."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from tests.servers import ROOT

FILE = ROOT / "docs" / "faults.md"
TOP = """# Drills

Faults under load, and what clients saw. `make faults` runs all drills,
`python -m tests.faults <name>` one; with `--document` each writes its row here. They check the
delivery promise of [websocket.md](websocket.md). Delays include everything else on the machine.

| Drill | What was seen | Seconds | When and where |
|---|---|---|---|
"""


class Document:
    def __init__(self, file: Path = FILE) -> None:
        self._file = file

    def put(self, name: str, seen: str, seconds: float) -> None:
        """Replaces or adds the row of a drill."""
        rows = self._rows()
        cells = [f"`{name}`", seen.replace("|", "\\|"), f"{seconds:.0f}", _here()]
        rows[name] = f"| {' | '.join(cells)} |"
        self._file.write_text(TOP + "\n".join(rows.values()) + "\n")

    def _rows(self) -> dict[str, str]:
        if not self._file.exists():
            return {}
        lines = self._file.read_text().splitlines()
        return {line.split("`")[1]: line for line in lines if line.startswith("| `")}


def _here() -> str:
    load = os.getloadavg()[2]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores with a load of {load:.0f},"
        f" {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )
