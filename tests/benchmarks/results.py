"""What was measured."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import median

from .systems import System


@dataclass(frozen=True)
class Quantity:
    """One number of one system: `work` was done, and `what` was counted."""

    work: str
    what: str
    system: System
    at: int | None = None
    """How many members, rooms or processes it was, where these are what is varied."""

    def of(self, name: str) -> "Quantity":
        """The same of a peer on the same server, or on Node."""
        server = "node" if name.startswith("socketio") else self.system.server
        return replace(self, system=replace(self.system, name=name, server=server))


@dataclass
class Row:
    """A quantity in every round."""

    quantity: Quantity
    values: list[float] = field(default_factory=list)
    per_cpu: list[float] = field(default_factory=list)
    """The same for each second of the server's CPU time: noise disturbs it least."""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def median_per_cpu(self) -> float:
        return median(self.per_cpu)


@dataclass
class Results:
    rows: dict[Quantity, Row] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Systems that could not run, and why."""
    busiest: float = 0.0
    """The largest share of its core that the load generator ever used."""
    scenarios: dict[Quantity, str] = field(default_factory=dict)
    """Where each row comes from, when results of several scenarios were merged."""

    def add(self, quantity: Quantity, value: float, per_cpu: float | None = None) -> None:
        row = self.rows.setdefault(quantity, Row(quantity))
        row.values.append(value)
        if per_cpu is not None:
            row.per_cpu.append(per_cpu)

    def works(self) -> Iterable[str]:
        return dict.fromkeys(quantity.work for quantity in self.rows)

    def merge(self, other: "Results", scenario: str) -> None:
        """Raises ValueError for a quantity that another scenario has measured as well."""
        if twice := self.rows.keys() & other.rows.keys():
            raise ValueError(f"{scenario} measures {twice}, as another scenario does")
        self.scenarios |= dict.fromkeys(other.rows, scenario)
        self.rows |= other.rows
        self.skipped |= other.skipped
        self.busiest = max(self.busiest, other.busiest)
