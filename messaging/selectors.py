"""Reads messages: pages of history, the feed, and changes since a version."""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import TextField, Value
from django.db.models.functions import Cast

from accounts.kernel.fields import MAX_ID, stored_rfc3339
from accounts.kernel.pagination import (
    Octets,
    Page,
    RowSize,
    count_fitting,
    cursor_after,
    id_in,
    json_bytes,
    keyset_page,
    not_ours,
    page_of,
    position_in,
)
from rooms.models import Room, RoomKind, other_of
from rooms.selectors import PAIR, RoomAccess, aware, may_be_read, members_among

from .events import MessageState
from .models import Message

MAX_FEED_SCAN = 10_000
"""Messages of the whole site that a page of the feed examines. Without this limit a page for a user
of quiet rooms would walk through all messages.
"""


def state_of(message: Message, room: Room) -> MessageState:
    """Returns a message as events carry it; its sender must be loaded."""
    return MessageState(
        id=message.pk,
        seq=message.seq,
        version=message.version,
        room=room.name,
        room_id=room.pk,
        sender=message.sender_id,
        username=message.sender.username,
        receiver=room.other_id(message.sender_id),
        content=message.content,
        timestamp=message.created_at,
        edited_at=message.edited_at,
        deleted=message.deleted,
        reply_to=message.reply_to,
        client_id=message.client_id,
        reactions=message.reactions,
        access_epoch=room.access_epoch,
        attachments=message.attachments,
    )


MESSAGE_OVERHEAD = 600
"""Bytes of an answer besides text, reactions and attachments: names, ids and times."""
ROOM_OVERHEAD = 600
MAX_CHARACTER_BYTES = 4
MESSAGE_BYTES = (
    Octets("content")
    + Octets(Cast("reactions", TextField()))
    + Octets(Cast("attachments", TextField()))
    + Value(MESSAGE_OVERHEAD)
)


def _message_size() -> RowSize[Message]:
    """Leaves reactions and attachments out of the maximum.

    Seldom are there many, and each page would be measured.
    """
    return RowSize(MESSAGE_BYTES, _bytes_of, _max_message_bytes())


def _max_message_bytes() -> int:
    length: int = settings.CHAT_MESSAGE_LENGTH or settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return MESSAGE_OVERHEAD + MAX_CHARACTER_BYTES * length


def _bytes_of(message: Message) -> int:
    lists = (one for one in (message.reactions, message.attachments) if one)
    return (
        MESSAGE_OVERHEAD + json_bytes(message.content) + sum(len(json.dumps(one)) for one in lists)
    )


@dataclass(frozen=True, slots=True)
class History:
    """A page, oldest first; `links` as in `accounts.kernel.pagination.Page`.

    A message has the members of `messaging.schemas.MessageOut`.
    """

    messages: list[dict[str, Any]]
    links: dict[str, dict[str, Any]]


# By hand, here and in `my_rooms`: of the 6 ms that a page of 50 cost, the ORM took 2.1 to build the
# query and an instance for each row, and its sender's.
MESSAGE_COLUMNS = (
    "m.id, m.seq, m.version, m.sender_id, u.username, m.content, m.created_at, m.edited_at,"
    " m.deleted, m.reply_to, m.client_id, m.reactions, m.attachments"
)
CONTENT, REACTIONS, ATTACHMENTS = 5, 11, 12
"""Places in a row of them."""
FROM_MESSAGES = " FROM messaging_message m JOIN accounts_user u ON u.id = m.sender_id"
BYTES = {
    "sqlite": "length(CAST(m.content AS BLOB)) + length(CAST(m.reactions AS BLOB))"
    " + length(CAST(m.attachments AS BLOB))",
    "postgresql": "octet_length(m.content) + octet_length(m.reactions::text)"
    " + octet_length(m.attachments::text)",
}
"""As `MESSAGE_BYTES`."""
BETWEEN = " WHERE m.room_id = %s AND m.seq < %s AND m.seq > %s ORDER BY m.seq"


def history(access: RoomAccess, *, before: int | None, after: int | None, limit: int) -> History:
    """Returns messages by `seq`: the newest, before or after one, or between two.

    Raises Forbidden for a removed user. `seq` has no gaps, so the ends show whether there is more.
    """
    access.check_may_read()
    room = access.room
    walk = BETWEEN if after is not None else f"{BETWEEN} DESC"
    rows = _page_rows(walk, [room.pk, MAX_ID if before is None else before, after or 0], limit)
    if after is None:
        rows.reverse()
    shown = ShownRoom(room.pk, room.name, room.low_id, room.high_id)
    messages = [_message_out(shown, row) for row in rows]
    links: dict[str, dict[str, Any]] = {}
    if messages and messages[-1]["seq"] < room.last_seq:
        links["next"] = {"after": messages[-1]["seq"], "limit": limit}
    if messages and messages[0]["seq"] > 1:
        links["prev"] = {"before": messages[0]["seq"], "limit": limit}
    return History(messages, links)


