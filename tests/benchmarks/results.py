"""What was measured."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from .systems import System


@dataclass
class Row:
    """One number of one system, in every round: `work` was done, and `what` was counted."""

    work: str
    what: str
    system: System
    values: list[float] = field(default_factory=list)
    per_cpu: list[float] = field(default_factory=list)
    """The same for each second of the server's CPU time: noise disturbs it least."""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def median_per_cpu(self) -> float:
        return median(self.per_cpu)


class Results:
    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.skipped: dict[str, str] = {}
        """Peers that could not run, and why."""
        self.busiest = 0.0
        """The largest share of its core that the load generator ever used."""

    def add(
        self, work: str, what: str, system: System, value: float, per_cpu: float | None = None
    ) -> None:
        row = self.find(work, what, system)
        if row is None:
            row = Row(work, what, system)
            self.rows.append(row)
        row.values.append(value)
        if per_cpu is not None:
            row.per_cpu.append(per_cpu)

    def find(self, work: str, what: str, system: System) -> Row | None:
        for row in self.rows:
            if (row.work, row.what, row.system) == (work, what, system):
                return row
        return None

    def works(self) -> Iterable[str]:
        return dict.fromkeys(row.work for row in self.rows)
