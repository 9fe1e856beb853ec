"""Computes delays from the records of a workload, in seconds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from typing_extensions import override

from .records import Records, Session

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a drill at full size; `PATIENT` is for a busy machine."""

    acknowledged: float = 0.25
    waits: float = 0.25
    """By how much the median answer may slow down."""
    by_repair: float = 2.5
    by_hint: float = 0.3
    ready: float = 2.5
    back: float = 5.0


PATIENT = Limits(acknowledged=8.0, waits=0.9, by_repair=8.0, by_hint=8.0, ready=8.0, back=30.0)
"""While Redis is away an answer may take a second more, its shortest timeout."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays of deliveries or answers."""

    count: int
    half: float
    p99: float

    @override
    def __str__(self) -> str:
        return f"p50 {self.half * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms of {self.count}"


def of(delays: Sequence[float]) -> Delays:
    if not delays:
        return Delays(0, FOREVER, FOREVER)
    ranked = sorted(delays)
    return Delays(len(ranked), median(ranked), ranked[int((len(ranked) - 1) * 0.99)])


Window = tuple[float, float]


def crossings(records: Records, windows: Sequence[Window]) -> Delays:
    """From the first attempt to send to the frame at another process's socket."""
    sent = {
        key: one
        for key, one in records.sent.items()
        if any(since <= one.begun < until for since, until in windows)
    }
    delays = []
    for session in records.sessions:
        for frame in session.received:
            one = sent.get(frame.client_id or "")
            if one is not None and frame.type == "message" and one.via != session.address:
                delays.append(frame.at - one.begun)
    return of(delays)


def acknowledgements(records: Records, windows: Sequence[Window]) -> Delays:
    """From the first attempt to the answer; an unanswered message counts as infinite."""
    return of(
        [
            FOREVER if one.answered is None else one.answered - one.begun
            for one in records.sent.values()
            if any(since <= one.begun < until for since, until in windows)
        ]
    )


@dataclass(frozen=True, slots=True)
class Absence:
    """From the loss of a socket to full recovery.

    `tries` are the sockets that got `ready`.
    """

    seconds: float
    tries: list[Session]

    @override
    def __str__(self) -> str:
        tries = [
            f"ready {one.opened - self._lost:.1f}"
            f" {'resume' if one.resumes else 'reload' if one.since is None else 'since'}"
            f" caught up {_after(one.caught_up, self._lost)}"
            f" closed {_after(one.closed, self._lost)} {one.code or ''}"
            for one in self.tries[1:]
        ]
        return f"{self.seconds:.1f} s: {', then '.join(tries) or 'never ready again'}"

    @property
    def _lost(self) -> float:
        return self.tries[0].closed or 0.0


def _after(moment: float | None, start: float) -> str:
    return "never" if moment is None else f"{moment - start:.1f}"


def absences(records: Records, now: float) -> list[Absence]:
    """Returns each absence of a client, the shortest first."""
    places: dict[tuple[int, int], list[Session]] = defaultdict(list)
    for session in records.sessions:
        places[session.user_id, session.room_id].append(session)
    found = []
    for sessions in places.values():
        tries: list[Session] = []
        for session in sessions:
            if tries:
                tries.append(session)
                if session.caught_up is not None:
                    found.append(Absence(session.caught_up - (tries[0].closed or 0.0), tries))
                    tries = []
            if not tries and session.closed is not None:
                tries = [session]
        if tries:
            found.append(Absence(now - (tries[0].closed or now), tries))
    return sorted(found, key=lambda one: one.seconds)
