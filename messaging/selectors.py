"""Reads of messages: pages of history, the feed, and what changed since a version."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from django.db.models import F, OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast

from accounts.kernel.pagination import (
    Octets,
    Page,
    RowSize,
    cursor_after,
    id_in,
    json_bytes,
    keyset_page,
    read_rows,
)
from rooms.models import Room, RoomKind
from rooms.selectors import RoomAccess, may_be_read, members_among

from .events import MessageState
from .models import Message

MAX_FEED_SCAN = 10_000
"""Messages of the whole site that a page of the feed looks at, to find those that its reader may
read: who is in no room where much is said would walk through all there are.
"""


def state_of(message: Message, room: Room) -> MessageState:
    """The message as events and answers carry it; its sender must be loaded."""
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
    )


def _messages(room: Room) -> QuerySet[Message]:
    return Message.objects.filter(room=room).select_related("sender")


MESSAGE_OVERHEAD = 600
"""Bytes of an answer besides text and reactions: names, ids and times."""
ROOM_OVERHEAD = 600
MAX_CHARACTER_BYTES = 4
MESSAGE_BYTES = Octets("content") + Octets(Cast("reactions", TextField())) + Value(MESSAGE_OVERHEAD)


def _message_size() -> RowSize[Message]:
    """Reactions are not in the maximum: seldom are there many, and each page would be measured."""
    length: int = settings.CHAT_MESSAGE_LENGTH or settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return RowSize(MESSAGE_BYTES, _bytes_of, MESSAGE_OVERHEAD + MAX_CHARACTER_BYTES * length)


def _bytes_of(message: Message) -> int:
    reactions = len(json.dumps(message.reactions)) if message.reactions else 0
    return MESSAGE_OVERHEAD + json_bytes(message.content) + reactions


def _bytes_of_my_room(room: Any) -> int:
    """With its last message, which is read only for the rooms of the page."""
    return ROOM_OVERHEAD + json_bytes(room.title) + json_bytes(room.topic) + (room.last_bytes or 0)


@dataclass(frozen=True, slots=True)
class History:
    """A page, oldest first; `links` as in `accounts.kernel.pagination.Page`."""

    messages: list[MessageState]
    links: dict[str, dict[str, Any]]


def history(here: RoomAccess, *, before: int | None, after: int | None, limit: int) -> History:
    """Messages of a room by `seq`: the newest, those before or after one, or between two.

    Raises Forbidden for the removed. `seq` has no gaps, so the ends tell whether there is more.
    """
    here.check_may_read()
    rows = _messages(here.room)
    if before is not None:
        rows = rows.filter(seq__lt=before)
    rows = rows.order_by("-seq") if after is None else rows.filter(seq__gt=after).order_by("seq")
    found, _ = read_rows(rows, limit=limit, size=_message_size())
    if after is None:
        found.reverse()
    links: dict[str, dict[str, Any]] = {}
    if found and found[-1].seq < here.room.last_seq:
        links["next"] = {"after": found[-1].seq, "limit": limit}
    if found and found[0].seq > 1:
        links["prev"] = {"before": found[0].seq, "limit": limit}
    return History([state_of(message, here.room) for message in found], links)


def feed(user_id: int, *, before: str | None, limit: int) -> History:
    """The newest messages over all rooms that the caller may read, oldest first.

    No page looks at more than MAX_FEED_SCAN messages, so one may be short, or empty, and lead on.
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
    return History([state_of(message, message.room) for message in reversed(page)], links)


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
    """What changed in a room after a version, in order of version (contract §3, promise 3).

    A message made after it counts as a message in its present state, an older one as the latest
    change that it went through.
    """
    rows = Message.objects.filter(room=room, version__gt=version).order_by("version")
    return [_change(room, version, row) for row in rows.values_list(*CHANGE_COLUMNS)[:limit]]


def has_more_changes(room: Room, version: int, count: int) -> bool:
    """Whether more than `count` changes came after a version: a walk along the index."""
    rows = Message.objects.filter(room=room, version__gt=version).order_by("version")
    return bool(rows.values_list("version")[count : count + 1])


# Plain rows: all who come back read some, and the instances of models (two for each row, with the
# sender) cost many times what the row does.
CHANGE_COLUMNS = (
    *("id", "seq", "version", "created_version", "last_change", "sender_id", "sender__username"),
    *("content", "created_at", "edited_at", "deleted", "reply_to", "client_id", "reactions"),
)


def _change(room: Room, since: int, row: tuple[Any, ...]) -> StoredChange:
    pk, seq, version, created, change, sender, username, *rest = row
    content, created_at, edited_at, deleted, reply_to, client_id, reactions = rest
    message = MessageState(
        id=pk,
        seq=seq,
        version=version,
        room=room.name,
        room_id=room.pk,
        sender=sender,
        username=username,
        receiver=room.other_id(sender),
        content=content,
        timestamp=created_at,
        edited_at=edited_at,
        deleted=deleted,
        reply_to=reply_to,
        client_id=client_id,
        reactions=reactions,
        access_epoch=room.access_epoch,
    )
    return StoredChange("message" if created > since else change, message, created, change)


def my_rooms(user_id: int, *, cursor: str | None, limit: int) -> Page[Any]:
    """The caller's rooms, latest activity first.

    Besides their own columns they carry `role`, `last_read_seq`, `unread` and `muted` of the caller
    and `last_message`, a MessageState or None.
    """
    last = Message.objects.filter(room=OuterRef("pk"), seq=OuterRef("last_seq"))
    rooms = (
        Room.objects.filter(members__user_id=user_id, deleted_at=None)
        .exclude(kind=RoomKind.PRIVATE, last_seq=0)
        .select_related("low", "high")
        .annotate(
            role=F("members__role"),
            last_read_seq=F("members__last_read_seq"),
            unread=F("last_seq") - F("members__last_read_seq"),
            muted=F("members__muted"),
            last_message_id=Subquery(last.values("pk")),
            last_bytes=Subquery(last.annotate(row_bytes=MESSAGE_BYTES).values("row_bytes")),
        )
    )
    size: RowSize[Any] = RowSize(Value(0), _bytes_of_my_room, maximum=0)
    order = ["-active_at", "-pk"]
    page: Page[Any] = keyset_page(rooms, order, cursor=cursor, limit=limit, size=size)
    found = Message.objects.select_related("sender").in_bulk(
        [room.last_message_id for room in page if room.last_message_id]
    )
    for room in page:
        last_message = found.get(room.last_message_id)
        room.last_message = state_of(last_message, room) if last_message else None
    return page


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """What the repair needs of a room. `members` is None when the access epoch has not changed."""

    changes: list[StoredChange]
    access_epoch: int
    members: Collection[int] | None


def room_snapshot(
    room_id: int, version: int, access_epoch: int, user_ids: Collection[int], *, limit: int
) -> RoomSnapshot | None:
    """Reads the changes after a version and, after a new access epoch, which users are members.

    None for a deleted room. Members are read after the changes: a removal in between is then seen,
    and a later one is newer than all changes that were read.
    """
    rooms = Room.objects.filter(pk=room_id, deleted_at=None)
    room = rooms.first()
    if room is None:
        return None
    changes = changes_since(room, version, limit=limit) if room.version > version else []
    epoch = rooms.values_list("access_epoch", flat=True).first()
    if epoch is None:
        return None
    is_checked = epoch != access_epoch and room.kind != RoomKind.PRIVATE
    return RoomSnapshot(changes, epoch, members_among(room_id, user_ids) if is_checked else None)
