"""Defines the product's targets: ratios to another quantity, or plain numbers."""

import math
from dataclasses import dataclass, replace

from . import rest, scale_out, sockets, sweeps
from .results import Quantity, Results, Row
from .scenarios import ACKNOWLEDGED, LIVELY, SIGN_INS, fanout_work
from .systems import BEFORE, PRODUCT, System


@dataclass(frozen=True)
class Target:
    """`own`, divided by `other` when there is one; at least `bound`, or at most."""

    own: Quantity
    bound: float
    other: Quantity | None = None
    at_most: bool = False

    def judge(self, results: Results) -> str | None:
        """Returns a line of the table; None when this was not measured."""
        own = results.rows.get(self.own)
        other = results.rows.get(self.other) if self.other else None
        if own is None or (self.other and other is None) or self._is_of_two_runs(results):
            return None
        value = _ratio(own.median, other.median) if other else own.median
        met = value <= self.bound if self.at_most else value >= self.bound
        verdict = "yes" if met else "**no**"
        wanted = f"{'≤' if self.at_most else '≥'} {self.bound:g}{' ×' if other else ''}"
        return (
            f"| {self._name()} | {_short(value)} | {_by_cpu(own, other)}"
            f" | {wanted} | {verdict if math.isfinite(value) else 'too short a round'} |"
        )

    def _is_of_two_runs(self, results: Results) -> bool:
        """Systems take turns within one scenario; between two, the machine may change."""
        scenarios = [results.scenarios.get(one) for one in (self.own, self.other) if one]
        return len(set(scenarios)) > 1

    def _name(self) -> str:
        own = self.own
        at = f", {own.at:,}" if own.at is not None else ""
        name = f"{own.work}{at}: {own.what}, {_without_product(own.system)}"
        return f"{name}, against {self._other_name()}" if self.other else name

    def _other_name(self) -> str:
        """Returns what differs between both quantities."""
        assert self.other is not None
        if self.other.system.name != PRODUCT:
            return self.other.system.name
        if self.other.system != self.own.system:
            return _without_product(self.other.system, database=True)
        if self.other.at is not None:
            return f"{self.other.at:,}"
        return self.other.what


def _without_product(system: System, *, database: bool = False) -> str:
    name = str(system).removeprefix(f"{PRODUCT} on ")
    return f"{name}, {system.database}" if database and system.database not in name else name


def _by_cpu(own: Row, other: Row | None) -> str:
    if other is None or not own.per_cpu or not other.per_cpu:
        return ""
    return _short(_ratio(own.median_per_cpu, other.median_per_cpu))


def _ratio(own: float, other: float) -> float:
    """Infinite for a peer without answers in most rounds."""
    return own / other if other else math.inf


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


UVICORN, DAPHNE = System(PRODUCT, "uvicorn"), System(PRODUCT, "daphne")
DELIVERIES, ANSWERS = "deliveries/s", "answers/s"
BIG = Quantity(fanout_work(1000), DELIVERIES, UVICORN)
MIDDLE = Quantity(fanout_work(200), DELIVERIES, UVICORN)
BIG_DAPHNE, MIDDLE_DAPHNE = replace(BIG, system=DAPHNE), replace(MIDDLE, system=DAPHNE)
MANY = Quantity(ACKNOWLEDGED, ANSWERS, UVICORN)
SPOKEN = Quantity(LIVELY, DELIVERIES, UVICORN)
P50 = Quantity("25 messages/s × 200", "p50 ms", UVICORN)
P99 = Quantity("25 messages/s × 200", "p99 ms", UVICORN)
IDLE = Quantity("idle sockets × 1,000", "KB a socket", UVICORN)
HELD = "idle sockets × 10,000, held 60 s"
PAGE = Quantity("history", "ms a page of 1,000,000 messages", UVICORN)
CROWD = Quantity(sweeps.MEMBERS, sweeps.COST, UVICORN, 5000)
STORED = Quantity(scale_out.STORING, ANSWERS, scale_out.ON_POSTGRES)
BEREFT = Quantity(scale_out.REDIS_GONE, ANSWERS, scale_out.BEREFT)
BUSY = Quantity(sockets.BUSY, sockets.SIGN_INS, UVICORN)
P99_BUSY = replace(BUSY, what=sockets.P99_BUSY)
COMPRESSED = Quantity(sockets.DEFLATE, sockets.COMPRESSED, System(PRODUCT, "plain uvicorn"))
LONE = Quantity(sockets.LONE, sockets.CPU_COST, UVICORN)
FIFTY = Quantity(sockets.FIFTY, ANSWERS, UVICORN)
LONE_MANY = Quantity(sockets.LONE_MANY, ANSWERS, UVICORN)
WORKERS = Quantity(
    sockets.STEADY_WORKERS, scale_out.cost_of(scale_out.SERVER), sockets.on_workers(), 2
)
REPAIR = Quantity(scale_out.repair_work(), "% of a core more than in one room, in all", UVICORN)


