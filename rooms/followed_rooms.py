"""Reads the rooms of a user for a socket that follows all of them (contract §7).

SQL by hand where a row for each of up to thousands of rooms is read when a socket opens: as model
instances, 500 rooms took 25 ms.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from accounts.kernel.sql_arrays import id_array

from .models import Ban, Room, RoomKind, is_muted
from .selectors import aware


class FollowedRoom(NamedTuple):
    """A room of a user and the user's place in it; the columns of FOLLOWED."""

    pk: int
    version: int
    access_epoch: int
    last_seq: int
    last_read_seq: int
    muted: bool

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> "FollowedRoom":
        """Builds it from the columns of FOLLOWED, whose last one is `muted_until`."""
        *counters, muted, until = row
        return cls._make((*counters, _is_muted(muted, until)))

    @property
    def unread(self) -> int:
        return self.last_seq - self.last_read_seq


@dataclass(frozen=True, slots=True)
class Memberships:
    """The memberships of a user at one value of the user's counter.

    `rooms` are those to follow, `others` the ids of the further ones, `muted` ids of both.
    """

    counter: int
    rooms: list[FollowedRoom]
    others: frozenset[int]
    muted: frozenset[int]

    @property
    def more(self) -> bool:
        """Whether the user has rooms that the socket does not follow (contract §7)."""
        return bool(self.others)


def _is_muted(muted: object, until: Any) -> bool:
    # `muted` first: few rooms are, and a socket may open with thousands.
    return bool(muted) and is_muted(muted=True, until=aware(until), now=timezone.now())


COUNTER = "SELECT value FROM rooms_membershipcounter WHERE user_id = %s"
FOLLOWED = (
    "SELECT r.id, r.version, r.access_epoch, r.last_seq, m.last_read_seq, m.muted,"
    " m.muted_until"
    " FROM rooms_member m JOIN rooms_room r ON r.id = m.room_id"
    " WHERE m.user_id = %s AND r.deleted_at IS NULL"
)
LATEST_FIRST = f"{FOLLOWED} ORDER BY r.active_at DESC, r.id DESC"
OF_USERS = {
    "sqlite": "(SELECT value FROM json_each(%s))",
    "postgresql": "(SELECT unnest(%s::bigint[]))",
}


def memberships(user_id: int, *, limit: int | None) -> Memberships:
    """Returns the rooms of a user, the `limit` with the latest activity to follow.

    The counter is read first: a change after it is found by comparing counters again.
    """
    with connection.cursor() as cursor:
        cursor.execute(COUNTER, [user_id])
        counter = cursor.fetchone()
        cursor.execute(LATEST_FIRST, [user_id])
        rows = [FollowedRoom.of_row(row) for row in cursor.fetchall()]
    count = len(rows) if limit is None else limit
    return Memberships(
        counter=counter[0] if counter else 0,
        rooms=rows[:count],
        others=frozenset(row.pk for row in rows[count:]),
        muted=frozenset(row.pk for row in rows if row.muted),
    )


def current_memberships(user_ids: Collection[int]) -> dict[int, dict[int, bool]]:
    """Returns the rooms of each user, with whether the user muted them."""
    found: dict[int, dict[int, bool]] = {user_id: {} for user_id in user_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.user_id, m.room_id, m.muted, m.muted_until"  # noqa: S608
            " FROM rooms_member m JOIN rooms_room r ON r.id = m.room_id"
            f" WHERE m.user_id IN {OF_USERS[connection.vendor]} AND r.deleted_at IS NULL",
            [id_array(user_ids)],
        )
        for user_id, room_id, muted, until in cursor.fetchall():
            found[user_id][room_id] = _is_muted(muted, until)
    return found


def followed_rooms(pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int], FollowedRoom]:
    """Returns the room of each pair of user and room that is a membership."""
    statement = OF_PAIRS.format(pairs=PAIRS[connection.vendor])
    with connection.cursor() as cursor:
        cursor.execute(statement, pairs_parameters(pairs))
        rows = cursor.fetchall()
    return {(row[0], row[1]): FollowedRoom.of_row(row[1:]) for row in rows}


PAIRS = {
    # CROSS JOIN makes SQLite start with the asked pairs.
    "sqlite": (
        "(SELECT json_extract(value, '$[0]') AS user_id, json_extract(value, '$[1]') AS room_id"
        " FROM json_each(%s)) AS asked CROSS JOIN"
    ),
    "postgresql": "unnest(%s::bigint[], %s::bigint[]) AS asked (user_id, room_id) CROSS JOIN",
}
"""Pairs of user and room as a table, to be joined with `rooms_member mine`."""
OF_PAIRS = (
    "SELECT asked.user_id, r.id, r.version, r.access_epoch, r.last_seq, mine.last_read_seq,"
    " mine.muted, mine.muted_until"
    " FROM {pairs} rooms_member mine JOIN rooms_room r ON r.id = mine.room_id"
    " WHERE mine.user_id = asked.user_id AND mine.room_id = asked.room_id AND r.deleted_at IS NULL"
)


def pairs_parameters(pairs: Iterable[tuple[int, int]]) -> list[str]:
    """Returns the parameters of PAIRS."""
    listed = list(pairs)
    if connection.vendor != "postgresql":
        return [json.dumps(listed)]
    return [
        id_array([user_id for user_id, _ in listed]),
        id_array([room_id for _, room_id in listed]),
    ]


RemovalReason = Literal["removed", "left", "deleted"]


def removal_reasons(
    user_id: int, room_ids: Collection[int], *, were_readable: bool
) -> dict[int, RemovalReason]:
    """Returns why a user cannot read rooms, as far as the database shows it.

    It does not show whether a user left a group or was removed: it says `removed`. So it does for a
    group or private room of others and for a room that never was, which must look alike. A deleted
    group has no members any more, so `deleted` needs `were_readable`.
    """
    others = Q(kind=RoomKind.PRIVATE) & ~Q(low=user_id) & ~Q(high=user_id)
    rows = Room.objects.filter(pk__in=room_ids).exclude(others)
    rooms = {pk: about for pk, *about in rows.values_list("pk", "kind", "deleted_at")}
    banned = set(
        Ban.objects.filter(user_id=user_id, room__in=rooms).values_list("room_id", flat=True)
    )

    def reason(room_id: int) -> RemovalReason:
        kind, deleted_at = rooms.get(room_id, (None, None))
        if deleted_at is not None and (were_readable or kind != RoomKind.GROUP):
            return "deleted"
        return "left" if kind == RoomKind.PUBLIC and room_id not in banned else "removed"

    return {room_id: reason(room_id) for room_id in room_ids}


def private_room_id(user_id: int, other_id: int) -> int | None:
    """Returns the id of the private room of two users, None before it was made."""
    low, high = sorted((user_id, other_id))
    rooms = Room.objects.filter(low_id=low, high_id=high, deleted_at=None)
    return rooms.values_list("pk", flat=True).first()
