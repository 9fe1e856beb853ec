"""How long things took, read from the notes of a talk. All times are seconds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .notes import Notes, Session

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a drill at full size must keep to; `PATIENT` is for a machine that does other work."""

    acknowledged: float = 0.25
    acknowledged_half: float = 0.25
    by_repair: float = 2.5
    by_hint: float = 0.3
    let_in: float = 2.5
    back: float = 5.0


PATIENT = Limits(
    acknowledged=5.0, acknowledged_half=0.9, by_repair=8.0, by_hint=5.0, let_in=8.0, back=20.0
)
"""Half the answers: if they waited for a Redis that is away, they would all take a second."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Of some deliveries or answers."""

    count: int
    half: float
    p99: float

    def __str__(self) -> str:
        return f"p50 {self.half * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms of {self.count}"


def of(delays: Sequence[float]) -> Delays:
    if not delays:
        return Delays(0, FOREVER, FOREVER)
    ranked = sorted(delays)
    return Delays(len(ranked), median(ranked), ranked[int((len(ranked) - 1) * 0.99)])


Window = tuple[float, float]


def crossings(notes: Notes, windows: Sequence[Window]) -> Delays:
    """From the first try to send, in a window, until a socket of another process heard it."""
    sent = {
        key: one
        for key, one in notes.sent.items()
        if any(since <= one.begun < until for since, until in windows)
    }
    delays = []
    for session in notes.sessions:
        for heard in session.heard:
            one = sent.get(heard.client_id or "")
            if one is not None and heard.type == "message" and one.via != session.address:
                delays.append(heard.at - one.begun)
    return of(delays)


def acknowledgements(notes: Notes, windows: Sequence[Window]) -> Delays:
    """From the first try to the answer; what was begun and never answered counts as for ever."""
    return of(
        [
            FOREVER if one.answered is None else one.answered - one.begun
            for one in notes.sent.values()
            if any(since <= one.begun < until for since, until in windows)
        ]
    )


def absences(notes: Notes, now: float) -> list[float]:
    """For each time that somebody lost a socket: how long until they knew everything again."""
    places: dict[tuple[int, int], list[Session]] = defaultdict(list)
    for session in notes.sessions:
        places[session.user_id, session.room_id].append(session)
    found = []
    for sessions in places.values():
        away: float | None = None
        for session in sessions:
            if away is not None and session.caught_up is not None:
                found.append(session.caught_up - away)
                away = None
            if away is None:
                away = session.closed
        if away is not None:
            found.append(now - away)
    return found
