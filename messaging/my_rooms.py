"""Reads a user's rooms as MyRoomOut: all, one, or those just added.

A private room is listed from its first message on. The latest activity comes first.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from accounts.kernel.fields import rfc3339, stored_rfc3339
from accounts.kernel.pagination import (
    Page,
    count_fitting,
    json_bytes,
    not_ours,
    page_of,
    position_in,
)
from rooms.errors import NoSuchRoom
from rooms.followed_rooms import PAIRS, FollowedRoom, followed_rooms, pairs_parameters
from rooms.models import is_muted
from rooms.selectors import PAIR, aware

from .mentions import count_unread_mentions
from .quotes import Quote, quotes_of
from .selectors import (
    BYTES,
    FROM_MESSAGES,
    MESSAGE_COLUMNS,
    MESSAGE_OVERHEAD,
    REPLY_TO,
    ROOM_OVERHEAD,
    ShownRoom,
    message_out,
)

MY_ROOM_COLUMNS = (
    "r.id, r.name, r.low_id, r.high_id, r.kind, r.title, r.topic, r.created_by_id,"
    " r.created_at, r.active_at, r.member_count, r.last_seq, r.version,"
    " low.username, high.username, mine.role, mine.last_read_seq, mine.muted,"
    " mine.muted_until, mine.notify, m.id, {bytes}"
)
LAST_MESSAGE = f"{PAIR} LEFT JOIN messaging_message m ON m.room_id = r.id AND m.seq = r.last_seq"
SELECT_MY_ROOMS = (
    f"SELECT {MY_ROOM_COLUMNS}"  # noqa: S608
    f" FROM rooms_member mine JOIN rooms_room r ON r.id = mine.room_id{LAST_MESSAGE}"
    " WHERE mine.user_id = %s AND r.deleted_at IS NULL"
    "{narrowed}"
)
LISTED = (
    " AND NOT (r.kind = 'private' AND r.last_seq = 0){beyond}"
    " ORDER BY r.active_at {direction}, r.id {direction} LIMIT %s"
)
SELECT_ROOMS_OF_PAIRS = (
    f"SELECT asked.user_id, {MY_ROOM_COLUMNS}"  # noqa: S608
    " FROM {pairs} rooms_member mine JOIN rooms_room r ON r.id = mine.room_id"
    f"{LAST_MESSAGE} WHERE mine.user_id = asked.user_id AND mine.room_id = asked.room_id"
    " AND r.deleted_at IS NULL"
)


class _MyRoom(NamedTuple):
    """A row of SELECT_MY_ROOMS.

    Its last message is read only for the rooms of the page.
    """

    pk: int
    name: str | None
    low_id: int | None
    high_id: int | None
    kind: str
    title: str
    topic: str
    created_by: int | None
    created_at: datetime
    active_at: datetime
    member_count: int
    last_seq: int
    version: int
    low: str | None
    high: str | None
    role: str
    last_read_seq: int
    muted: bool
    muted_until: datetime | None
    notify: str
    last_id: int | None
    last_bytes: int | None

    @property
    def bytes(self) -> int:
        last = MESSAGE_OVERHEAD + (self.last_bytes or 0) if self.last_id else 0
        return ROOM_OVERHEAD + json_bytes(self.title) + json_bytes(self.topic) + last

    def out(
        self,
        last_message: Sequence[Any] | None,
        quotes: Mapping[int | None, Quote],
        mentions: int,
    ) -> dict[str, Any]:
        """Returns the members of MyRoomOut; `members` on a private room only."""
        shown_room = ShownRoom(*self[:4])
        until = aware(self.muted_until)
        muted = is_muted(muted=bool(self.muted), until=until, now=timezone.now())
        return {
            "id": self.pk,
            "name": self.name,
            "kind": self.kind,
            "title": self.title,
            "topic": self.topic,
            "created_by": self.created_by,
            "created_at": stored_rfc3339(self.created_at),
            "member_count": self.member_count,
            "last_seq": self.last_seq,
            "version": self.version,
            **({"members": [self.low, self.high]} if self.low_id else {}),
            "role": self.role,
            "unread": self.last_seq - self.last_read_seq,
            "last_read_seq": self.last_read_seq,
            "mentions": mentions,
            "muted": muted,
            "muted_until": rfc3339(until) if muted and until else None,
            "notify": self.notify,
            "last_message": message_out(shown_room, last_message, quotes) if last_message else None,
        }


def my_rooms(user_id: int, *, cursor: str | None, limit: int) -> Page[dict[str, Any]]:
    """Returns the caller's rooms, latest activity first, as MyRoomOut."""
    position = position_in(cursor, 2)
    beyond, values = "", []
    if position.values is not None:
        beyond = f" AND (r.active_at, r.id) {'>' if position.backwards else '<'} (%s, %s)"
        values = _activity_in(position.values)
    listed = LISTED.format(beyond=beyond, direction="ASC" if position.backwards else "DESC")
    statement = SELECT_MY_ROOMS.format(bytes=BYTES[connection.vendor], narrowed=listed)
    with connection.cursor() as database:
        database.execute(statement, [user_id, *values, limit + 1])
        rows = [_MyRoom(*row) for row in database.fetchall()]
        kept = rows[: count_fitting(one.bytes for one in rows[:limit])]
        messages = _messages_by_id(database, [one.last_id for one in kept if one.last_id])
    page = page_of(
        kept,
        position,
        more=len(rows) > len(kept),
        limit=limit,
        values=lambda one: (aware(one.active_at), one.pk),
    )
    quotes = quotes_of(message[REPLY_TO] for message in messages.values())
    mentions = _unread_mentions([(user_id, one) for one in page])
    answer: Page[dict[str, Any]] = Page(
        one.out(messages.get(one.last_id), quotes, mentions.get((user_id, one.pk), 0))
        for one in page
    )
    answer.links = page.links
    return answer


