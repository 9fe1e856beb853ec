"""Reads a room's changes since a version, for replays, repairs and followers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rooms.models import Room, RoomKind
from rooms.selectors import members_among

from .events import MessageState
from .models import Message
from .quotes import Quote, quotes_of
from .selectors import MESSAGE_BYTES, max_message_bytes

ChangeName = Literal["message", "edit", "delete", "reaction", "pin"]


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A message in its present state.

    `created` is the version that made the message, `change` what it went through last.
    """

    message: MessageState
    created: int
    change: ChangeName

    def kind_since(self, version: int) -> ChangeName:
        """Returns the type of the frame for a client that has everything up to a version.

        A message made after it is a message in its present state, an older one the latest change
        that it went through (contract §3, promise 3).
        """
        return "message" if self.created > version else self.change


def changes_since(room: Room, version: int, *, limit: int) -> list[StoredChange]:
    """Returns the messages that changed after a version, in order."""
    rows = Message.objects.filter(room=room, version__gt=version).order_by("version")
    found = list(rows.values_list(*CHANGE_COLUMNS, named=True)[:limit])
    quotes = quotes_of(row.reply_to for row in found)
    return [_change(room, row, quotes) for row in found]


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
    *("mentions", "mentions_all", "pinned_version"),
)


def _change(room: Room, row: Any, quotes: Mapping[int | None, Quote]) -> StoredChange:
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
        mentions=row.mentions,
        mentions_all=row.mentions_all,
        quote=quotes.get(row.reply_to),
        pinned=row.pinned_version is not None,
    )
    return StoredChange(message, row.created_version, row.last_change)


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

    Few changes always fit. The sizes of many are read first, so that no more text is loaded than
    is sent.
    """
    if room.version <= version:
        return []
    if room.version - version > min(limit, size // max_message_bytes()):
        rows = Message.objects.filter(room=room, version__gt=version).order_by("version")
        sizes = list(rows.values_list(MESSAGE_BYTES, flat=True)[: limit + 1])
        if len(sizes) > limit or sum(sizes) > size:
            return None
    return changes_since(room, version, limit=limit)
