"""What the product has to reach, as ratios to peers of the same run, or as plain numbers."""

import math
from dataclasses import dataclass

from .results import Results, Row
from .scenarios import ACKNOWLEDGED, SIGN_INS, fanout_work
from .systems import PRODUCT, System


@dataclass(frozen=True)
class Target:
    """`work` on `server`, against `peer` when there is one; at least `bound`, or at most."""

    work: str
    what: str
    server: str
    bound: float
    peer: str | None = None
    at_most: bool = False
    against: str | None = None
    """Another number of the product to divide by, instead of a peer's."""

    def judge(self, results: Results) -> str | None:
        """A line of the table; None when this was not measured."""
        own = results.find(self.work, self.what, System(PRODUCT, self.server))
        other = self._other(results)
        if own is None or (self._is_ratio() and other is None):
            return None
        value = _ratio(own.median, other.median) if other else own.median
        met = value <= self.bound if self.at_most else value >= self.bound
        verdict = "yes" if met else "**no**"
        wanted = f"{'≤' if self.at_most else '≥'} {self.bound:g}{' ×' if self._is_ratio() else ''}"
        return (
            f"| {self._name()} | {_short(value)} | {self._by_cpu(own, other)}"
            f" | {wanted} | {verdict if math.isfinite(value) else 'too short a round'} |"
        )

    def _is_ratio(self) -> bool:
        return self.peer is not None or self.against is not None

    def _other(self, results: Results) -> Row | None:
        if self.against is not None:
            return results.find(self.work, self.against, System(PRODUCT, self.server))
        if self.peer is None:
            return None
        server = "node" if self.peer.startswith("socketio") else self.server
        return results.find(self.work, self.what, System(self.peer, server))

    def _name(self) -> str:
        name = f"{self.work}, {self.what}, {self.server}"
        against = self.peer or self.against
        return f"{name}, against {against}" if against else name

    @staticmethod
    def _by_cpu(own: Row, other: Row | None) -> str:
        if other is None or not own.per_cpu or not other.per_cpu:
            return ""
        return _short(_ratio(own.median_per_cpu, other.median_per_cpu))


def _ratio(own: float, other: float) -> float:
    """Infinite for a peer that answered nothing in most rounds."""
    return own / other if other else math.inf


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


DELIVERIES, ANSWERS = "deliveries/s", "answers/s"
BIG, MIDDLE = fanout_work(1000), fanout_work(200)

TARGETS = [
    Target(BIG, DELIVERIES, "uvicorn", 30, "standard"),
    Target(BIG, DELIVERIES, "uvicorn", 1.0, "socketio-insert"),
    Target(BIG, DELIVERIES, "uvicorn", 0.6, "raw"),
    Target(MIDDLE, DELIVERIES, "uvicorn", 14, "standard"),
    Target(MIDDLE, DELIVERIES, "uvicorn", 0.75, "socketio-insert"),
    Target(BIG, DELIVERIES, "daphne", 7, "standard"),
    Target(MIDDLE, DELIVERIES, "daphne", 5, "standard"),
    Target(ACKNOWLEDGED, ANSWERS, "uvicorn", 15, "standard-orm"),
    Target(ACKNOWLEDGED, ANSWERS, "uvicorn", 1.0, "socketio-insert"),
    Target("25 messages/s × 200", "p99 ms", "uvicorn", 1.0, "socketio-insert", at_most=True),
    Target("idle sockets × 1,000", "KB a socket", "uvicorn", 35, at_most=True),
    Target(
        "idle sockets × 10,000, held 60 s",
        "ms until the last heard it",
        "uvicorn",
        1000,
        at_most=True,
    ),
    Target("idle sockets × 10,000, held 60 s", "sockets lost", "uvicorn", 0, at_most=True),
    Target(SIGN_INS, "sign-ins/s", "uvicorn", 800),
    Target(
        "history",
        "ms a page of 1,000,000 messages",
        "uvicorn",
        1.3,
        against="ms a page of 1,000 messages",
        at_most=True,
    ),
    Target("CPU per delivery", "µs × 5,000", "uvicorn", 1.5, against="µs × 100", at_most=True),
]