def _page_rows(walk: str, place: Sequence[int], limit: int) -> list[tuple[Any, ...]]:
    """Reads the rows of a page, as many as fit into CHAT_PAGE_BYTES.

    Where long messages could exceed it, their sizes are read first: no more text is loaded than is
    sent.
    """
    count = limit
    with connection.cursor() as cursor:
        if limit * _max_message_bytes() > (settings.CHAT_PAGE_BYTES or math.inf):
            measured = f"SELECT {BYTES[connection.vendor]} FROM messaging_message m"  # noqa: S608
            cursor.execute(f"{measured}{walk} LIMIT %s", [*place, limit])
            sizes = (MESSAGE_OVERHEAD + size for (size,) in cursor.fetchall())
            count = count_fitting(sizes) or limit
        cursor.execute(f"SELECT {MESSAGE_COLUMNS}{FROM_MESSAGES}{walk} LIMIT %s", [*place, count])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows[: count_fitting(map(_bytes_of_row, rows))]


def _bytes_of_row(row: Sequence[Any]) -> int:
    lists = 0
    for column in (REACTIONS, ATTACHMENTS):
        if row[column] != EMPTY_LIST:
            lists += len(row[column])
    return MESSAGE_OVERHEAD + json_bytes(row[CONTENT]) + lists


EMPTY_LIST = "[]"


class ShownRoom(NamedTuple):
    """What messages show of their room.

    A model's instance costs as much as all the rest.
    """

    pk: int
    name: str | None
    low_id: int | None
    high_id: int | None


def _message_out(room: ShownRoom, row: Sequence[Any]) -> dict[str, Any]:
    """Returns the members of MessageOut for a row of MESSAGE_COLUMNS."""
    pk, seq, version, sender, username, content, *rest = row
    created_at, edited_at, deleted, reply_to, client_id, reactions, attachments = rest
    return {
        "id": pk,
        "seq": seq,
        "version": version,
        "room": room.name,
        "room_id": room.pk,
        "sender": sender,
        "username": username,
        "receiver": other_of(sender, room.low_id, room.high_id),
        "timestamp": stored_rfc3339(created_at),
        "edited_at": edited_at and stored_rfc3339(edited_at),
        "deleted": bool(deleted),
        "reply_to": reply_to,
        "client_id": client_id,
        "attachments": [] if attachments == EMPTY_LIST else json.loads(attachments),
        "reactions": [] if reactions == EMPTY_LIST else json.loads(reactions),
        "content": content,
    }


def feed(user_id: int, *, before: str | None, limit: int) -> History:
    """Returns the newest messages of all rooms that the caller may read.

    Oldest first. A page examines at most MAX_FEED_SCAN messages, so it may be short or empty, with
    a link to the next.
    """
    messages = Message.objects.order_by("-pk").values_list("pk", flat=True)
    top = id_in(before, "before") if before else (messages.first() or 0) + 1
    bottom = top - MAX_FEED_SCAN
    rows = Message.objects.filter(may_be_read(user_id), pk__gte=bottom, pk__lt=top)
    rows = rows.select_related("sender", "room", "room__low", "room__high")
    page = keyset_page(
        rows, ["-pk"], cursor=before, limit=limit, field="before", size=_message_size()
    )
    links = {}
    if "next" in page.links:
        links["prev"] = {"before": page.links["next"]["cursor"], "limit": limit}
    elif (older := messages.filter(pk__lt=bottom).first()) is not None:
        links["prev"] = {"before": cursor_after(older + 1), "limit": limit}
    return History([_message_of_feed(message) for message in reversed(page)], links)


def _message_of_feed(message: Message) -> dict[str, Any]:
    sender = message.sender
    row = (
        *(message.pk, message.seq, message.version, sender.pk, sender.username, message.content),
        *(message.created_at, message.edited_at, message.deleted, message.reply_to),
        *(message.client_id, json.dumps(message.reactions), json.dumps(message.attachments)),
    )
    room = message.room
    return _message_out(ShownRoom(room.pk, room.name, room.low_id, room.high_id), row)


ChangeName = Literal["message", "edit", "delete", "reaction"]


@dataclass(frozen=True, slots=True)
class StoredChange:
    """One step of a replay: the frame `kind` and the message's present state.

    `created` is the version that made the message, `change` what it went through last.
    """

    kind: ChangeName
    message: MessageState
    created: int
    change: ChangeName


def changes_since(room: Room, version: int, *, limit: int) -> list[StoredChange]:
    """Returns what changed after a version, in order (contract §3, promise 3).

    A message made after it counts as a message in its present state, an older one as the latest
    change that it went through.
    """
    rows = Message.objects.filter(room=room, version__gt=version).order_by("version")
    return [
        _change(room, version, row) for row in rows.values_list(*CHANGE_COLUMNS, named=True)[:limit]
    ]


def has_more_changes(room: Room, version: int, count: int) -> bool:
    """Whether more than `count` changes came after a version: a walk along the index."""
    rows = Message.objects.filter(room=room, version__gt=version).order_by("version")
    return bool(rows.values_list("version")[count : count + 1])


