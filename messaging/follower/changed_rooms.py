"""Finds rooms with unhandled changes for a consumer, without reading all rooms.

Two logs have rising ids: messages, and `LaterChange` for edits, deletions, reactions and pins. Both
are read by primary key, beyond the ids that are settled. Nothing is added to the path of a message:
an index on `version` or `active_at` of rooms would make each send rewrite all indexes of its room.

On PostgreSQL a lower id may commit after a higher one. So ids settle only when every transaction
that ran while they were read has ended; until then they are read again, and the cursors tell what
was handled. A transaction locks its room before it takes an id, so it has its number by then. On
SQLite writers run one after the other, and ids settle at once.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection
from django.db.models import Max, Min

from messaging.models import Message
from rooms.models import Room

from .consumer import VersionRange
from .models import Cursor, Follower, LaterChange

MAX_UNSETTLED = 1000


class Position(NamedTuple):
    """Ids of both logs."""

    message_id: int
    change_id: int


@dataclass(frozen=True, slots=True)
class Found:
    """The changed rooms beyond a position. `top` is the position after them."""

    first_versions: Mapping[int, int]
    top: Position
    horizon: int


def find_changed(position: Position) -> Found:
    """Reads which rooms the log entries beyond a position belong to."""
    first: dict[int, int] = {}
    messages = Message.objects.filter(pk__gt=position.message_id).values("room_id")
    changes = LaterChange.objects.filter(pk__gt=position.change_id).values("room_id")
    top = [*position]
    for place, rows in enumerate(
        (
            messages.annotate(first=Min("created_version"), last=Max("id")),
            changes.annotate(first=Min("version"), last=Max("id")),
        )
    ):
        for room_id, version, last in rows.order_by().values_list("room_id", "first", "last"):
            first[room_id] = min(version, first.get(room_id, version))
            top[place] = max(last, top[place])
    # After the rows: a transaction that begins in between only delays settling.
    return Found(first, Position(*top), _next_transaction() if first else 0)


def ranges_of(
    consumer: str, first_versions: Mapping[int, int], *, max_versions: int
) -> list[VersionRange]:
    """Returns what the consumer has to handle in these rooms, deleted rooms left out."""
    rooms = Room.objects.filter(pk__in=first_versions, deleted_at=None)
    versions: Iterable[tuple[int, int]] = rooms.values_list("pk", "version")
    cursors = dict(
        Cursor.objects.filter(consumer=consumer, room__in=first_versions).values_list(
            "room_id", "version"
        )
    )
    ranges = []
    for room_id, version in versions:
        # A room without a cursor is followed from its first change beyond the position.
        since = cursors.get(room_id, first_versions[room_id] - 1)
        if version > since:
            ranges.append(VersionRange(room_id, since, min(version, since + max_versions)))
    return ranges


class Settlement:
    """Tells up to which ids all transactions have ended."""

    def __init__(self) -> None:
        self._unsettled: deque[tuple[Position, int]] = deque(maxlen=MAX_UNSETTLED)

    def note_handled(self, found: Found) -> None:
        """Notes that all found rooms are handled."""
        if found.first_versions:
            self._unsettled.append((found.top, found.horizon))

    def settled(self) -> Position | None:
        """Returns the highest settled position since the last call, if any."""
        if not self._unsettled:
            return None
        oldest = _oldest_transaction()
        position = None
        while self._unsettled and (oldest is None or self._unsettled[0][1] <= oldest):
            position, _ = self._unsettled.popleft()
        return position


def _next_transaction() -> int:
    return _number("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint") or 0


def _oldest_transaction() -> int | None:
    """Returns the oldest running transaction, None on SQLite."""
    return _number("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")


def _number(statement: str) -> int | None:
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute(statement)
        number: int = cursor.fetchone()[0]
    return number


def position_of(consumer: str) -> Position:
    row = Follower.objects.filter(name=consumer).values_list("message_id", "change_id").get()
    return Position(*row)