def my_room(user_id: int, room_id: int) -> dict[str, Any]:
    """Returns one room of a member, with the members of MyRoomOut. Raises NoSuchRoom."""
    statement = SELECT_MY_ROOMS.format(bytes=BYTES[connection.vendor], narrowed=" AND r.id = %s")
    with connection.cursor() as database:
        database.execute(statement, [user_id, room_id])
        row = database.fetchone()
        if row is None:
            raise NoSuchRoom
        room = _MyRoom(*row)
        messages = _messages_by_id(database, [room.last_id] if room.last_id else [])
    last = messages.get(room.last_id)
    quotes = quotes_of([last[REPLY_TO]] if last else [])
    mentions = _unread_mentions([(user_id, room)])
    return room.out(last, quotes, mentions.get((user_id, room_id), 0))


@dataclass(frozen=True, slots=True)
class AddedRoom:
    """A room that a user has entered: its counters, and the members of MyRoomOut."""

    followed: FollowedRoom
    shown: dict[str, Any]


def added_rooms(pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], AddedRoom]:
    """Returns the rooms of pairs of user and room that are memberships now.

    The access epoch (`Room.access_epoch`) is read before the room: a removal in between raises it,
    and the next frame shows a higher one.
    """
    followed = followed_rooms(pairs)
    statement = SELECT_ROOMS_OF_PAIRS.format(
        bytes=BYTES[connection.vendor], pairs=PAIRS[connection.vendor]
    )
    with connection.cursor() as database:
        database.execute(statement, pairs_parameters(followed))
        rows = [(row[0], _MyRoom(*row[1:])) for row in database.fetchall()]
        messages = _messages_by_id(database, list({row.last_id for _, row in rows if row.last_id}))
    quotes = quotes_of(message[REPLY_TO] for message in messages.values())
    mentions = _unread_mentions(rows)
    added = {}
    for user_id, row in rows:
        pair = user_id, row.pk
        shown = row.out(messages.get(row.last_id), quotes, mentions.get(pair, 0))
        added[pair] = AddedRoom(followed[pair]._replace(version=row.version), shown)
    return added


def _unread_mentions(rows: Iterable[tuple[int, _MyRoom]]) -> dict[tuple[int, int], int]:
    """Counts them for rooms of users. Most rooms are read, and cost nothing here."""
    return count_unread_mentions(
        {
            (user_id, one.pk): one.last_read_seq
            for user_id, one in rows
            if one.last_read_seq < one.last_seq
        }
    )


def _activity_in(values: Sequence[Any]) -> list[Any]:
    """Returns a cursor's values as the database compares them. Raises Invalid."""
    try:
        moment, pk = datetime.fromisoformat(values[0]), values[1]
        if moment.tzinfo is None or type(pk) is not int:
            raise not_ours("cursor")
        return [connection.ops.adapt_datetimefield_value(moment), pk]
    except (ValueError, TypeError, OverflowError) as error:  # also a date beyond the calendar
        raise not_ours("cursor") from error


def _messages_by_id(cursor: Any, ids: Sequence[int]) -> dict[int | None, tuple[Any, ...]]:
    if not ids:
        return {}
    marks = ", ".join(["%s"] * len(ids))
    cursor.execute(f"SELECT {MESSAGE_COLUMNS}{FROM_MESSAGES} WHERE m.id IN ({marks})", ids)
    return {row[0]: row for row in cursor.fetchall()}