# Plain rows: every reconnecting client reads some, and a model instance for the message and one for
# its sender cost many times what the row does.
CHANGE_COLUMNS = (
    *("id", "seq", "version", "created_version", "last_change", "sender_id", "sender__username"),
    *("content", "created_at", "edited_at", "deleted", "reply_to", "client_id", "reactions"),
    "attachments",
)


def _change(room: Room, since: int, row: Any) -> StoredChange:
    created, change = row.created_version, row.last_change
    message = MessageState(
        id=row.id,
        seq=row.seq,
        version=row.version,
        room=room.name,
        room_id=room.pk,
        sender=row.sender_id,
        username=row.sender__username,
        receiver=room.other_id(row.sender_id),
        content=row.content,
        timestamp=row.created_at,
        edited_at=row.edited_at,
        deleted=row.deleted,
        reply_to=row.reply_to,
        client_id=row.client_id,
        reactions=row.reactions,
        access_epoch=room.access_epoch,
        attachments=row.attachments,
    )
    return StoredChange("message" if created > since else change, message, created, change)


SELECT_MY_ROOMS = (
    "SELECT r.id, r.name, r.low_id, r.high_id, r.kind, r.title, r.topic, r.created_by_id,"  # noqa: S608
    " r.created_at, r.active_at, r.member_count, r.last_seq, r.version,"
    " low.username, high.username, mine.role, mine.last_read_seq, mine.muted, m.id, {bytes}"
    " FROM rooms_member mine JOIN rooms_room r ON r.id = mine.room_id"
    f"{PAIR} LEFT JOIN messaging_message m ON m.room_id = r.id AND m.seq = r.last_seq"
    " WHERE mine.user_id = %s AND r.deleted_at IS NULL"
    " AND NOT (r.kind = 'private' AND r.last_seq = 0){beyond}"
    " ORDER BY r.active_at {direction}, r.id {direction} LIMIT %s"
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
    last_id: int | None
    last_bytes: int | None

    @property
    def bytes(self) -> int:
        last = MESSAGE_OVERHEAD + (self.last_bytes or 0) if self.last_id else 0
        return ROOM_OVERHEAD + json_bytes(self.title) + json_bytes(self.topic) + last

    def out(self, last_message: Sequence[Any] | None) -> dict[str, Any]:
        """Returns the members of MyRoomOut; `members` on a private room only."""
        here = ShownRoom(*self[:4])
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
            "muted": bool(self.muted),
            "last_message": _message_out(here, last_message) if last_message else None,
        }


def my_rooms(user_id: int, *, cursor: str | None, limit: int) -> Page[dict[str, Any]]:
    """Returns the caller's rooms, latest activity first, as MyRoomOut."""
    position = position_in(cursor, 2)
    beyond, values = "", []
    if position.values is not None:
        beyond = f" AND (r.active_at, r.id) {'>' if position.backwards else '<'} (%s, %s)"
        values = _activity_in(position.values)
    statement = SELECT_MY_ROOMS.format(
        bytes=BYTES[connection.vendor],
        beyond=beyond,
        direction="ASC" if position.backwards else "DESC",
    )
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
    answer: Page[dict[str, Any]] = Page(one.out(messages.get(one.last_id)) for one in page)
    answer.links = page.links
    return answer


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


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """What the repair needs of a room.

    `members` is None when the access epoch has not changed. `changes` is None when there are too
    many.
    """

    changes: list[StoredChange] | None
    access_epoch: int
    members: Collection[int] | None


def room_snapshot(
    room_id: int,
    version: int,
    access_epoch: int,
    user_ids: Collection[int],
    *,
    limit: int,
    size: int,
) -> RoomSnapshot | None:
    """Reads the changes after a version, and members after a new access epoch.

    At most `limit` changes of `size` bytes. None for a deleted room. Members are read after the
    changes: a removal in between is then seen, and a later one is newer than all changes that were
    read.
    """
    rooms = Room.objects.filter(pk=room_id, deleted_at=None)
    room = rooms.first()
    if room is None:
        return None
    changes = _bounded_changes(room, version, limit, size)
    epoch = rooms.values_list("access_epoch", flat=True).first()
    if epoch is None:
        return None
    is_checked = epoch != access_epoch and room.kind != RoomKind.PRIVATE
    return RoomSnapshot(changes, epoch, members_among(room_id, user_ids) if is_checked else None)


def _bounded_changes(room: Room, version: int, limit: int, size: int) -> list[StoredChange] | None:
    """Reads the changes after a version; None above `limit` changes or `size` bytes.

    Few changes fit whatever they hold. The sizes of many are read first, so that no more text is
    loaded than is sent.
    """
    if room.version <= version:
        return []
    if room.version - version > min(limit, size // _max_message_bytes()):
        rows = Message.objects.filter(room=room, version__gt=version).order_by("version")
        sizes = list(rows.values_list(MESSAGE_BYTES, flat=True)[: limit + 1])
        if len(sizes) > limit or sum(sizes) > size:
            return None
    return changes_since(room, version, limit=limit)