def _over_two(work: str) -> Target:
    two = Quantity(work, scale_out.cost_of(scale_out.SERVER), scale_out.GROWN, 2)
    return Target(two, 1.4, replace(two, at=1), at_most=True)


def _of_ninja(name: str, bound: float) -> Target:
    own = Quantity(rest.ROWS[name].work, rest.RATE, UVICORN)
    return Target(own, bound, own.of(rest.NINJA))


TARGETS = [
    Target(BIG, 30, BIG.of("standard")),
    Target(BIG, 1.0, BIG.of("socketio-insert")),
    Target(BIG, 0.6, BIG.of("raw")),
    Target(MIDDLE, 14, MIDDLE.of("standard")),
    Target(MIDDLE, 0.75, MIDDLE.of("socketio-insert")),
    Target(BIG_DAPHNE, 7, BIG_DAPHNE.of("standard")),
    Target(MIDDLE_DAPHNE, 5, MIDDLE_DAPHNE.of("standard")),
    Target(MANY, 15, MANY.of("standard-orm")),
    Target(MANY, 1.0, MANY.of("socketio-insert")),
    Target(SPOKEN, 2.0, SPOKEN.of("socketio-insert")),
    Target(P50, 1.0, P50.of("socketio-insert"), at_most=True),
    Target(P99, 1.0, P99.of("socketio-insert"), at_most=True),
    Target(IDLE, 35, at_most=True),
    Target(Quantity(HELD, "ms until the last received it", UVICORN), 1000, at_most=True),
    Target(Quantity(HELD, "sockets lost", UVICORN), 0, at_most=True),
    Target(Quantity(SIGN_INS, "sign-ins/s", UVICORN), 900),
    Target(BUSY, 400),
    Target(P99_BUSY, 1.5, replace(BUSY, what=sockets.P99_QUIET), at_most=True),
    Target(COMPRESSED, 0, at_most=True),
    Target(replace(COMPRESSED, what=sockets.DELIVERY_COST), 10, at_most=True),
    Target(LONE, 0.3, at_most=True),
    Target(FIFTY, 1.3, FIFTY.of(BEFORE)),
    Target(LONE_MANY, 1.2, LONE_MANY.of(BEFORE)),
    Target(PAGE, 1.3, replace(PAGE, what="ms a page of 1,000 messages"), at_most=True),
    Target(CROWD, 1.5, replace(CROWD, at=100), at_most=True),
    _over_two(scale_out.SATURATED),
    _over_two(scale_out.STEADY),
    Target(WORKERS, 1.4, replace(WORKERS, at=1), at_most=True),
    Target(
        Quantity(scale_out.CROSSING, "ms later on the other process, p50", scale_out.TWO),
        3,
        at_most=True,
    ),
    Target(STORED, 0.6, replace(STORED, system=UVICORN)),
    Target(STORED, 4, STORED.of("standard-orm")),
    Target(BEREFT, 0.9, replace(BEREFT, system=scale_out.GROWN)),
    Target(REPAIR, 5, at_most=True),
    Target(replace(REPAIR, system=scale_out.ON_POSTGRES), 5, at_most=True),
    *(_of_ninja(name, bound) for name, bound in rest.BOUNDS.items()),
]
