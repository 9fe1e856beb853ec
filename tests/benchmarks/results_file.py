"""Keeps results in one file, by scenario, so that several runs make one page."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .catalogue import SCENARIOS
from .results import Quantity, Results, Row
from .systems import System


@dataclass(frozen=True)
class Run:
    """Day, command and parameters of a run."""

    day: str
    command: str
    rounds: int
    seconds: float
    load_average: float
    """Load average of the machine before the run."""
    machine: tuple[str, ...]


@dataclass
class Measured:
    """A scenario's results, measured in `took` seconds."""

    run: Run
    took: float
    results: Results


class ResultsFile:
    """Replaces the results of a repeated scenario; a failed repeat keeps them.

    It replaces whole scenarios, never single rows: ratios are valid within one run only.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self.measured: dict[str, Measured] = {}
        self.failed: dict[str, str] = {}
        if file is not None and file.exists():
            kept = json.loads(file.read_text())
            self.measured = {name: _read(one) for name, one in kept["measured"].items()}
            self.failed = kept["failed"]

    def put(self, scenario: str, measured: Measured) -> None:
        self.measured[scenario] = measured
        self.failed.pop(scenario, None)
        self._save()

    def put_failure(self, scenario: str, run: Run, reason: str) -> None:
        self.failed[scenario] = f"on {run.day}: {reason}"
        self._save()

    def results(self) -> Results:
        """Returns all results in the order of the catalogue."""
        merged = Results()
        for name in SCENARIOS:
            if name in self.measured:
                merged.merge(self.measured[name].results, name)
        return merged

    def runs(self) -> Iterable[tuple[Run, list[str]]]:
        """Returns each run with its scenarios that are still in the file."""
        runs: dict[Run, list[str]] = {}
        for name in SCENARIOS:
            if name in self.measured:
                runs.setdefault(self.measured[name].run, []).append(name)
        return runs.items()

    def _save(self) -> None:
        if self._file is None:
            return
        kept = {
            "measured": {name: _written(one) for name, one in self.measured.items()},
            "failed": self.failed,
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # Written atomically: a run of half an hour may end at any moment.
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        draft.replace(self._file)


def _written(measured: Measured) -> dict[str, Any]:
    results = measured.results
    return {
        "run": asdict(measured.run),
        "took": round(measured.took, 1),
        "skipped": results.skipped,
        "busiest": results.busiest,
        "rows": [asdict(row.quantity) | _numbers(row) for row in results.rows.values()],
    }


def _numbers(row: Row) -> dict[str, list[float]]:
    """Rounds to five digits: no measurement here is more precise."""
    return {
        name: [float(f"{value:.5g}") for value in values]
        for name, values in (("values", row.values), ("per_cpu", row.per_cpu))
    }


def _read(kept: dict[str, Any]) -> Measured:
    results = Results(skipped=kept["skipped"], busiest=kept["busiest"])
    for row in kept["rows"]:
        system = System(**row["system"])
        quantity = Quantity(row["work"], row["what"], system, row["at"])
        results.rows[quantity] = Row(quantity, row["values"], row["per_cpu"])
    run = Run(**kept["run"] | {"machine": tuple(kept["run"]["machine"])})
    return Measured(run, kept["took"], results)
